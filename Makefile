# make demo    the whole chain on this machine, no board needed (ends by itself; DEMO="--forever" and other options)
# make test    lint, types, layers, then the tests (TESTS="tests/sim -k replay" for some of them)
# make formal  the proofs of docs/formal.md at full strength (CLAIMS="gate 'herald numbers'" for some of them)
# make bench   the measurements, and their table in README.md
# make clean   removes the virtual environment
#
# Each sets up .venv when it is not there or out of date. PYTHON=python3.12 chooses the interpreter.

PYTHON ?=
DEMO   ?=
TESTS  ?=
CLAIMS ?=

BIN     := .venv/bin
AREAS   := firmware_bridge gateware sim supervisor
SOURCES := pyproject.toml setup.py MANIFEST.in tools/bootstrap \
           $(filter-out %/wire_layout.h,$(wildcard firmware_bridge/csrc/*.py firmware_bridge/csrc/*.[ch])) \
           firmware_bridge/qlink/firmware_bridge/wire.py firmware_bridge/qlink/firmware_bridge/events.py

STALE   := $(shell PYTHON="$(PYTHON)" tools/bootstrap --usable || echo stale)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

.PHONY: demo test formal bench clean stale

demo: .venv/.installed
	@$(BIN)/qlinkctl demo $(DEMO)

test: .venv/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(AREAS) tests tools
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -n 2 $(TESTS)

formal: .venv/.installed-test
	@$(BIN)/python tools/formal.py $(CLAIMS)

bench: .venv/.installed-test
	@tools/bench --write

clean:
	rm -rf .venv

.venv/.installed: $(SOURCES) $(STALE)
	@PYTHON="$(PYTHON)" tools/bootstrap .

.venv/.installed-test: $(SOURCES) $(STALE)
	@PYTHON="$(PYTHON)" tools/bootstrap '.[board,dev]'
	@touch .venv/.installed
