# Two commands do everything: `make run` and `make test`. Each sets up what it needs.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?=

export DAGSTER_HOME ?= $(CURDIR)/data/dagster_home
export DAGSTER_DISABLE_TELEMETRY := yes

.PHONY: run test ui bench lint check contracts lock clean
.DEFAULT_GOAL := run

run: setup  ## make every product that is not fresh, and tell what there is
	@$(BIN)/python -m pipelines.run $(if $(CONFIG),--config "$(CONFIG)")

test: setup  ## run the test suite on all cores, a file of tests on one
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

ui: setup  ## Dagster's UI on the loopback interface
	@$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

bench: setup .venv/bench  ## every benchmark against its peer
	@for script in benchmarks/bench_*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

check: setup lint  ## all that must hold beside the tests
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/dg check defs
	@$(BIN)/python -m pipelines.contracts --check

contracts: setup  ## write data/contracts/ anew
	@$(BIN)/python -m pipelines.contracts

lock:  ## resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-strip-extras -o requirements.lock
	uv pip compile pyproject.toml --extra bench --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-strip-extras -c requirements.lock -o requirements-bench.lock

clean:  ## forget the set-up; tables stay
	rm -rf .venv

.PHONY: setup
setup: .venv/ready $(DAGSTER_HOME)/dagster.yaml

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Taproom needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.")'
	@echo "setting up .venv: about 155 packages, one to three minutes, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/bench: requirements-bench.lock .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp dagster.yaml $@
