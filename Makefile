# The verbs of the project. The first one called on a fresh machine makes .venv; the next is instant.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CONSTRAINTS := deploy/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test unit check fix fuzz sbom audit bench faults soak scale conformance docs screenshots strings clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv and install the pinned packages

$(READY): setup.cfg $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(f"ichnode needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; say make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint $(CONSTRAINTS) --editable ".[dev]"
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # a minute's work on one core, shared by all; some files are of other versions
	@touch $@

demo: $(READY) ## a simulated patient through the whole line, under 90 seconds
	$(BIN)/ichnode demo

serve: $(READY) ## run the node with config/node.toml
	$(BIN)/ichnode serve

# Programs that tests start find what Python has compiled, even where the environment forbids to keep it: a third of their time.
# Tests of processes wait much, and come first: one more tester than there are cores keeps the cores at work, and ten is enough.
TESTERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 9 ? cores + 1 : 10)))
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder
ON_POSTGRESQL := $(addprefix tests/unit/node/test_node_, ledger_jobs.py ledger_series.py ledger_release.py reprocess.py urgent.py)

test: $(READY) ## all tests; those whose peer is not installed skip and say so; TESTERS=N at once
	$(BIN)/python -m compileall -q dicom_node pipeline training
	$(PYTEST) --ledger postgresql $(ON_POSTGRESQL)
	$(PYTEST)

unit: $(READY) ## unit and house tests only
	$(BIN)/python -m pytest tests/unit tests/house

check: $(READY) ## ruff, format, mypy --strict, import contracts, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(READY) ## let ruff repair and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

CASES ?= 100000

fuzz: $(READY) ## damaged input for every parser: make fuzz CASES=100000
	$(BIN)/python -m tests.fuzz --cases $(CASES)

sbom: $(READY) ## write the software bill of materials: sbom.cdx.json
	$(BIN)/python deploy/sbom.py --output sbom.cdx.json

audit: $(READY) ## look for known vulnerabilities; offline with ADVISORIES=PyPI-all.zip of osv.dev
	$(BIN)/python deploy/audit.py $(if $(ADVISORIES),--advisories $(ADVISORIES))

bench: $(READY) ## time the line and print ratios against peers
	$(BIN)/python -m tests.bench

faults: $(READY) ## kill, starve and confuse the node 500 times and look for losses; KILLS=N for more
	$(BIN)/python -m tests.faults --kills $(or $(KILLS),500)

soak: $(READY) ## 10,000 images through the node; does its memory stay flat? SERIES=N for fewer
	$(BIN)/python -m tests.soak --series $(or $(SERIES),200)

scale: $(READY) ## what the engine costs with 1, 2, 4, 8 workers, and after a host is killed
	$(BIN)/python -m tests.scale

conformance: $(READY) ## write docs/conformance.md from the running tables
	PYTHONPATH=.:tests $(BIN)/python tests/made_objects.py
	$(BIN)/ichnode conformance --output docs/conformance.md
	$(BIN)/ichnode conformance --ihe --output docs/integration.md

screenshots: $(READY) ## pictures of the pages in docs/pictures; needs a chromium
	$(BIN)/python -m tests.screenshots

docs: $(READY) ## the documentation site in docs-site, strict; read docs-site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

strings: $(READY) ## bring the catalog of the pages' words in step; then fill in what is empty and say it again
	$(BIN)/pybabel --quiet extract -k mark -F dicom_node/web/locale/babel.cfg --no-location --sort-output --omit-header -o $(VENV)/pages.pot .
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --omit-header -N -w 99 -i $(VENV)/pages.pot -d dicom_node/web/locale -D pages
	$(BIN)/pybabel --quiet compile --use-fuzzy -d dicom_node/web/locale -D pages

clean: ## remove .venv, caches and demonstration output
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache demo-output bench-output faults-output scale-output docs-site *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
