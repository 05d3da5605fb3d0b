# The targets other programs rely on. Each sets up what it needs; set-up is instant when nothing changed.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
STAMP := $(VENV)/.setup-done

.PHONY: setup demo test kill-test fuzz fuzz-media check format bench bench-full serve train evaluate survey
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): requirements.lock torch.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PIP) install --quiet -r torch.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(PY) tools/demo.py

test: $(STAMP)
	$(PY) -m pytest

kill-test: $(STAMP)
	$(PY) tests/killing.py --requests 500 --kills 60 --seed 1

fuzz: $(STAMP)
	@$(PY) tests/fuzz.py

fuzz-media: $(STAMP)
	@$(PY) tests/fuzz_media.py

check: $(STAMP)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(PY) -m pytest -q tests/test_layers.py
	$(PY) tools/audit.py

format: $(STAMP)
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

# Not full_geometry: it writes 22 GB, and has a target of its own.
bench: $(STAMP)
	@set -e; for file in bench/decode.py bench/sandbox.py bench/gateway.py bench/dripping.py bench/language.py; do echo "== $$file"; $(PY) -m bench.$$(basename $$file .py); done

bench-full: $(STAMP)
	$(PY) -m bench.full_geometry

serve: $(STAMP)
	@$(VENV)/bin/omnireel serve

train: $(STAMP)
	@set -e; for step in pictures tower talk export; do $(PY) -m training $$step; done

evaluate: $(STAMP)
	$(PY) -m training evaluate

survey: $(STAMP)
	@set -e; $(PY) -m training pictures; \
	for name in scenes wordings alike writing pictures; do echo "$$name:"; $(PY) -m training survey $$name; done
