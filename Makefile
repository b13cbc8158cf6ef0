# `make run` and `make test` do everything on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The folder of the store that `make run` runs, and what it loads: a sample of this size, which ends
# yesterday if no day is named; or a CSV.
STORE ?= include
LISTINGS ?=
DAYS ?= 365
LAST_DAY ?=
CSV ?=
DATA := --store "$(STORE)" $(if $(CSV),--csv "$(CSV)") $(if $(LISTINGS),--listings $(LISTINGS)) \
	--days $(DAYS) $(if $(LAST_DAY),--last-day $(LAST_DAY))

# Which breakages `make breakages` does; all of them if none is named.
NAMES ?=

# How many faults `make faults` sees take effect (200), how many mutants `make mutation` judges (all of
# them), and which of the possible campaigns or draws it is.
COUNT ?=
SEED ?= 1

# The Pythons of `make test-pythons`.
PYTHONS ?= 3.11 3.12 3.13

# What the benchmark measures: sizes in listings (each with :runs of its own if wanted), how often,
# after how many seconds a query of the reference's own is given up, on which server (a libpq
# connection string; an embedded one if empty), and where results go.
SIZES ?=
RUNS ?= 3
PATIENCE ?= 120
DSN ?=
OUT ?= .run/bench/results
BENCH = BENCH_DSN="$$DSN" $(BIN)/python -m bench
BENCHED = $(if $(SIZES),--sizes "$(SIZES)") --runs $(RUNS) --patience $(PATIENCE) --out "$(OUT)"

# Handed on by the environment: an argument of a program is there for all to read.
export DSN
# Three at once on two cores: tests of a real Airflow mostly wait.
TESTS := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder
# Some of these take ten seconds, most none: whoever is done takes over.
FAST := -m pytest -n 2 --dist worksteal -m "not server and not slow" tests/feature_store tests/config tests/oracle
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" --quiet

export PYTHONPATH := plugins:.
# Else each of the hundreds of processes of a test run would compile the package for itself.
unexport PYTHONDONTWRITEBYTECODE
# The embedded server's launcher says this on machines without a desktop session.
export PYTHONWARNINGS := ignore:XDG_RUNTIME_DIR

.DEFAULT_GOAL := help
.PHONY: help run breakages faults mutation sixty-nights bench bench-readers bench-bloat bench-plans bench-served bench-years bench-tables test-fast test test-all test-pythons browser lint drawings format lock airflow stop clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Options of make run: LISTINGS=$(or $(LISTINGS),10000) DAYS=$(DAYS) LAST_DAY=$(or $(LAST_DAY),yesterday), or CSV=path;"
	@echo "  and STORE=$(STORE), or STORE=examples/bike_stations"
	@echo "  Of make breakages: NAMES=median-off, or several in quotes; NAMES=--help lists them"

run: $(READY) ## Refresh a complete store through the real DAG, on an embedded PostgreSQL
	@$(BIN)/python -m sandbox.run $(DATA)

breakages: $(READY) ## Break stores in every way we know; see that each gives the right verdict and mail
	@$(BIN)/python -m sandbox.breakages $(NAMES)

faults: $(READY) ## Do faults to nights, at random; see that each is survived (COUNT, SEED; goes on if stopped)
	@$(BIN)/python -m tests.faults --count $(or $(COUNT),200) --seed $(SEED)

mutation: $(READY) ## Put one mistake after another into every query; see that the proof finds each (COUNT, SEED)
	@$(BIN)/python -m tests.mutation $(if $(COUNT),--count $(COUNT)) --seed $(SEED)

sixty-nights: $(READY) ## Let sources live for sixty nights; see how far history moves from what was served
	@$(BIN)/python -m sandbox.sixty_nights

bench: $(READY) ## Measure refreshes against the reference and the floor (SIZES, RUNS, PATIENCE, DSN, OUT)
	@$(BENCH) refresh $(BENCHED)

bench-readers: $(READY) ## Measure what readers notice of a refresh
	@$(BENCH) readers $(BENCHED)

bench-bloat: $(READY) ## Measure sizes over thirty nights of concurrent refreshes
	@$(BENCH) bloat $(BENCHED)

bench-plans: $(READY) ## Show how the server carries out E, F2 and D4
	@$(BENCH) plans $(BENCHED)

bench-served: $(READY) ## Measure what the feature logs add to a night
	@$(BENCH) served $(BENCHED)

bench-years: $(READY) ## Measure what the feature logs are after ten years
	@$(BENCH) years $(BENCHED)

bench-tables: $(READY) ## Make the tables and the plot of the published results anew
	@$(BENCH) refresh --render --out bench/results
	@$(BENCH) readers --render --out bench/results
	@$(BENCH) bloat --render --out bench/results
	@$(BENCH) served --render --out bench/results
	@$(BENCH) years --render --out bench/results

test-fast: $(READY) ## Run most tests that start no server and install nothing
	$(BIN)/python $(FAST)

test: $(READY) ## Run the tests on the newest PostgreSQL, but those in a browser and a few slow ones
	$(TESTS) -k "not pg15 and not pg16" -m "not slow"

test-all: $(READY) providers ## Run the slow tests, too, on every PostgreSQL that is to be had here
	$(TESTS)

test-pythons: $(READY) ## Run what test-fast runs, and the wheel, on every Python that is to be had here
	@set -e; for version in $(PYTHONS); do \
		found=; for python in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python; do \
			if $$python -c 'import ssl, sqlite3' 2> /dev/null; then found=$$python; fi; \
		done; \
		if test -z "$$found"; then echo "There is no Python $$version here."; continue; fi; \
		echo "Python $$version"; \
		$$found -m venv .run/python-$$version; \
		$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode \
			--python .run/python-$$version/bin/python requirements.lock; \
		.run/python-$$version/bin/python $(FAST) tests/wheel; \
	done

browser: $(READY) ## Look at the page inside Airflow with this machine's Chromium
	@$(BIN)/uv pip install --quiet --require-hashes --requirement requirements-browser.lock
	$(BIN)/python -m pytest -n 0 tests/browser

.PHONY: providers
providers: $(READY) ## Test what goes through Airflow's own providers: OpenLineage, Slack, and Teams by apprise
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .run/providers
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode \
		--python .run/providers/bin/python requirements.lock requirements-providers.lock
	.run/providers/bin/python -m pytest -n 0 \
		tests/dags/test_open_lineage.py tests/feature_store/reporting/mail/test_notices.py

lint: $(READY) ## Check style, types, floors and SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy plugins sandbox dags config bench bin
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar include/sql examples plugins sandbox bench

drawings: $(READY) ## Draw docs/architecture.md anew: the floors, and which file has a function's text of today
	$(BIN)/python -m tests.docs.drawings

format: $(READY) ## Format Python
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## Renew the locks from the direct requirements
	$(LOCK) requirements-dev.txt -o requirements.lock
	$(LOCK) requirements-image.txt --constraint requirements.lock -o requirements-image.lock
	$(LOCK) requirements-browser.txt --constraint requirements.lock -o requirements-browser.lock
	$(LOCK) requirements-providers.txt --constraint requirements.lock -o requirements-providers.lock

airflow: $(READY) ## Start Airflow itself on the store of the last make run, for this machine only
	@test -f .run/environment || { echo "Run make run first."; exit 1; }
	@. ./.run/environment; $(BIN)/python -m sandbox.standalone

stop: $(READY) ## Stop the embedded PostgreSQL; its data stay
	@$(BIN)/python -m sandbox.stop

clean: ## Remove the environment and everything that make run made
	@if test -x $(BIN)/python; then $(BIN)/python -m sandbox.stop; fi
	rm -rf "$$($(PYTHON) -c 'from sandbox.home import SERVERS; print(SERVERS)')" $(VENV) .run

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one with make PYTHON=…"; exit 1; }
	@echo "Setting up $(VENV): about a minute, once."
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@touch $@
