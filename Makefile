# Two commands do everything: `make run` and `make test`. Each sets up what it needs.

PYTHON ?= python3
BIN := .venv/bin
CONFIG ?=
REPAIR ?=
PORT ?= 3000
TESTS ?=
ON_ALL_CORES := --numprocesses auto --dist loadfile --no-loadscope-reorder
FAST := -m "not slow and not soak" --ignore-glob="*_figures.py" --ignore-glob="*/test_damage*.py" \
  --ignore-glob="*/test_street_fight*.py"

export DAGSTER_HOME ?= $(CURDIR)/data/dagster_home
export DAGSTER_DISABLE_TELEMETRY := yes

.PHONY: run test test-fast coverage soak ui doctor bench lint check contracts lock clean
.DEFAULT_GOAL := run

run: setup  ## make every product that is not fresh, and tell what there is
	@$(BIN)/python -m pipelines.run $(if $(CONFIG),--config "$(CONFIG)")

test: setup  ## run the test suite on all cores, a file of tests on one
	@$(BIN)/python -m pytest $(ON_ALL_CORES)

test-fast: setup  ## what a developer runs between edits, less than a minute: no jobs, figures or damaged bytes
	@$(BIN)/python -m pytest $(ON_ALL_CORES) $(FAST)

coverage: setup  ## the tests with the lines and branches that they reach; TESTS='$$(FAST)' for those of test-fast
	@$(BIN)/python -m pytest $(ON_ALL_CORES) --cov --cov-report=term $(TESTS)

soak: setup  ## what breaks, every job and every schedule through the real daemon: 20 minutes
	@$(BIN)/python -m pytest tests/pipelines -m soak

ui: setup  ## Dagster's UI on the loopback interface, with the daemon; PORT=3001 for another port
	@$(BIN)/python -m pipelines.serving --port $(PORT)

doctor: setup  ## what is wrong with this installation; REPAIR=yes mends what is safe to mend
	@$(BIN)/python -m pipelines.doctor $(if $(REPAIR),--repair)

bench: setup .venv/bench  ## every benchmark against its peer
	@for script in benchmarks/bench_*.py; do echo "== $$script"; PYTHONPATH=. $(BIN)/python "$$script" || exit 1; done

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

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

.PHONY: setup dagster_home
setup: .venv/ready dagster_home

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Taproom needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.")'
	@echo "setting up .venv: about 165 packages, one to three minutes, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/bench: requirements-bench.lock .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

# Dagster's settings are a link, so that a change reaches them; a link to settings of one's own stays. A file is a copy
# that former versions made, or was edited by hand: it is kept under another name.
dagster_home:
	@mkdir -p "$(DAGSTER_HOME)"
	@cd "$(DAGSTER_HOME)" && if [ ! -L dagster.yaml ] || [ ! -e dagster.yaml ]; then \
	  if cmp -s dagster.yaml "$(CURDIR)/dagster.yaml"; then rm dagster.yaml; fi; \
	  if [ -f dagster.yaml ]; then mv dagster.yaml dagster.yaml.before; \
	    echo "$(DAGSTER_HOME)/dagster.yaml is a link to this checkout's now; what it was is dagster.yaml.before"; fi; \
	  ln -sf "$(CURDIR)/dagster.yaml" dagster.yaml; fi
