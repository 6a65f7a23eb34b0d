# Every target makes its own virtual environment first: nothing has to be installed by hand but
# Python 3.11 or later (with its venv module), g++, make and perl.

PYTHON ?= python3
# The files that decide what is installed; PIP_FLAGS takes options such as an index of your own.
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

demo: $(STAMP) ## train, compile, verify and build the network of the handwritten digits
	$(BIN)/spikeloom demo

# Heavy tests build simulators and bitstreams: two at a time is what two cores and 4 GB bear. Tests
# of one file stay together, so that they share what the file's fixtures have built.
test: lint ## run all checks: lint, types, tests
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP) ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache

# YoWASP compiles its WebAssembly at the first use. Doing it here keeps two tests from doing it at
# the same time, and the waiting out of the first build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than 3.11; name another one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[all]'
	@for tool in yosys nextpnr-ecp5 ecppack nextpnr-ice40 icepack; do \
		$(BIN)/yowasp-$$tool --version >/dev/null 2>&1 </dev/null || true; done
	@touch $@
