# `make demo` and `make test` need Python 3.11+, make and a package index; a C compiler and servers on PATH are used
# where they are. PYTHON=python3.12 chooses another interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILED := $(shell grep -rl '^\# cython:' tap --include='*.py') $(shell find tap -name '*.pxd')
# What the compiler made. A module that is no longer compiled would be hidden by it.
MADE := find tap \( -name '*.so' -o -name '*.c' \) -delete

.PHONY: demo test check lint docs format bench coverage mutation fuzz servers clean

demo: $(VENV)/demo
	$(BIN)/redis-tap demo

# Where the caller's environment forbids to keep bytecode, each worker and each command that a test starts compiles anew.
test: export PYTHONDONTWRITEBYTECODE =
# The first line is for a new checkout: pytest rewrites the assertions of each file once, where its workers, which start
# together, would each do that for all files.
test: $(VENV)/dev
	$(BIN)/pytest -n0 --collect-only -qq >/dev/null || true
	$(BIN)/pytest

# Every check that a change has to pass.
check: lint test docs

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	.ci/subjects

# The pages, into site/. That of faults and the table of options are made from their declarations; a link that leads nowhere is an error.
docs: $(VENV)/docs
	$(BIN)/python -m tests.fault_page
	$(BIN)/python -m tests.metric_page
	$(BIN)/python -m tests.declared
	$(BIN)/zensical build --strict --clean

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# ONLY=relay runs one group; bystander and growth run only when named so.
bench: $(VENV)/dev
	$(BIN)/python -m tests.bench $(ONLY)

# Lines and branches that a sample of the tests runs, real servers aside: a table of all rooms. With ROOM=faults, those that the room's own
# tests run, by module; ROOM=beside for what is in no room.
coverage: $(VENV)/dev
	$(BIN)/python -m tests.coverage $(ROOM)

# Mutation scores, and what survived: ROOM=faults, or a module; SAMPLE=0 tries every mutant.
mutation: $(VENV)/dev
	$(BIN)/python -m tests.mutation $(ROOM) --sample $(or $(SAMPLE),200)

# Input that the tap should refuse or read, and does neither: for an hour, or FOR=600 seconds.
fuzz: $(VENV)/dev
	$(BIN)/python -m tests.fuzz --seconds $(or $(FOR),3600) --processes 2

# Real servers of several versions, into .servers/ (Debian only). The tests use what is there.
servers:
	.ci/get-servers .servers

# Installed anew when the package's description or a compiled module changes.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "redis-tap needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(VENV)/bin/python pyproject.toml setup.py $(COMPILED)
	@echo 'Installing into $(VENV), and compiling: this takes a minute.'
	$(MADE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

$(VENV)/dev: $(VENV)/bin/python pyproject.toml setup.py $(COMPILED)
	@echo 'Installing into $(VENV), and compiling: this takes a minute.'
	$(MADE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/docs: $(VENV)/dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist site .cache *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	$(MADE)
