# `make` lists what there is. Everything lives in .venv and build/; `make clean` removes both.
#
#   PYTHON=python3.12   use this Python instead of the first suitable one
#   EXTRAS=gpu          faiss-gpu instead of faiss-cpu
#   JOBS=2              how many test processes
#   FULL=1              `make test` as in CI: more repetitions, against the wheel, with coverage
.DEFAULT_GOAL := help
.PHONY: help demo test lint docs examples man install clean

PYTHON ?=
EXTRAS ?= cpu
JOBS ?= 2
FULL ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed-$(EXTRAS)
COMMA := ,
# A small Milvus for tests needs faiss-cpu, which overwrites faiss-gpu.
LITE := $(if $(findstring gpu,$(EXTRAS)),,$(COMMA)milvus-lite)
INPUTS := pyproject.toml constraints.txt .ci/install.py

# The first suitable Python, or a sentence that says what to do.
FIND_PYTHON = for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	    && python="$$name" && break; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "imgsearch needs Python 3.11, 3.12 or 3.13, and none of these is one: $(or $(PYTHON),python3 python3.13 python3.12 python3.11)" >&2; \
	  echo "Install one, or give its path: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## index the demo photos and search them
	@IMGSEARCH="$(BIN)/imgsearch" sh data/demo.sh

PYTEST_OPTIONS := -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=15

test: lint ## lint, types, import contract and every test; FULL=1: as in CI
ifeq ($(FULL),1)
	sh .ci/test-full $(BIN)/python $(PYTEST_OPTIONS)
else
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS)
endif

lint: $(READY)-test ## ruff, mypy and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## write what is generated: CLI, SETTINGS, PYTHON, the drawing in ARCHITECTURE
	$(BIN)/python -m imgsearch.cli.reference docs
	$(BIN)/python -m tools.architecture docs/ARCHITECTURE.md
	$(BIN)/python -m tools.python_reference docs/PYTHON.md

examples: $(READY) ## run the examples of README and docs again, and write their outputs
	$(BIN)/imgsearch --library build/demo-library index -q data/photos
	$(BIN)/python -m tools.documented_output build/demo-library \
	  README.md docs/TOUR.md docs/SEARCH.md docs/CURATION.md docs/EXCHANGE.md

man: $(READY) ## write manual pages into .venv/share/man
	$(BIN)/python -m imgsearch.cli.manual

install: $(READY) ## only make .venv and install imgsearch in it

# An editable install: changed sources need no new one, changed requirements do.
$(READY): $(INPUTS)
	@$(FIND_PYTHON); "$$python" .ci/install.py $(VENV) $(EXTRAS)
	@touch $@

$(READY)-test: $(INPUTS)
	@$(FIND_PYTHON); "$$python" .ci/install.py $(VENV) $(EXTRAS)$(LITE),export,mcp,milvus,ocr,postgres,preview,raw,ray,test,triton,web
	@touch $@ $(READY)

clean: ## remove .venv, the demo library, builds and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis .import_linter_cache .grimp_cache
	find imgsearch migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
