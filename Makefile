# Everything is installed into .venv; nothing needs root.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check fix proto lock bench mesh chaos servers clients vendor setup setup-dev unit clean

help: ## what targets there are
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## set up, start the mesh, load the samples on the first run, answer a question, keep serving
	@$(BIN)/ragmesh demo samples $(ARGS)

test: setup-dev servers clients check ## set up what the tests need, check everything, run all tests
	@$(BIN)/python -m pytest $(ARGS)

unit: setup-dev ## the tests that need no servers
	@$(BIN)/python -m pytest tests/unit $(ARGS)

check: setup-dev ## format, lint, types, imports, proto
	@scripts/check.sh

fix: setup-dev ## format, and mend what the linter can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/buf format -w

proto: setup-dev ## generate ragmesh/v1 from proto/
	@scripts/generate.sh ragmesh/v1

lock: setup-dev ## renew the locked dependencies in requirements/
	@scripts/lock.sh

bench: setup-dev ## start a mesh and measure it beside the bare engines
	@$(BIN)/python -m bench --own-mesh $(ARGS)

mesh: setup servers ## start the mesh profile: Consul, Kafka, PostgreSQL and Redis, and two of each service
	@$(BIN)/ragmesh up --profile mesh --replicas document=2,query=2,worker=2 $(ARGS)

chaos: setup-dev servers ## faults under load, judged by a ledger: writes docs/reliability.md (a quarter of an hour)
	@$(BIN)/python -m chaos $(ARGS)

servers: ## install the servers that the mesh profile and the tests start into .servers
	@deploy/local/install.sh consul kafka postgres redis s3 milvus nginx chromium

clients: setup-dev ## install the OpenAI clients that the tests drive into .clients
	@tests/clients/install.sh

vendor: ## renew the libraries of the web page from npm, as their lock says
	@scripts/vendor.sh

setup: ## install what running needs into .venv
	@scripts/setup.sh run

setup-dev: ## install what developing needs into .venv
	@scripts/setup.sh dev

clean: ## remove .venv, .servers, .clients and caches; the data folder stays
	rm -rf .venv .servers .clients .pytest_cache .ruff_cache .hypothesis *.egg-info
