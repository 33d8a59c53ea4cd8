# Everything a developer runs; `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter of a new .venv; if unset, scripts/setup.sh chooses one.
export PYTHON
# Tests start hundreds of processes: without bytecode each compiles all modules.
unexport PYTHONDONTWRITEBYTECODE
# Test processes: two more than cores, because some tests wait for clocks and other processes.
JOBS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
# How often make test-ha breaks everything.
ROUNDS ?= 1
# Extra arguments: make dev ARGS="--ephemeral", make test ARGS="-k checkout".
ARGS ?=

BIN := .venv/bin
SET_UP := .venv/.set-up
# An installation for production has what these need; `make setup` would add to it.
PROGRAM := $(if $(wildcard .venv/.installed),,$(SET_UP))
TOOLS := .tools/.set-up

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(SET_UP) ## Create .venv with all dependencies (instant if it exists)

$(SET_UP): pyproject.toml stripe_sandbox/pyproject.toml scripts/setup.sh
	@scripts/setup.sh
	@touch $@

.PHONY: install
install: ## Install what production needs, pinned, into .venv (WITH=extras: Redis and tracing too)
	@scripts/install.sh

$(TOOLS): requirements/release.txt scripts/tools.sh
	@scripts/tools.sh
	@touch $@

.PHONY: lock
lock: $(SET_UP) $(TOOLS) ## Pin what pyproject.toml asks for in requirements/ (ARGS=--upgrade: newest versions)
	@$(BIN)/python scripts/lock.py $(ARGS)

.PHONY: sbom
sbom: $(TOOLS) ## Write dist/sbom.json: what an installation consists of (CycloneDX)
	@scripts/sbom.sh

.PHONY: audit
audit: $(TOOLS) ## Name known vulnerabilities of what is pinned, and how much could not be checked
	@.tools/bin/python scripts/audit.py

.PHONY: dev
dev: $(SET_UP) ## Run everything locally: PostgreSQL, sandbox, API, worker (ARGS="--help" for options)
	@$(BIN)/mpanel-billing dev $(ARGS)

.PHONY: test
test: $(SET_UP) ## Run all tests that have no target of their own
	@scripts/install-browser.sh
	@scripts/install-fault-tools.sh
	@$(BIN)/pytest -rs -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore=tests/pm2 --ignore=tests/node --ignore=tests/api_clients --ignore=tests/wheel --ignore=tests/ha --ignore=tests/container --ignore=tests/install --ignore=tests/sandbox_peers --ignore=tests/openapi/test_schemathesis.py $(ARGS)

.PHONY: reliability
reliability: $(SET_UP) ## Break things under load, and write the results to docs/reliability.md
	@scripts/install-fault-tools.sh
	@WRITE_RELIABILITY=1 $(BIN)/pytest -rs tests/faults $(ARGS)

.PHONY: sandbox-table
sandbox-table: $(SET_UP) ## Write the table of the sandbox's operations into docs/sandbox.md
	@WRITE_SANDBOX_TABLE=1 $(BIN)/pytest -q tests/stripe_sandbox/test_event_order.py \
		tests/stripe_sandbox/test_param_effects.py $(ARGS)

.PHONY: screenshots
screenshots: $(SET_UP) ## Picture the console's pages for docs/console.md, among 100,000 customers (minutes)
	@scripts/install-browser.sh
	@$(BIN)/pytest -q tests/browser/screenshots.py -o faulthandler_timeout=1200 $(ARGS)

.PHONY: message-examples
message-examples: $(SET_UP) ## Write the messages that are no longer sent like that into docs/message-examples.json
	@WRITE_MESSAGE_EXAMPLES=1 $(BIN)/pytest -q tests/messages/test_examples.py $(ARGS)

.PHONY: test-pm2
test-pm2: $(SET_UP) ## Test the service under real PM2, from npm
	@scripts/test-pm2.sh $(ARGS)

.PHONY: test-node
test-node: $(SET_UP) ## Verify messages as mPanel does, with the library from npm
	@scripts/test-node.sh $(ARGS)

.PHONY: test-sandbox-peers
test-sandbox-peers: $(SET_UP) ## Run clients of Stripe that others wrote against the sandbox (npm, PyPI)
	@scripts/test-sandbox-peers.sh $(ARGS)

.PHONY: test-clients
test-clients: $(SET_UP) ## Generate clients from /openapi.json, and run a customer's life with them (npm, PyPI)
	@scripts/test-clients.sh $(ARGS)

.PHONY: test-openapi
test-openapi: $(SET_UP) ## Call every route with all that its description allows and forbids
	@$(BIN)/pytest -rs -n 3 --dist load tests/openapi/test_schemathesis.py $(ARGS)

.PHONY: test-contract
test-contract: $(SET_UP) ## Ask a Stripe test account what no documentation settles (STRIPE_CONTRACT_KEY=sk_test_...)
	@$(BIN)/pytest -rs tests/contract $(ARGS)

.PHONY: test-wheel
test-wheel: $(SET_UP) ## Test an installation: what the wheels ship, pinned packages, the wheel from any folder
	@$(BIN)/pytest -rs -n 2 --dist loadfile tests/wheel $(ARGS)

.PHONY: test-alerts
test-alerts: $(SET_UP) ## Test the alert rules with promtool, from Debian's package of Prometheus
	@scripts/install-promtool.sh
	$(BIN)/promtool check rules docs/monitoring/alerts.yaml
	$(BIN)/promtool test rules tests/telemetry/alerts.test.yaml

.PHONY: test-ha
test-ha: $(SET_UP) ## Break hosts of a highly available service, ten minutes a round (ROUNDS=1; root, Debian)
	@HA_ROUNDS=$(ROUNDS) scripts/test-ha.sh $(ARGS)

.PHONY: test-container
test-container: $(SET_UP) ## Build the container image and buy something from it (root on Debian; 4 minutes)
	@scripts/test-container.sh $(ARGS)

.PHONY: test-install
test-install: $(SET_UP) ## Set up, restore and upgrade a bare Debian by the documents' lines (root on Debian; 10 minutes)
	@scripts/test-install.sh $(ARGS)

.PHONY: check
check: $(SET_UP) ## Run the linters and the type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/lint_migrations.py
	$(BIN)/hadolint deploy/container/Containerfile

.PHONY: bench
bench: $(SET_UP) ## Run the webhook benchmark (others: benchmarks/README.md)
	@$(BIN)/python -m benchmarks $(ARGS)

# The commit that make bench-compare compares with.
BASE ?= main

.PHONY: bench-compare
bench-compare: $(SET_UP) ## Benchmark this state and an earlier commit in turns (BASE=); fails if this one is slower
	@$(BIN)/python -m benchmarks compare $(BASE) $(ARGS)

.PHONY: soak
soak: $(SET_UP) ## Run the property tests with many more examples than `make test` does
	@CONVERGENCE_EXAMPLES=5000 BOTH_WAYS_EXAMPLES=2000 CRASH_KILLS=12 HOSTILE_SEEDS=8 $(BIN)/pytest -rs -o faulthandler_timeout=0 \
		tests/convergence tests/webhooks/test_both_paths.py $(ARGS)
	@CONVERGENCE_EXAMPLES=1000 $(BIN)/pytest -rs -o faulthandler_timeout=0 \
		tests/revenue tests/mirror/test_ordering.py tests/webhooks/test_event.py $(ARGS)
	@PROVISIONING_EXAMPLES=500 PROVISIONING_KILLS=5 $(BIN)/pytest -rs -o faulthandler_timeout=0 \
		tests/provisioning/test_model.py tests/provisioning/test_killed_workers.py $(ARGS)
	@WORLD_EXAMPLES=2000 $(BIN)/pytest -rs -o faulthandler_timeout=0 tests/worlds $(ARGS)
	@SCHEMATHESIS_EXAMPLES=50 $(BIN)/pytest -rs -o faulthandler_timeout=0 tests/openapi $(ARGS)
	@CONSOLE_LOOKS=all $(BIN)/pytest -rs tests/browser/test_console.py $(ARGS)
	@USAGE_RECORDS=100000 $(BIN)/pytest -rs -o faulthandler_timeout=0 tests/usage/test_kills.py $(ARGS)

# What `make soak-chaos` does, and the seed that repeats a run's faults; unset: a new one.
DELIVERIES ?= 2000
KILLS ?= 6
SEED ?=

.PHONY: soak-chaos
soak-chaos: $(SET_UP) ## Kill and break everything under load (DELIVERIES=, KILLS=, SEED=; root, Linux)
	@scripts/soak-chaos.sh --deliveries $(DELIVERIES) --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: migrate
migrate: $(PROGRAM) ## Apply pending migrations to DATABASE_URL
	@$(BIN)/mpanel-billing migrate up

.PHONY: migrate-down
migrate-down: $(PROGRAM) ## Roll back the latest migration of DATABASE_URL
	@$(BIN)/mpanel-billing migrate down

.PHONY: migrate-status
migrate-status: $(PROGRAM) ## List the migrations, and which are applied to DATABASE_URL
	@$(BIN)/mpanel-billing migrate status

.PHONY: migrate-new
migrate-new: $(SET_UP) ## Create an empty migration: make migrate-new name=add_order_notes
	@$(BIN)/mpanel-billing migrate new "$(name)"

.PHONY: schema
schema: $(SET_UP) ## Write the schema down after a change: sql/schema.sql, the headers of sql/queries
	@$(BIN)/python -m mpanel_billing.dev.schema

.PHONY: psql
psql: $(SET_UP) ## Open psql on the database of a running `make dev`
	@$(BIN)/python -m mpanel_billing.dev.psql $(ARGS)

.PHONY: clean
clean: ## Remove .venv and caches, but not the data of `make dev` in .data
	rm -rf .venv .venvs .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
