# `make` lists the targets. All files go to .venv and build/; `make clean` removes both.
#
#   PYTHON=python3.12   instead of the first suitable Python
#   EXTRAS=gpu          faiss-gpu instead of faiss-cpu
#   JOBS=2              number of test processes
.DEFAULT_GOAL := help
.PHONY: help demo test lint docs test-wheel install clean

PYTHON ?=
EXTRAS ?= cpu
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed-$(EXTRAS)
INPUTS := pyproject.toml constraints.txt .ci/install.py

# The first suitable Python, or an error with a hint.
FIND_PYTHON = for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	    && python="$$name" && break; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "imgsearch needs Python 3.11, 3.12 or 3.13, but none of these is suitable: $(or $(PYTHON),python3 python3.13 python3.12 python3.11)" >&2; \
	  echo "Install one, or give its path: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## index the demo photos and search them
	@IMGSEARCH="$(BIN)/imgsearch" sh data/demo.sh

test: lint ## lint, types, import contract and every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(READY)-test ## ruff, mypy and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## regenerate docs/CLI.md from the commands' --help
	$(BIN)/python -m imgsearch.cli.reference docs/CLI.md

test-wheel: $(READY)-test ## tests against the built wheel, away from the checkout
	JOBS=$(JOBS) sh .ci/test-wheel $(BIN)/python

install: $(READY) ## create .venv and install imgsearch in it

# An editable install, which only changed requirements need to repeat.
$(READY): $(INPUTS)
	@$(FIND_PYTHON); "$$python" .ci/install.py $(VENV) $(EXTRAS)
	@touch $@

$(READY)-test: $(INPUTS)
	@$(FIND_PYTHON); "$$python" .ci/install.py $(VENV) $(EXTRAS),mcp,ocr,preview,raw,test,web
	@touch $@ $(READY)

clean: ## remove .venv, the demo library, builds and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis .import_linter_cache .grimp_cache
	find imgsearch migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
