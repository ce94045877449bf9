# make demo       a talking portrait from the bundled photo and recording -> out/demo.mp4
# make test       the default tests (minutes); make test-all also the slow ones (extra: metrics)
# make lint       ruff
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do command -v $$p >/dev/null 2>&1 && \
  $$p -c 'import sys; sys.exit(not (3,10) <= sys.version_info[:2] <= (3,12))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint install
.DEFAULT_GOAL := demo

install: $(VENV)/.installed

# Prefer the versions tested together; where a platform lacks one of them, whatever pyproject.toml admits.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "fd2talk needs Python 3.10, 3.11 or 3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]" || $(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

demo: install
	@$(BIN)/fd2talk generate assets/demo/portrait_woman.jpg \
	  assets/demo/sense_and_sensibility_01_austen_64kb-0880.wav -o out/demo.mp4 --overwrite

test: install
	@$(BIN)/python -m pytest

test-all: install
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,train,metrics]"
	@$(BIN)/python -m pytest -m "slow or not slow"

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
