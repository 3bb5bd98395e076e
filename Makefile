# Each target sets up what it needs. State is kept in .venv and .demo only.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/installed

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed (python3 with venv): install one, or name it with make PYTHON=…"; exit 1; }
	@command -v git >/dev/null || { echo "git is needed: install it first."; exit 1; }
	@test -x $(BIN)/python || { echo "Making .venv with $$($(PYTHON) --version) …"; $(PYTHON) -m venv .venv; }
	@echo "Installing what requirements-dev.txt locks …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$$(sed -n 's/^uv==//p' requirements-dev.txt)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: $(READY)  ## Start the whole stack and run it until Ctrl-C
	@$(BIN)/python -m demo up

.PHONY: demo-reset
demo-reset: $(READY)  ## Remove all that the demo keeps
	@$(BIN)/python -m demo reset

COMPOSE := docker compose
.PHONY: up
up:  ## Start the whole stack in containers (needs Docker)
	@python3 deploy/compose/passwords.py .env
	@mkdir -p inbox
	@$(COMPOSE) up --build --detach
	@$(COMPOSE) logs --follow --no-log-prefix first-runs
	@test "$$($(COMPOSE) ps --all --format '{{.ExitCode}}' first-runs)" = 0
	@echo "Airflow is at http://localhost:8080 (admin; its password is AIRFLOW_ADMIN_PASSWORD in .env)."

.PHONY: down
down:  ## Stop the containers; what they have kept stays (docker compose down --volumes removes it)
	@$(COMPOSE) down

.PHONY: shell
shell: $(READY)  ## Open a shell in which feast, dvc and git find the running demo
	@$(BIN)/python -m demo shell

.PHONY: story
story: $(READY)  ## Play the story on a stack of its own; also with BASE=a.parquet NEW=b.parquet SONG=id STACK=compose
	@$(BIN)/python -m demo story $(if $(BASE),--base "$(BASE)") $(if $(NEW),--new "$(NEW)") $(if $(SONG),--song "$(SONG)") $(if $(STACK),--stack "$(STACK)")

.PHONY: pictures
pictures: $(READY)  ## Make the README's pictures again, from a stack of its own (needs Chromium)
	@$(BIN)/python -m demo.pictures

.PHONY: test
test: $(READY)  ## Run all tests; ARGS="tests/unit -k name" for some
	@# Three processes on two cores: the end-to-end tests, which share one, wait most of the time.
	@$(BIN)/python -m pytest $(or $(ARGS),--numprocesses=3 --dist=loadscope --no-loadscope-reorder)

.PHONY: test-containers
test-containers: $(READY)  ## Bring the containers up on podman, use them, kill some (needs root, Debian's podman)
	@$(BIN)/python -m pytest $(or $(ARGS),tests/compose)

.PHONY: fuzz
fuzz: $(READY)  ## Play random sequences of runs against the model; EXAMPLES=2000 by default
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -s tests/integration/history/test_model_of_history.py

.PHONY: lint
lint: $(READY)  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint Dockerfile model/Dockerfile deploy/mlflow/Dockerfile

.PHONY: bench
bench: $(READY)  ## Measure everything against stock Feast and the stores themselves, into benchmarks/RESULTS.md (an hour)
	@$(BIN)/python -m benchmarks.report

.PHONY: bench-large
bench-large: $(READY)  ## The same of ten million rows (half an hour)
	@$(BIN)/python -m benchmarks.report --large

.PHONY: bench-watchers
bench-watchers: $(READY)  ## Measure watchers of git repositories against polling DAGs (a quarter of an hour)
	@$(BIN)/python -m benchmarks.git_watchers

.PHONY: sbom
SBOM ?= sbom
sbom: $(READY)  ## Write bills of materials of the wheel and the images into sbom/; OFFLINE=1 without hashes
	@$(BIN)/python -m deploy.bill_of_materials $(SBOM) $(if $(OFFLINE),--offline)

LOCK := uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header
.PHONY: lock
lock: $(READY)  ## Lock the versions anew after a change of requirements*.in; UPGRADE=1 takes newer ones
	@# Developers need everything at once, so their versions are the ones that everybody gets.
	@$(BIN)/$(LOCK) $(if $(UPGRADE),--upgrade) requirements-dev.in --output-file requirements-dev.txt
	@for part in requirements model/requirements deploy/mlflow/requirements; do \
		$(BIN)/$(LOCK) $(if $(UPGRADE),--upgrade) $$part.in --constraints requirements-dev.txt --output-file $$part.txt || exit 1; \
	done
