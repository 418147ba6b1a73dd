# The commands of a developer. Two are enough for a newcomer: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
N ?= 80
SEED ?= 1
WORKERS ?= 4
MINUTES ?= 10
MOVES ?= 20
SHARE ?= 1
RUNS ?= 3
BATCHES ?= 2000000
FOLDER ?=
ROWS ?=
ARCH ?= $(shell uname -m)
WHEELHOUSE ?= build/wheelhouse-$(ARCH)
PEERS ?= lines,points,batch,single
LENGTH = $(if $(filter command,$(firstword $(origin SECONDS))),--seconds $(SECONDS))

.PHONY: demo test test-long check campaign-kill campaign-alarms campaign-states campaign-outage campaign-shards \
    campaign-audit campaign-rescues campaign-field campaign-hall campaign-receivers screens soak bench-field bench-edge bench-cloud bench-rescue bench-desk bench-catchup bench-growth bench-engines bench-trace bench-cylinders bench-listeners wheelhouse lock format clean

## demo: set up and show the whole system alive on this machine; no root, Ctrl-C ends it
demo: $(VENV)/.run
	$(BIN)/suyuan-sim demo

## test: set up and run all tests but benchmarks and long campaigns
test: $(VENV)/.dev
	@tests/system_packages.sh
	@tests/reader_packages.sh $(BIN)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not long"

## test-long: the tests that take minutes, and every campaign
test-long: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/pytest -m long
	$(MAKE) campaign-kill campaign-alarms campaign-states campaign-outage campaign-shards campaign-audit campaign-rescues campaign-field \
	    campaign-hall campaign-receivers

## check: format, lint, types, architecture, known vulnerabilities of what is locked
check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/architecture
	$(BIN)/python -m tests.dependency_audit

## campaign-kill: N kills of edge, broker, cloud and all together, under load; prints the ledger
campaign-kill: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.kill --kills $(N) --seed $(SEED)

## campaign-audit: 1,000 bent audits; all must be found and located
campaign-audit: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.audit_chain --cases 1000 --seed $(SEED)

## campaign-alarms: N kills of the process that keeps alarms' deadlines; prints the ledger
campaign-alarms: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.alarm_deadlines --kills $(N) --seed $(SEED)

## campaign-rescues: N kills of the clock of rescues (N=250 in five minutes); prints the ledger
campaign-rescues: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.rescues --kills $(N) --seed $(SEED)

## campaign-states: lost acks, an older card, a lost card, an older cloud; prints the ledgers
campaign-states: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.states

## campaign-outage: the broker away for MINUTES of load, the gateway killed in between
campaign-outage: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.outage --minutes $(MINUTES)

## campaign-shards: MOVES of shards between ingesters under load, and kills; prints the ledger
campaign-shards: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.shards --moves $(MOVES) --kills 4 --seed $(SEED)

## campaign-field: what gateways meet in the field; SHARE=0.1 for a tenth of the cases
campaign-field: $(VENV)/.dev
	@tests/system_packages.sh
	@tests/reader_packages.sh $(BIN)
	$(BIN)/python -m tests.campaigns.field --share $(SHARE) --seed $(SEED)

## campaign-hall: a filling hall: power cuts, two days offline, bad snapshots and clocks; 6 minutes
campaign-hall: $(VENV)/.dev
	@tests/system_packages.sh
	@tests/reader_packages.sh $(BIN)
	$(BIN)/python -m tests.campaigns.hall --seed $(SEED)

## campaign-receivers: receivers of every kind fail 100 times in each way, 12 kills; 4 minutes
campaign-receivers: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.receivers --each 100 --kills 12 --seed $(SEED)

## soak: a gateway at five times its load for MINUTES: memory, descriptors and threads stay flat
soak: $(VENV)/.dev
	@tests/system_packages.sh
	@tests/reader_packages.sh $(BIN)
	$(BIN)/python -m tests.campaigns.soak --minutes $(MINUTES)

## bench-field: readers, scanners and scales beside 100 lifts, on a quiet machine; prints tables
bench-field: $(VENV)/.dev
	@tests/system_packages.sh
	@tests/reader_packages.sh $(BIN)
	$(BIN)/python -m tests.benchmarks.field $(LENGTH)

## bench-engines: DuckDB, InfluxDB and VictoriaMetrics side by side, on a quiet machine; a table
bench-engines: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.engines

## bench-edge: speed and cost of the gateway under 1,000 lifts, on a quiet machine; prints tables
bench-edge: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.edge --runs $(RUNS) $(LENGTH) $(ROWS)

## bench-cloud: a steady fleet against the service, on a quiet machine; RUNS=3 SECONDS=60 ROWS=80k PEERS=lines
bench-cloud: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.cloud --runs $(RUNS) $(LENGTH) $(if $(ROWS),--rows $(ROWS)) \
	    --peers "$(PEERS)"

## bench-desk: how soon the rescue desk shows what happened, in Chromium, and the storm
bench-desk: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.desk

## screens: pictures of all pages of the rescue centre in both languages, into build/screens
screens: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.campaigns.screens

## bench-rescue: a pressed button to feed and screen beside 20,000 lifts, and the storm; RUNS=3 SECONDS=90
bench-rescue: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.rescue --runs $(RUNS) $(LENGTH)

## bench-catchup: 1,000,000 readings of one gateway, and 1,000 gateways at once, beside live data
bench-catchup: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.catchup

## bench-trace: capture, queries and lineage among 10 million events, two hours; BATCHES=40000 FOLDER=dir, of 5 each
bench-trace: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.validation
	$(BIN)/python -m tests.benchmarks.trace_store --batches $(BATCHES) $(if $(FOLDER),--folder $(FOLDER))
	$(BIN)/python -m tests.benchmarks.lineage --batches $(BATCHES) --sql

## bench-cylinders: verdicts, the due list of a million, snapshots of 300,000, from tag to gun; on a quiet machine
bench-cylinders: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.cylinders
	$(BIN)/python -m tests.benchmarks.snapshot
	$(BIN)/python -m tests.benchmarks.gate

## bench-listeners: 1,000 listeners of the feed on one core: share of it, and how late an emergency
bench-listeners: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.listeners

## bench-growth: cost per value and memory per lift from 1,000 to 40,000 lifts; RUNS=3 SECONDS=20
bench-growth: $(VENV)/.dev
	@tests/system_packages.sh
	$(BIN)/python -m tests.benchmarks.growth --runs $(RUNS) $(LENGTH)

## wheelhouse: all that a gateway installs, in one folder, for a machine without internet; ARCH=aarch64
wheelhouse: $(VENV)/.dev
	rm -rf $(WHEELHOUSE) && mkdir -p $(WHEELHOUSE)
	$(BIN)/pip download --quiet --disable-pip-version-check -r requirements-edge.lock \
	    -d $(WHEELHOUSE) --only-binary=:all: --python-version 311 --implementation cp \
	    $(foreach glibc,2014 _2_17 _2_28,--platform manylinux$(glibc)_$(ARCH))
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps . -w $(WHEELHOUSE)
	cp requirements-edge.lock $(WHEELHOUSE)/
	@echo "$(WHEELHOUSE): $$(ls $(WHEELHOUSE)/*.whl | wc -l) wheels, $$(du -sh $(WHEELHOUSE) | cut -f1)"

## format: put the code into its one format
format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## lock: renew the lock files
lock: $(VENV)/.dev
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --extra edge --extra cloud pyproject.toml \
	    -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --extra edge --extra cloud --extra influxdb --extra postgres \
	    --extra dev pyproject.toml \
	    -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --extra edge --constraint requirements.lock pyproject.toml \
	    -o requirements-edge.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --extra readers --constraint requirements-dev.lock \
	    pyproject.toml -o requirements-readers.lock

## clean: forget the virtual environment and everything built
clean:
	rm -rf $(VENV) build dist node_modules cloud/web/static/vendor

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml package-lock.json build_assets.py | $(VENV)/bin/python
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml package-lock.json build_assets.py | $(VENV)/bin/python
	@echo "Setting up $(VENV) for development (once, about a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.run
