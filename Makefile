# Every target sets itself up in .venv. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BUILT := pyproject.toml setup.py src/mmoinv/_codec.pyx

export MMOINV_BUILD_CODEC ?= require

.DEFAULT_GOAL := help
.PHONY: help check demo test fuzz bench figures lint wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check:
	@command -v $(PYTHON) >/dev/null || { echo "mmoinv needs Python 3.11 or newer, and '$(PYTHON)' is not there. Install it, or name another: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mmoinv needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "'$(PYTHON)' comes without venv. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@command -v $(CC) >/dev/null || { echo "mmoinv builds its codec with a C compiler, and '$(CC)' is not there. On Debian and Ubuntu: apt-get install gcc; on macOS: xcode-select --install"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo "The headers of '$(PYTHON)' are not there. On Debian and Ubuntu: apt-get install python3-dev"; exit 1; }

$(BIN)/python:
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'

# One stamp for each set of dependencies; the first builds the codec too.
$(VENV)/.base: $(BUILT) | check $(BIN)/python
	@echo "Installing mmoinv and building its codec (about a minute the first time) ..."
	@$(PIP) install --editable '.[all]'
	@touch $@

$(VENV)/.%: $(VENV)/.base
	@echo "Installing the dependencies of 'make $*' ..."
	@$(PIP) install --group $*
	@touch $@

demo: check $(VENV)/.base ## run the main job: 100 players save through world servers and a realm into SQLite
	@mkdir -p demo
	@$(BIN)/mmoinv db upgrade --database sqlite:///demo/realm.db >/dev/null
	@MMOINV_CODEC=compiled $(BIN)/mmoinv loadtest --players 100 --worlds 2 --duration 20 --database sqlite:///demo/realm.db --json demo/report.json

test: check $(VENV)/.test ## run the tests, two at a time (ARGS="tests/codec -n 0": some, one after the other)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# SANITIZE=1 needs gcc; the codec that is built for it lies in build/sanitized.
fuzz: check $(VENV)/.base ## spoil packets for a minute (ARGS="--seconds 600"); SANITIZE=1: watch the codec's memory
ifdef SANITIZE
	@echo "Building the codec with AddressSanitizer and UndefinedBehaviorSanitizer (some minutes) ..."
	@rm -rf build/sanitized
	@CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g" \
		$(PIP) install --no-deps --target build/sanitized .
	@LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=build/sanitized MMOINV_CODEC=compiled \
		$(BIN)/python fuzz $(ARGS)
else
	@MMOINV_CODEC=compiled $(BIN)/python fuzz $(ARGS)
endif

bench: check $(VENV)/.bench ## run the benchmarks: each figure beside its target and the last run, and a page with plots
	@mkdir -p .benchmarks
	@MMOINV_CODEC=compiled $(BIN)/python -m pytest benchmarks --benchmark-json=.benchmarks/run.json $(ARGS)

figures: check $(VENV)/.base ## write the figures of the last 'make bench' into the README
	@$(BIN)/python benchmarks/readme_table.py

lint: check $(VENV)/.lint $(VENV)/.test $(VENV)/.wheel ## check style, types, the floors, the workflows and which wheels are built
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint --max-line-length 100 src/mmoinv/_codec.pyx
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/zizmor --offline --quiet --strict-collection .github
	@$(BIN)/python tools/build_identifiers.py

wheel: check $(VENV)/.wheel ## build the sdist and, from it, the wheel; audit and try both
	@rm -rf dist
	@echo "Building the sdist and, from it, the wheel (about a minute) ..."
	@$(BIN)/python -m build --quiet --outdir dist
	@$(BIN)/python tools/audit_wheel.py dist
	@ls -1 dist

clean: ## remove what was built, installed or measured
	@rm -rf $(VENV) build dist demo .benchmarks .fuzz src/*.egg-info src/mmoinv/*.so
