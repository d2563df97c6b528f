# The `eva` command, for what is done beside the services: pull models, draw passwords, make keys.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS venv
COPY requirements/cli.txt /requirements/cli.txt
RUN python3 -m venv --without-pip /opt/eva \
    && pip --python /opt/eva/bin/python install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
       -r /requirements/cli.txt \
    && find /opt/eva -type d \( -name tests -o -path '*/backend/test' \) -prune -exec rm -r {} +

FROM ${BASE}
ENV PATH=/opt/eva/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    EVA_DATA_DIR=/data
# Volumes that are empty take the owner of the folder at which they are mounted first: this image's.
RUN mkdir -p /data /volumes/nats /volumes/local-llm /secrets/nats /secrets/gateway /secrets/stt /secrets/llm \
        /secrets/tts /secrets/operator /secrets/grafana \
    && chown -R 10001:10001 /data /volumes /secrets && chmod 0700 /secrets/*
WORKDIR /app
COPY --from=venv /opt/eva /opt/eva
COPY deploy/prepare.py /app/prepare.py
COPY shared /app/shared
COPY services /app/services
COPY eva /app/eva
HEALTHCHECK NONE
ENTRYPOINT ["python", "-P", "-m", "eva"]
CMD ["--help"]
USER 10001:10001
