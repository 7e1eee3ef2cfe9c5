# Each target sets up all that it needs, on a new machine too: Python 3.11 or newer, and this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo up test test-long check bench system-demo system-test

BIN := .venv/bin
RUNTIME := .venv/.runtime-installed
DEV := .venv/.dev-installed
BACKEND ?=
WHAT_DECIDES := pyproject.toml client/pyproject.toml constraints.txt infra/setup.sh
# Four test workers more than processors, from four to eight: most of what they do is wait for a cluster, a device or a
# daemon (tests/support/order.py), and each may start torch, qiskit or Chromium.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 2 ? 4 : n > 4 ? 8 : n + 4)))
FONTS := /usr/share/fonts/truetype/bizud-gothic:fonts-morisawa-bizud-gothic
FALLBACK_FONTS := /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc:fonts-noto-cjk
UNIT_WORKERS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

export HYPOTHESIS_PROFILE ?= ci
# Each worker, and each of the many processes that tests start, would compile all of our code again.
unexport PYTHONDONTWRITEBYTECODE
test-long: export HYPOTHESIS_PROFILE = nightly

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) system-demo ## The whole system from nothing, and the life of a few jobs (ARGS=--once ends by itself; BACKEND=slurm)
	@$(BIN)/kyoyod demo $(ARGS)

up: $(RUNTIME) system-demo ## Portal and worker against KYOYO_DATABASE_URL, or the embedded database
	@$(BIN)/kyoyod up $(ARGS)

test: $(DEV) system-test ## All tests but the long ones, real parts included (ARGS go to pytest)
	@$(BIN)/pytest -m "not long" -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(ARGS)

test-long: $(DEV) system-test ## The long fault, fuzz and simulation runs
	@$(BIN)/pytest -m long -n $(WORKERS) --timeout 3600 $(ARGS)

check: $(DEV) ## Format, lint, types, import contracts, unit tests: under a minute when warm
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest tests/unit tests/architecture -m "not long" -q -n $(UNIT_WORKERS)

bench: $(DEV) system-test ## The benchmarks, one JSON line each (NAME=… only that one)
	@$(BIN)/python -m tests.bench $(NAME)

# What follows is called by the targets above.

$(RUNTIME): $(WHAT_DECIDES)
	@infra/setup.sh python '.[embedded,quantum,workloads]'
	@touch $@

$(DEV): $(WHAT_DECIDES)
	@infra/setup.sh python '.[embedded,quantum,ibm,workloads,dev]'
	@touch $@ $(RUNTIME)

system-demo:
	@infra/setup.sh system bwrap:bubblewrap $(FONTS) $(if $(filter slurm,$(BACKEND)),debootstrap:debootstrap)
	@$(if $(filter slurm,$(BACKEND)),infra/setup.sh slurm)

system-test:
	@infra/setup.sh system bwrap:bubblewrap chromium:chromium $(FONTS) $(FALLBACK_FONTS) debootstrap:debootstrap
	@infra/setup.sh slurm
