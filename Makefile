# The two main commands are `make run` and `make test`. Each installs what it needs.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?=
REPAIR ?=
PORT ?= 3000
CLUSTER ?= 0
OPEN_PORT ?= 3080
TESTS ?=
# One worker more than cores, because some tests wait for processes that they have started.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
ON_ALL_CORES = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
FAST := -m "not slow and not soak" --hypothesis-profile=fast --ignore-glob="*_figures.py" \
  --ignore-glob="*/test_damage*.py" --ignore-glob="*/test_street_fight*.py"

export DAGSTER_HOME ?= $(CURDIR)/data/dagster_home
export DAGSTER_DISABLE_TELEMETRY := yes
# Compiled modules are kept in __pycache__ in any case: otherwise each process compiles hundreds of files, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run pages open test test-fast coverage soak ui stack stack-stop doctor bench lint check audit contracts lock clean
.DEFAULT_GOAL := run

run: setup  ## make every table that is not fresh, then print a summary
	@$(BIN)/python -m pipelines.run $(if $(CONFIG),--config "$(CONFIG)")

pages: setup  ## write the pages of the tables, as `make run` does at its end
	@$(BIN)/python -m pipelines.pages

open: setup  ## serve the pages on the loopback interface and print their address; OPEN_PORT=3081 for another port
	@$(BIN)/python -m pipelines.pages --open --port $(OPEN_PORT)

test: setup .venv/dev .venv/validators/ready  ## run the test suite on all cores, each test file on one core
	@$(BIN)/python -m pytest $(ON_ALL_CORES)

test-fast: WORKERS = logical
test-fast: setup .venv/dev  ## what a developer runs between edits, about a minute: no jobs, figures or damaged bytes
	@$(BIN)/python -m pytest $(ON_ALL_CORES) $(FAST)

coverage: setup .venv/dev .venv/validators/ready  ## the tests with the lines and branches that they reach; TESTS='$(FAST)' for those of test-fast
	@$(BIN)/python -m pytest $(ON_ALL_CORES) --cov --cov-report=term $(TESTS)

soak: setup .venv/dev  ## test failures, every job, every schedule and `make stack` with the real daemon (25 minutes)
	@$(BIN)/python -m pytest tests/pipelines tests/deploy -m soak

ui: setup  ## start Dagster's UI and daemon on the loopback interface; PORT=3001 for another port
	@$(BIN)/python -m pipelines.serving --port $(PORT)

stack: setup .venv/dev  ## the same with PostgreSQL and an S3 server, state in data/stack; CLUSTER=2 for a Dask cluster of two workers
	@$(BIN)/python -m pipelines.serving --stack --port $(PORT) --workers $(CLUSTER)

stack-stop:  ## end what `make stack` started
	@$(BIN)/python -m pipelines.serving --stack --stop

doctor: setup  ## check this installation; REPAIR=yes repairs what can be repaired safely
	@$(BIN)/python -m pipelines.doctor $(if $(REPAIR),--repair)

bench: setup .venv/dev .venv/bench  ## run every benchmark against its peer
	@for script in benchmarks/bench_*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

lint: setup .venv/dev  ## lint Python, the import layers, types, and the scripts and styles of the pages
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/mypy
	@$(BIN)/python -m taproom.pages.lint

check: setup lint audit  ## run all checks other than the tests
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/dg check defs
	@$(BIN)/python -m pipelines.contracts --check

audit: setup .venv/dev .venv/validators/ready  ## look up the licences and the known vulnerabilities of all locked packages
	@.venv/validators/bin/pip-licenses --python=$(BIN)/python --summary
	@$(BIN)/python .ci/audit.py requirements-dev.lock

contracts: setup  ## generate data/contracts/
	@$(BIN)/python -m pipelines.contracts

lock:  ## update the lock files (needs uv)
	uv pip compile pyproject.toml --extra pipelines --extra dask --extra deploy --extra onnx --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras -o requirements.lock
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-strip-extras -c requirements.lock -o requirements-dev.lock
	uv pip compile pyproject.toml --extra bench --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-strip-extras -c requirements.lock -o requirements-bench.lock
	uv pip compile requirements-validators.in --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-strip-extras -o requirements-validators.lock

clean:  ## remove the environment; tables stay
	rm -rf .venv

.PHONY: setup dagster_home
setup: .venv/ready dagster_home

# A lock has all that its packages need. Modules are compiled when they are first imported: most of them never are.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes
.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Taproom needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.")'
	@echo "setting up .venv: about 160 packages, one to three minutes, once"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -r requirements.lock
	@touch $@

.venv/dev: requirements-dev.lock .venv/ready
	@echo "adding what tests and checks need"
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

.venv/bench: requirements-bench.lock .venv/ready
	@$(INSTALL) -r requirements-bench.lock
	@touch $@

# What checks generated contracts and exports has an environment of its own, because its packages conflict with ours.
.venv/validators/ready: requirements-validators.lock | .venv/ready
	@$(PYTHON) -m venv .venv/validators
	@.venv/validators/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-validators.lock
	@touch $@

# Dagster's settings are a link to this checkout's file, so that changes take effect; a link to another file is left
# alone. A plain file is a copy from an earlier version, or was edited by hand: it is renamed.
dagster_home:
	@mkdir -p "$(DAGSTER_HOME)"
	@cd "$(DAGSTER_HOME)" && if [ ! -L dagster.yaml ] || [ ! -e dagster.yaml ]; then \
	  if cmp -s dagster.yaml "$(CURDIR)/dagster.yaml"; then rm dagster.yaml; fi; \
	  if [ -f dagster.yaml ]; then mv dagster.yaml dagster.yaml.before; \
	    echo "$(DAGSTER_HOME)/dagster.yaml is now a link to this checkout's file; the previous file is dagster.yaml.before"; fi; \
	  ln -sf "$(CURDIR)/dagster.yaml" dagster.yaml; fi
