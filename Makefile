# make demo       a talking portrait from the bundled photo and recording -> out/demo.mp4
# make test       the default tests (minutes); make test-all also the slow ones (extra: metrics)
# make test-apps  tests in node and Chromium, which it installs where it can: the exported mesh, the report, the site
# make test-integrations   tests with Pipecat and LiveKit Agents, in an environment of their own
# make lint       ruff and mypy
# make docs       the documentation site -> out/site
# With Python 3.10 to 3.12 nothing but packages is downloaded; 3.13 and later need a file of the face tracker, too.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3 python3.13 python3.14; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3,10))' 2>/dev/null && \
  echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Tests on as many cores as there are, one thread each, but in no more processes than the memory of small machines holds.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist worksteal
# With its progress on a terminal.
PIP = $(BIN)/python -m pip install $$(test -t 2 || echo --quiet)

.PHONY: demo test test-all test-apps test-integrations lint docs install
.DEFAULT_GOAL := demo

install: $(VENV)/.installed

# Prefer the versions tested together; where a platform lacks one of them, whatever pyproject.toml admits.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "fd2talk needs Python 3.10 or later"; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing fd2talk and the packages that it needs into $(VENV); this takes a few minutes"
	@$(PIP) -c constraints.txt -e ".[dev]" || { echo "once more, with any versions that fit"; $(PIP) -e ".[dev]"; }
	@touch $@

demo: install
	@$(BIN)/fd2talk generate assets/demo/portrait_woman.jpg \
	  assets/demo/sense_and_sensibility_01_austen_64kb-0880.wav -o out/demo.mp4 --overwrite

test: install
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-all: install
	@echo "installing what training and measuring need into $(VENV)"
	@$(PIP) -c constraints.txt -e ".[dev,train,metrics]"
	@$(PIP) -e ".[blender]" || echo "no Blender (bpy) for this Python: its test is skipped"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not apps"

test-apps: docs
	@$(PIP) -e ".[apps]"
	@tests/apps/install.sh
	@$(BIN)/python -m pytest -m apps tests/apps

test-integrations:
	@tests/fd2talk/integrations/run.sh

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/mypy integrations/comfyui

$(VENV)/.docs: $(VENV)/.installed
	@echo "installing what the documentation needs into $(VENV)"
	@$(PIP) -c constraints.txt -e ".[docs]" || $(PIP) -e ".[docs]"
	@touch $@

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict && echo out/site/index.html
