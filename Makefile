# Everything a person or CI runs. `make` alone lists it. Needs only Python 3.11 or newer:
#     make run PYTHON=python3.12 VENV=/tmp/venv      uses another Python or another place
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# The first Python on the PATH that is new enough; empty if there is none.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.installed-embedded ## Start a live, simulated sales floor on an embedded broker and Redis (Ctrl-C ends it)
	@$(BIN)/salesfloor demo $(ARGS)

# Tests run in as many processes as there are cores; a file that ARGS names runs in this one, at once.
PARALLEL ?= $(if $(findstring .py,$(ARGS)),,-n logical --dist worksteal)

.PHONY: test
test: $(VENV)/.installed-test ## Run all tests on the embedded broker and Redis
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: test-long
test-long: $(VENV)/.installed-test ## The same with many more seeds and examples: an hour or more, for the night
	@SALESFLOOR_TEST_LONG=1 $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: integration
integration: $(VENV)/.installed-test ## Run the integration tests on a real Kafka and Redis (needs Java 17, Maven, redis-server)
	@.ci/with-real-services $(BIN)/python -m pytest -rs tests/integration $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.installed-test ## Break real Kafka, Redis and workers, and compare every number (an hour; ARGS=--short; ARGS=--list)
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed-lint ## Check style and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

.PHONY: types
types: $(VENV)/.installed-lint ## Check types
	@$(BIN)/mypy

.PHONY: dashboards
dashboards: $(VENV)/.installed-test ## Write Grafana's dashboards anew from the KPI catalogue
	@$(BIN)/python -m grafana.generate

.PHONY: bench
bench: $(VENV)/.installed-test ## Measure; `make bench ARGS=fold` is events per second beside other stream processors
	@$(BIN)/python -m bench $(ARGS)

.PHONY: ci
ci: ## Run all that CI runs (Debian; installs packages)
	@.ci/run

.PHONY: clean
clean: ## Remove the virtual environment, caches and builds
	@rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras, so that a second `make run` starts at once. A stamp is older than
# pyproject.toml or constraints.txt when they change, and the set is installed again.
EXTRAS_embedded := embedded
EXTRAS_test := embedded,test
EXTRAS_lint := embedded,test,lint

$(VENV)/.installed-%: pyproject.toml constraints.txt
	@$(if $(PYTHON),,echo "salesfloor needs Python 3.11 or newer, and none is on the PATH. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 2)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "salesfloor needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing salesfloor[$(EXTRAS_$*)] into $(VENV) (once; takes up to a minute)"
	@PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS_$*)]'
	@touch $@
