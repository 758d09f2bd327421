# Plain `make` prints what there is. Every target sets up what it needs: on a fresh clone the first one makes .venv.
#
#   make test PYTHON=python3.12  another interpreter
#   make test TORCH='torch==2.13.0+cpu --extra-index-url ADDRESS'  another build of torch

SHELL := bash
.DEFAULT_GOAL := help

PYTHON ?= python3
TORCH ?= $(shell grep '^torch==' constraints.txt)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The page has an environment of its own, see constraints-page.txt.
PAGE_VENV := .venv-page
PAGE_STAMP := $(PAGE_VENV)/.installed
# Where `make web` puts the static page.
WEB := outputs/web
# Where `make space` puts a folder that is a Gradio Space.
SPACE := outputs/space
# The suite and the demonstration use what lies in the checkout; nothing is looked up on the Hub.
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1

# Inputs of `make fuzz` for each test, and the seed that draws them.
EXAMPLES ?= 1000
SEED ?= 0

# What the benchmarks need from outside the checkout, see benchmarks/run_all.py --list.
DATA ?=

.PHONY: help
help: ## this list
	@echo "make TARGET, where TARGET is"
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP) ## try the published models, train a little one, write demo/index.html
	$(OFFLINE) $(BIN)/hf-kexue demo

.PHONY: test
test: $(STAMP) ## the suite but its slow and fuzz tests, two processes
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not fuzz"

.PHONY: test-slow
test-slow: $(STAMP) ## the slow tests: the life on the Hub, several processes, kills, streams
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

.PHONY: fuzz
fuzz: $(STAMP) ## inputs by the thousand, EXAMPLES=1000 for each test, SEED=0; what fails is kept in outputs/fuzz
	$(OFFLINE) OMP_NUM_THREADS=1 FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m fuzz tests/fuzz \
		--hypothesis-seed=$(SEED) --hypothesis-show-statistics

.PHONY: page
page: $(PAGE_STAMP) ## a page to try the published models in a browser, at port 7860
	$(if $(HF_KEXUE_MODELS),,$(OFFLINE)) GRADIO_ANALYTICS_ENABLED=False $(PAGE_VENV)/bin/python app.py

.PHONY: test-page
test-page: $(PAGE_STAMP) ## the page's test in a headless Chromium; screenshots in outputs/screenshots
	$(OFFLINE) OMP_NUM_THREADS=1 SCREENSHOTS=outputs/screenshots $(PAGE_VENV)/bin/python -m pytest tests/demo/test_page_browser.py

.PHONY: web
web: ## the static page, questions and triples in a browser without a server, in outputs/web; needs node
	@command -v npm > /dev/null || { echo "There is no npm here: install Node.js 20 or newer."; exit 2; }
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	node web/build.mjs $(WEB)

.PHONY: test-web
test-web: $(PAGE_STAMP) web ## the static page's tests in node and a headless Chromium; screenshots in outputs/screenshots
	$(OFFLINE) OMP_NUM_THREADS=1 SCREENSHOTS=outputs/screenshots $(PAGE_VENV)/bin/python -m pytest tests/web

.PHONY: space
space: ## the page as the folder of a Gradio Space, with package and models; SPACE=FOLDER
	@rm -rf $(SPACE) && mkdir -p $(SPACE)/src $(SPACE)/model_cards
	cp app.py space/README.md space/requirements.txt LICENSE $(SPACE)
	cp -r src/hf_kexue $(SPACE)/src
	find $(SPACE)/src -name __pycache__ -prune -exec rm -r {} +
	cp -r $(dir $(wildcard model_cards/*/README.md)) $(SPACE)/model_cards

.PHONY: models
models: $(STAMP) ## the published models, each with the code that loads it without the package, in outputs/models
	$(BIN)/python -m hf_kexue.hub $(dir $(wildcard model_cards/*/README.md)) --output outputs/models

.PHONY: copies
copies: $(STAMP) ## write the files that several families hold alike, from those of simple_diffusion
	$(BIN)/python dev/write_copies.py

.PHONY: lint
lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(STAMP) ## mypy over src, training, benchmarks and app.py
	$(BIN)/mypy

.PHONY: docs
docs: $(STAMP) ## the documentation into outputs/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(OFFLINE) $(BIN)/python -m mkdocs build --strict
	SITE=outputs/site $(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_site.py

.PHONY: matrix
matrix: ## the suite on other versions, an environment for each row of CONTRIBUTING.md; ROWS='lowest newest' for some
	$(PYTHON) dev/matrix.py --processes 2 $(if $(ROWS),--rows $(ROWS))

.PHONY: bench
bench: $(STAMP) ## the benchmarks, those that need data too with DATA='NAME=FOLDER_OR_HUB_ID ...'
	$(BIN)/python benchmarks/run_all.py $(if $(DATA),--data $(DATA))

.PHONY: dist
dist: $(STAMP) ## the distributions, wheel and source, in dist/; see RELEASE.md
	rm -rf dist
	$(BIN)/python -m hatchling build

.PHONY: install
install: $(STAMP) ## only the environment, .venv

.PHONY: clean
clean: ## remove .venv, .venv-page, caches and the demonstration's page; trained models in outputs/ stay
	rm -rf $(VENV) $(PAGE_VENV) .mypy_cache .pytest_cache .ruff_cache demo

# torch comes first and alone, so that TORCH decides its build and nothing else pulls in another one.
# $(call install,ENVIRONMENT,EXTRA,CONSTRAINTS)
define install
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON) here; name another one: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "hf_kexue needs Python 3.11 or newer, and $(PYTHON) is `$(PYTHON) -V 2>&1`; name another one: make PYTHON=python3.12"; \
		exit 2; }
	@$(PYTHON) -m venv $(1) || { echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu install python3-venv."; exit 2; }
	$(3) > $(1)/constraints-but-torch.txt
	$(1)/bin/python -m pip install --disable-pip-version-check $(TORCH) -c $(1)/constraints-but-torch.txt
	$(1)/bin/python -m pip install --disable-pip-version-check -e ".[$(2)]" -c $(1)/constraints-but-torch.txt
	@$(1)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torchvision") is not None)' || { \
		echo "torchvision is installed in $(1). hf_kexue does not use it, and beside a torch of another build it breaks 'import diffusers':"; \
		echo "run '$(1)/bin/python -m pip uninstall torchvision' and try again."; \
		exit 2; }
	@touch $@
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(VENV),dev,grep -v '^torch==' constraints.txt)

$(PAGE_STAMP): pyproject.toml constraints.txt constraints-page.txt
	$(call install,$(PAGE_VENV),test-page,grep -v -e '^torch==' -e '^pillow==' constraints.txt | cat - constraints-page.txt)
