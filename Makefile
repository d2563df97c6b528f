# The index of what can be done here; `make help` lists it. Nothing needs root, a key or an edit.
# GPU=1 installs the CUDA packages instead of those for the CPU.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FLAVOUR := $(if $(GPU),gpu,cpu)
UNWANTED := $(if $(GPU),onnxruntime,onnxruntime-gpu)
INSTALLED := $(VENV)/.eva-$(FLAVOUR)
TESTABLE := $(VENV)/.eva-test
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=

# Two wheels own the folder `onnxruntime`: where the unwanted one is, both have to go.
define install
	$(if $(GPU),@[ "$$(uname -sm)" = "Linux x86_64" ] || \
		{ echo "GPU=1: there is CUDA 12 for Linux on x86_64 only; without GPU=1 the CPU serves." >&2; exit 1; })
	@echo "Installing $(1) (a few minutes the first time)…" >&2
	@if $(PIP) show --quiet $(UNWANTED) 2>/dev/null; then \
		$(PIP) uninstall --quiet --yes onnxruntime onnxruntime-gpu; fi
	@rm -f $(VENV)/.eva-cpu $(VENV)/.eva-gpu $(VENV)/.eva-test
	@$(PIP) install --quiet --require-hashes $(if $(GPU),--no-deps) -r $(1)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m eva.checks $(FLAVOUR)
endef

.PHONY: help setup run demo test bench clean

help: ## What can be done here
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: $(INSTALLED) $(VENV)/.eva-models ## Install EVA and its default models

run: setup ## Start EVA (ARGS="--port 8080" for flags of `eva up`)
	@exec $(BIN)/eva up $(ARGS)

demo: setup ## Hear a short spoken conversation; writes demo.wav
	@exec $(BIN)/eva demo $(ARGS)

test: $(TESTABLE) ## Formatter, linter, types, import rules and all tests
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache >$(VENV)/lint-imports.log 2>&1 || { cat $(VENV)/lint-imports.log; exit 1; }
	@exec env PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-config=tests/pure_modules.cfg $(ARGS)

bench: $(TESTABLE) ## Measure this machine (an hour or so); writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks.turn $(ARGS)
	@exec $(BIN)/python -m benchmarks.ears $(ARGS)

clean: ## Remove what was installed and built; models and conversations stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON) here: install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: EVA needs 3.11 (make $(MAKECMDGOALS) PYTHON=python3.12)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements/$(FLAVOUR).txt pyproject.toml | $(BIN)/python
	$(call install,requirements/$(FLAVOUR).txt)
	@touch $@

# What tests need contains all that EVA needs on the CPU, in the same versions.
$(TESTABLE): requirements/test.txt pyproject.toml | $(BIN)/python
	$(call install,requirements/test.txt)
	@touch $(VENV)/.eva-cpu $@

# Once; later: `eva models pull`. Without a network EVA goes on with its offline engines.
$(VENV)/.eva-models: | $(INSTALLED)
	@$(BIN)/eva models pull --optional
	@touch $@
