# Each target sets up what it needs; `make help` lists them.
# ARGS goes to the program, for instance: make test ARGS="-k timetable".
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) config/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run test test-embedded check bench lock clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' Makefile

run: ## start everything with SQLite and no server: PORT (8000), CALLBOARD_DATA_DIR (./data); Ctrl-C stops it
	@$(BOOTSTRAP) run

test: ## all tests on PostgreSQL and Redis (found, started or installed), with coverage
	@$(BOOTSTRAP) test $(ARGS)

test-embedded: ## all tests on SQLite and files, without a server
	@$(BOOTSTRAP) test-embedded $(ARGS)

check: ## lint, format, types, import rules, deployment check, migrations, OpenAPI file, lock files
	@$(BOOTSTRAP) check $(ARGS)

bench: ## measure; prints a table and writes bench/results/
	@$(BOOTSTRAP) bench $(ARGS)

LOCKED = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: ## write the lock files anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "callboard: make lock needs uv; install it by 'pip install uv'." >&2; exit 1; }
	$(LOCKED) --output-file requirements.lock pyproject.toml
	$(LOCKED) --group dev --constraints requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove the virtual environment and caches; the data folder stays
	rm -rf .venv .venv.lock .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
