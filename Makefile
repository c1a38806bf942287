# `make` prints what there is. Everything sets itself up: a virtual environment from uv.lock, nothing by hand.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := .bootstrap/bin/uv
RUN := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help setup compile interpreted demo test check replay fmt up clean faults bench-knowledge bench-policy bench-latency bench-ledger bench-scale bench-throughput

help: ## Print the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(UV):
	@echo "Setting up: uv from PyPI ..." >&2
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo 'segue: Python 3.11 to 3.13 is needed; say which with make PYTHON=python3.12' >&2; exit 2; }
	@$(PYTHON) -m venv .bootstrap \
	  || { echo 'segue: python3 has no venv module (Debian: apt-get install python3-venv)' >&2; exit 2; }
	@.bootstrap/bin/pip install --quiet --disable-pip-version-check uv

.venv/.complete: $(UV) pyproject.toml uv.lock
	@echo "Setting up: packages from uv.lock ..." >&2
	@$(UV) sync --quiet --locked --all-extras --all-groups --python $(PYTHON)
	@touch $@

models/.compiled: .venv/.complete $(wildcard models/*.py)
	@$(RUN)/python -m runtime.compiled

setup: .venv/.complete models/.compiled ## Virtual environment and compiled models (the others do it themselves)

compile: .venv/.complete ## Compile the models anew: a step takes half as long
	@$(RUN)/python -m runtime.compiled

interpreted: .venv/.complete ## Remove what was compiled: the sources run as they are, until the next `make compile`
	@$(RUN)/python -m runtime.compiled --remove && touch models/.compiled

# The first look needs no compiled models; where there are some, they have to be of today's sources.
demo: .venv/.complete $(wildcard models/.compiled) ## The main job on the embedded engine, with simulated learners, about 20 s
	@$(RUN)/segue demo

up: setup ## A service of your own with the sample course; Ctrl-C stops it
	@$(RUN)/segue up --course examples/personal-data.yaml

test: setup ## All tests; what this machine cannot run is skipped by name
	@$(RUN)/python -m tests.run

check: setup ## Format, lint, types, layers, links, then all tests
	@$(RUN)/python -m tests.run --check

replay: setup ## Stream a real log: make replay DATA=file.parquet [LEARNERS=n] [BROKER=kafka] [URL=...]
	@test -n "$(DATA)" || { echo '{"error": "say which log: make replay DATA=file.parquet"}'; exit 2; }
	@$(RUN)/segue replay "$(DATA)" $(if $(LEARNERS),--learners $(LEARNERS)) $(if $(BROKER),--broker $(BROKER)) \
	  $(if $(URL),--url $(URL)) $(if $(WORKERS),--workers $(WORKERS))

fmt: setup ## Format the code
	@$(RUN)/ruff format . && $(RUN)/ruff check --fix .

clean: ## Remove the virtual environment and caches
	rm -rf .venv .venv-peers .bootstrap models/.compiled models/*.so *.so .mypy_cache .ruff_cache .pytest_cache .hypothesis

bench-knowledge: setup ## The learner model on real logs: make bench-knowledge DATA=folder [QUICK=1]
	@QUICK=$(QUICK) $(RUN)/python -m benchmarks.knowledge "$(DATA)"

bench-policy: setup ## Our policy beside others and an oracle, in simulated worlds: make bench-policy [SEED=n] [WORLDS=irt,zone] [QUICK=1]
	@QUICK=$(QUICK) SEED=$(SEED) WORLDS=$(WORLDS) $(RUN)/python -m benchmarks.policy

bench-throughput: setup ## One worker flat out beside peers running the same step: make bench-throughput [QUICK=1]
	@QUICK=$(QUICK) $(RUN)/python -m benchmarks.throughput

bench-scale: setup ## Cost of an event as learners, workers and streams grow: make bench-scale [QUICK=1]
	@QUICK=$(QUICK) $(RUN)/python -m benchmarks.scale

faults: setup ## The fault matrix, every row, and thousands of simulated runs of the protocol
	@SEGUE_FAULTS=all SEGUE_TRIALS=1000 $(RUN)/python -m tests.run tests/faults tests/protocol

bench-ledger: setup ## Faults while events flow, then the count: make bench-ledger [KILLS=100] [BROKER=standalone,kafka] [RATE=220] [SEED=n]
	@$(RUN)/python -m benchmarks.ledger $(if $(KILLS),$(KILLS),$(if $(QUICK),15,100)) $(if $(BROKER),$(BROKER),"standalone,kafka")

bench-latency: setup ## Event to decision beside bare echoes: make bench-latency [BROKER=standalone,kafka] [QUICK=1]
	@QUICK=$(QUICK) $(RUN)/python -m benchmarks.latency $(if $(BROKER),$(BROKER),"standalone,kafka")
