# One service of EVA: docker build -f deploy/service.Dockerfile --build-arg SERVICE=tts --target cpu .
# `gpu` is for stt and tts, and stands last: builders without BuildKit make every stage above the one asked for.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS venv
ARG SERVICE
COPY requirements/${SERVICE}*.txt /requirements/
RUN python3 -m venv --without-pip /opt/eva

# Wheels alone, by their hashes; what libraries bring to test themselves goes.
FROM venv AS venv-cpu
ARG SERVICE
WORKDIR /requirements
RUN if [ -f "${SERVICE}-cpu.txt" ]; then mv "${SERVICE}-cpu.txt" "${SERVICE}.txt"; fi \
    && pip --python /opt/eva/bin/python install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
       -r "${SERVICE}.txt" \
    && find /opt/eva -type d \( -name tests -o -path '*/backend/test' \) -prune -exec rm -r {} +

FROM ${BASE} AS app
ENV PATH=/opt/eva/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    EVA_DATA_DIR=/data \
    EVA_HOST=0.0.0.0 \
    EVA_LOG_FORMAT=json
RUN mkdir /data && chown 10001:10001 /data
WORKDIR /app
HEALTHCHECK --interval=5s --timeout=3s --start-period=2m --retries=3 CMD ["python", "-I", "-S", "/app/ready.py"]
ENTRYPOINT ["/bin/sh", "-c", "exec python -P -m services.$SERVICE"]
USER 10001:10001

FROM app AS cpu
ARG SERVICE
ENV SERVICE=${SERVICE}
COPY --from=venv-cpu /opt/eva /opt/eva
COPY deploy/ready.py /app/ready.py
COPY shared /app/shared
COPY services/__init__.py /app/services/__init__.py
COPY services/${SERVICE} /app/services/${SERVICE}

FROM venv AS venv-gpu
ARG SERVICE
RUN pip --python /opt/eva/bin/python install --no-cache-dir --require-hashes --no-deps --only-binary :all: \
    -r "/requirements/${SERVICE}-gpu.txt" \
    && find /opt/eva -type d \( -name tests -o -path '*/backend/test' \) -prune -exec rm -r {} +

FROM app AS gpu
ARG SERVICE
ENV SERVICE=${SERVICE} \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=venv-gpu /opt/eva /opt/eva
COPY deploy/ready.py /app/ready.py
COPY shared /app/shared
COPY services/__init__.py /app/services/__init__.py
COPY services/${SERVICE} /app/services/${SERVICE}
