# Everything here sets itself up on a machine with Python 3.11, make and the package registries.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SHARED := $(shell find workbench/lab/share -type f 2>/dev/null)
ARTIFACTS := test-artifacts

.DEFAULT_GOAL := help
.PHONY: help lab test faults bench check lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(VENV)/.lab ## Set up, then start JupyterLab
	@$(BIN)/workbench lab

test: $(VENV)/.test ## Set up, then run every test
	@sh tests/system-packages.sh
	@rm -rf $(ARTIFACTS) && mkdir -p $(ARTIFACTS)
	@WORKBENCH_HOME=$(CURDIR)/$(ARTIFACTS)/home $(BIN)/pytest tests notebooks -m "not slow" --nbval-lax \
		--nbval-cell-timeout=180 --numprocesses=auto --dist=loadfile

faults: $(VENV)/.test ## Set up, then kill writers a hundred times; ends in lines of JSON
	@sh tests/system-packages.sh
	@$(BIN)/pytest tests/faults -m slow -s --timeout=3000

bench: $(VENV)/.test ## Set up, then measure against peers
	@for each in startup store sweep indicators kernels alerts; do echo $$each; $(BIN)/python tests/benchmarks/$$each.py --json; done

check: $(VENV)/.test ## Set up, then check style, types, architecture and notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify $(shell git ls-files '*.ipynb')

lock: ## Pin every version anew into constraints.txt
	@echo "Resolving in a fresh environment; this takes some minutes ..."
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet torch==2.13.0
	build/lock/bin/pip install --quiet ".[all,test]"
	build/lock/bin/pip freeze --exclude trii-workbench | sed 's/+cpu$$//' > constraints.txt
	rm -rf build/lock

clean: ## Remove the environment and what tests and tools left
	rm -rf $(VENV) build dist $(ARTIFACTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating the virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "the venv module is missing; install python3-venv"; exit 1; }

$(VENV)/.lab: pyproject.toml constraints.txt $(SHARED) | $(BIN)/python
	@echo "Installing the workbench; the first time this takes some minutes ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt $(SHARED) | $(BIN)/python
	@echo "Installing the workbench and its test tools; the first time this takes some minutes ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[test]"
	@touch $@ $(VENV)/.lab
