# Everything here runs in the environment VENV, which `make setup` prepares.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch torchvision
STACK ?= openmmlab
EXTRAS ?= timm,datasets,vis,umap,cam,bench,deploy,demo,docs
PYTEST_ARGS ?=
GPU_ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.csd_mmpretrain
DEMO := work_dirs/demo

# Threads that spin while they wait are ten times as slow on busy cores.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup demo bench gpu docs test lint clean

help:
	@echo 'make setup  prepare the environment (repeated: nothing to do)'
	@echo 'make demo   train on drawn leaves, test, draw the masks'
	@echo 'make bench  accuracy and cost against plain training, short form'
	@echo 'make gpu    train, measure and test on one GPU, in eight minutes'
	@echo 'make docs   the guides as a site in site/, links checked'
	@echo 'make test   run the tests'
	@echo 'make lint   check the style'
	@echo 'make clean  remove the environment, the demo and the site'
	@echo
	@echo 'VENV=DIR        the environment, made where missing ($(VENV))'
	@echo 'PYTHON=PROGRAM  Python 3.9 to 3.12 that makes it ($(PYTHON))'
	@echo 'STACK=NAME      openmmlab, or onedl for the maintained forks'
	@echo 'EXTRAS=LIST     of setup.py ($(EXTRAS))'
	@echo 'TORCH="..."     the pair, such as "torch==2.4.1 torchvision==0.19.1"'
	@echo 'GPU_ARGS=...    of tools/gpu_check.py; --short runs on a CPU, too'
	@echo 'PYTEST_ARGS=... more options of pytest, such as "-k queue"'

setup: $(STAMP)

$(STAMP): setup.py pyproject.toml Makefile
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; \
	    sys.exit(0 if v in ("3.9", "3.10", "3.11", "3.12") else \
	    "$(PYTHON) is Python " + v + ", but 3.9 to 3.12 is needed: " \
	    "name one, as in make setup PYTHON=python3.12")' && \
	  $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install 'setuptools>=70.1,<82'
	$(BIN)/python -m pip install --no-build-isolation --no-deps -e .
	$(BIN)/python -m pip install $(TORCH) \
	  'csd_mmpretrain[$(STACK),$(EXTRAS),dev]'
	$(BIN)/python -c 'import csd_mmpretrain'
	@touch $@

demo: setup
	rm -rf $(DEMO)
	$(BIN)/python tools/train.py configs/csdnet/demo.py --work-dir $(DEMO)
	$(BIN)/python tools/test.py configs/csdnet/demo.py \
	  "$$(cat $(DEMO)/last_checkpoint)" --work-dir $(DEMO)/test \
	  --out $(DEMO)/test.json --out-item metrics
	$(BIN)/python tools/visualization/vis_ssdp.py configs/csdnet/demo.py \
	  "$$(cat $(DEMO)/last_checkpoint)" --split test --num 6 \
	  --out $(DEMO)/masks.png
	@$(BIN)/python -c 'import json; \
	  score = json.load(open("$(DEMO)/test.json"))["accuracy/top1"]; \
	  print(f"\nTest accuracy: {score:.1f} %\nMasks: $(DEMO)/masks.png")'

bench: setup
	$(BIN)/python tools/benchmark_accuracy.py configs/benchmark/leaves.py
	$(BIN)/python tools/benchmark_step.py configs/csdnet/demo.py
	$(BIN)/python tools/benchmark_ddl.py --queue-lens 1000 10000

gpu: setup
	$(BIN)/python tools/gpu_check.py $(GPU_ARGS)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'Look at it with: python -m http.server -d site'

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

lint: setup
	$(BIN)/python -m ruff check .

clean:
	rm -rf .venv build dist site *.egg-info csd_mmpretrain/.mim $(DEMO)
	rm -rf .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
