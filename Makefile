# Two commands: `make repro` runs the pipeline, `make test` the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup repro test check format plots prune benchmarks clean

setup: $(VENV)/.installed  ## create the virtual environment and install the pinned dependencies

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: nlilab needs Python 3.11 or newer, got $$($(PYTHON) -V); name one by make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$$(sed -n 's/^torch==//p' requirements.lock)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	PYTHONPATH=src $(BIN)/python -m nlilab.report.offline .cache/plots.html  # `dvc plots` without a network
	@touch $@

repro: setup  ## run the pipeline of params.yaml and print the comparison
	@$(BIN)/nlilab check
	@$(BIN)/dvc repro
	@$(BIN)/nlilab table

test: setup  ## run the tests, on all cores
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: setup  ## lint and type-check
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: setup  ## format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

plots: setup  ## draw the plots into dvc_plots/index.html
	@$(BIN)/dvc plots show

prune: setup  ## remove what stages that no longer exist left behind, and their entries in dvc.lock
	@$(BIN)/nlilab prune

benchmarks: setup  ## measure speed: ratios against baselines, in one run
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:  ## remove the virtual environment
	rm -rf $(VENV)
