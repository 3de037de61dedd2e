# `make report` and `make test` set up what they need; both are quick and need no network when run again.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INCIDENT ?= data/pool-leak
OUT ?= report
LAB := $(VENV)/.lab
# One more than there are cores: some tests wait for servers.
WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))

.PHONY: help setup lab report test lint lock bench incidents clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## .venv with connforensics, pinned and hash-checked

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "connforensics needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	       && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null && $(PYTHON) -m venv --clear $(VENV); } \
	  || { echo "Python's venv module is missing; install it (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@touch $@

$(VENV)/.ready: $(VENV)/.made requirements.lock pyproject.toml
	@echo "installing the pinned packages into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(LAB): $(VENV)/.ready tests/lab/install.py
	@$(BIN)/python -m tests.lab.install
	@touch $@

lab: $(LAB) ## the real servers and the browser that tests use, where they may be installed

report: setup ## the post-mortem of a bundled real incident (INCIDENT=data/NAME OUT=folder)
	@$(BIN)/connforensics report $(INCIDENT)/evidence -o $(OUT) --title "Post-mortem of $(notdir $(INCIDENT))"

test: setup lab ## all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

lint: setup ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(VENV)/.made ## resolve pyproject.toml into requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

incidents: setup lab ## play all incidents of data/ again on real servers (within an hour)
	@$(BIN)/python -m tests.lab play-all -o data

bench: setup lab ## speed, as ratios in one run
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.recorder

clean: ## remove what was set up and made
	rm -rf $(VENV) report build dist
