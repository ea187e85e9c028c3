# Two commands do everything from nothing: `make demo` and `make test`. `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LEARNERS := $(VENV)/.learners
LINT := $(VENV)/.lint
EVERYTHING := test,files,rd
AXE := $(VENV)/axe/.ready

# The first Python on the path that is new enough; another one: make PYTHON=/path/to/python install
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

STUDY ?= data/road_safety/study.toml
OUT ?= reports/$(notdir $(patsubst %/,%,$(dir $(STUDY))))

# One thread for linear algebra: the same bits in every run, and no quarrel between pytest's workers.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MPLBACKEND := Agg
# What Python compiles is kept, in one folder and not beside the sources: a process that compiles everything anew, as each
# kernel of a report would, takes more than twice as long to start.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.compiled

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow coverage mutants frozen lint report site notebooks lab picture recovery speed faults house inventory constraints clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# Packages of some extras, by uv where it is to be had (kept only as long as it is needed: it weighs 60 MB), else by pip.
# $(call packages,EXTRAS)
packages = tools=$$(mktemp -d) && { \
		{ $(BIN)/python -m pip install --quiet --disable-pip-version-check --target $$tools uv || echo "uv is not to be had: going on with pip."; } && \
		{ { test -x $$tools/bin/uv && $$tools/bin/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; } || \
			$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'; }; \
	}; made=$$?; rm -rf $$tools; test $$made = 0

install: $(READY) ## make .venv with everything that demo and most tests need (less than 900 MB)

# The mark is written last: an install that fails leaves none, and is done again next time.
$(READY): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "evalkit needs Python 3.11 or newer, and none was found. Install one (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
		echo "or name it: make PYTHON=path/to/python $(MAKECMDGOALS)" >&2; exit 1; \
	fi && \
	rm -f $(READY) && \
	if [ ! -x $(BIN)/python ]; then \
		echo "Making $(VENV) with $(PYTHON) ..." && \
		"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
			echo "Python's venv module does not work here. Install it (Debian, Ubuntu: apt-get install python3-venv), then run make again." >&2; exit 1; }; \
	fi && \
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(VENV) holds a Python older than 3.11: remove the folder and run make again.")' && \
	echo "Installing (about a minute) ..." && \
	{ $(call packages,$(EVERYTHING)); } && \
	touch $(READY)

# Learners (econml, and numba with it) weigh 230 MB: they come with what needs them.
$(LEARNERS): $(READY)
	@echo "Installing learners (230 MB, for the tests and the site) ..." && { $(call packages,ml); } && touch $(LEARNERS)

$(LINT): $(READY)
	@echo "Installing ruff and mypy (80 MB) ..." && { $(call packages,lint); } && touch $(LINT)

demo: $(READY) ## evaluate the three studies that come with evalkit and write their reports
	@$(BIN)/evalkit demo

# Pages are judged by axe-core: the newest one where npm is at hand, else the one that the test extra brings.
$(AXE): $(READY)
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix $(VENV)/axe axe-core@4 >/dev/null 2>&1 \
		|| echo "axe-core could not be had from npm: the older one from the test extra is used."; fi; mkdir -p $(VENV)/axe && touch $(AXE)

test: $(LEARNERS) $(AXE) ## run every test but the slow ones
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow"

test-slow: $(LEARNERS) $(AXE) ## run the slow tests (listed in CONTRIBUTING.md)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q -m slow

coverage: $(LEARNERS) $(AXE) ## run the tests and print which share of the lines of evalkit/ they reach; exit 1 below 95%
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow" --cov=evalkit --cov-report=term --cov-fail-under=95

frozen: $(LEARNERS) ## compare every study's answers and reports with tests/frozen (minutes); exit 1 if any moved
	@$(BIN)/python tests/frozen/make.py --check --reports --jobs 2

lint: $(LINT) ## ruff (lint and format) and the type checker
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy

mutants: $(LEARNERS) ## seed faults one at a time and see that the tests catch them (minutes)
	@PYTHONDONTWRITEBYTECODE=1 $(BIN)/python tests/mutants/run.py

report: $(READY) ## evaluate a study: make report STUDY=folder/study.toml OUT=folder
	@$(BIN)/evalkit run $(STUDY) --out $(OUT)

site: $(LEARNERS) ## pages that teach, the reports that were built and the notebooks, run, in site/
	@$(BIN)/python docs/build_site.py

notebooks: $(READY) ## write the notebooks as .ipynb beside their sources
	@$(BIN)/jupytext --quiet --to ipynb notebooks/*.py && ls notebooks/*.ipynb

lab: notebooks ## open the notebooks in JupyterLab (installs it into .venv the first time)
	@test -x $(BIN)/jupyter-lab || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[lab]'; $(BIN)/jupyter-lab notebooks

picture: $(READY) ## draw docs/page-one.png from the road-safety report (needs Chromium)
	@$(BIN)/python docs/make_picture.py

recovery: $(READY) ## simulate studies with known truth and print how well it is found (minutes)
	@$(BIN)/python benchmarks/recovery.py

speed: $(READY) ## print times and memory (with make PEERS=1 speed: beside other packages)
	@{ test -z "$(PEERS)" || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[peers]'; } && $(BIN)/python benchmarks/speed.py

faults: $(READY) ## kills, full disks and the like while a report is written (half an hour; as root for the disks)
	@$(BIN)/python benchmarks/faults.py

house: $(READY) ## size, circles, walks, types and processor time of the package
	@$(BIN)/python benchmarks/house.py --time

inventory: $(READY) ## write docs/modules.md again
	@$(BIN)/python tests/contract/test_inventory.py

constraints: $(READY) ## pin the newest versions that go together
	@$(BIN)/python -m pip install --quiet uv && $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --extra test --extra files --extra rd --extra ml --extra lint \
		pyproject.toml -o constraints.txt && echo "constraints.txt: $$(wc -l < constraints.txt) packages"

clean: ## remove what was made here, but not .venv
	@find reports -mindepth 1 -not -name README.md -delete 2>/dev/null; rm -rf site .compiled .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage build dist && find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
