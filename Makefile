# The contributor's whole interface. Every target makes .venv and installs into it if need be; none needs root, and each
# can be run again. Needed: make, Python 3.11 or newer with venv, and a package index (PyPI).

PYTHON   ?= python3
VENV     ?= .venv
DATA_DIR ?= fhir-data
PORT     ?= 8080
TESTS    ?= tests
MB       ?= 200
ROWS     ?= 50000

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What decides the content of the environment and of the compiled definitions in the package.
INSTALLED_FROM := pyproject.toml hatch_build.py fhir_server/definitions/artefact.py

.DEFAULT_GOAL := help
# Every target with a description is a task, not a file.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

serve: $(VENV)/.serve ## run the server with its examples on http://127.0.0.1:8080/fhir (PORT=, DATA_DIR=)
	$(BIN)/fhir-server serve --load-examples --data-dir $(DATA_DIR) --port $(PORT)

test: $(VENV)/.dev ## run the tests against a MongoDB of their own (TESTS= a path)
	$(BIN)/python -m pytest $(TESTS)

check: lint types imports test ## what CI runs: style, types, import contracts, tests

fmt: $(VENV)/.dev ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## types
	$(BIN)/mypy

imports: $(VENV)/.dev ## who may import whom
	$(BIN)/lint-imports

conformance: $(VENV)/.dev ## run all our suites against fresh servers of ours; reports in conformance/results/
	$(BIN)/fhir-server conformance self

advertised: $(VENV)/.dev ## drive everything that the CapabilityStatement advertises, not only a sample
	CAPABILITIES_WHOLE=1 $(BIN)/python -m pytest --quiet tests/interactions/test_capabilities_driven.py

bench: $(VENV)/.dev ## benchmark against a bare MongoDB client in the same run; starts its own server (minutes)
	$(BIN)/python benchmarks/bench.py

bench-audit: $(VENV)/.dev ## what the audit costs: the same server with it and without it, in turns
	$(BIN)/python benchmarks/bench_audit.py

bench-access: $(VENV)/.dev ## what scopes, consent and audit cost together: signed in and open, in turns
	$(BIN)/python benchmarks/bench_access.py

bench-ingest: $(VENV)/.dev ## heart rates through Observation/$$ingest, sent twice (ROWS= 1,000,000 is the whole run)
	$(BIN)/python benchmarks/bench_ingest.py --rows $(ROWS)

bench-validate: $(VENV)/.dev ## CPU time and detection of the validator beside others from PyPI
	$(BIN)/python -W ignore -m benchmarks.validate

bench-detection: $(VENV)/.dev ## all defects that can be made in FR Core's examples, and a sample in R4's: found, and where
	$(BIN)/python -m benchmarks.detection

bench-terminology: $(VENV)/.dev ## expand, validate-code, lookup on 100,000 codes, in one worker
	$(BIN)/python benchmarks/bench_terminology.py

bench-search: $(VENV)/.dev ## thirty shapes of search on Synthea data at two sizes (needs FHIR_SUITES; minutes)
	$(BIN)/python benchmarks/bench_search.py

oracle: $(VENV)/.dev ## compare verdicts with the reference validator (needs Java 17, Maven and FHIR_SUITES; minutes)
	mvn -q -B -f benchmarks/oracle/pom.xml dependency:build-classpath -Dmdep.outputFile=$(abspath $(VENV))/oracle.txt
	$(BIN)/python benchmarks/oracle/compare.py --classpath $(VENV)/oracle.txt

oracle-search: $(VENV)/.dev ## 10,000 random searches against a slow oracle; others with ORACLE_FIRST= (minutes)
	ORACLE_ROUNDS=$${ORACLE_ROUNDS:-200} $(BIN)/python -m pytest --quiet tests/interactions/test_search_oracle.py

bench-content: $(VENV)/.dev ## a Binary of 200 MB up and down: rates, and memory of the worker (MB= its size)
	$(BIN)/python benchmarks/large_content.py --mb $(MB)

kill-test: $(VENV)/.dev ## kill -9 of worker, server and mongod in the middle of a load, ten times (minutes)
	PYTHONPATH=benchmarks $(BIN)/python -m kill_run --rounds 10

jepsen: $(VENV)/.dev ## the same on a replica set of three: primaries, a majority, paused members (minutes)
	PYTHONPATH=benchmarks $(BIN)/python -m kill_run --members 3 --rounds 14

docs: $(VENV)/.dev ## write the generated pages of docs/
	$(BIN)/fhir-server config docs > docs/settings.md
	PYTHONPATH=. $(BIN)/python docs/profile_pages.py

dist: $(VENV)/.dev ## build the wheel and the source archive into dist/
	rm -rf examples/clients/javascript/node_modules # the wheel carries the examples, not what npm adds to them
	$(BIN)/python -m build

clean: ## remove everything that was made, except data (fhir-data stays)
	rm -rf $(VENV) .venv-3.13 dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	rm -f fhir_server/definitions/r4.artefact
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	    { echo "This Python lacks venv (on Debian and Ubuntu: apt-get install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: $(INSTALLED_FROM) | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.serve
