# make demo   sets up and runs the main job: learns a product, streams a simulated line, opens the dashboard
# make test   sets up (Debian packages included) and passes the tests
# make setup  their common first half
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
DEMO ?=
PYTEST ?=
# Each file of tests in one process; one process more than there are cores, because many tests wait.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test check format clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) scripts/debian-packages
	scripts/debian-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/flawline demo $(DEMO)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	trap 'scripts/services down --wipe' EXIT; trap 'exit 130' INT TERM; scripts/services up && $(BIN)/pytest $(PARALLEL) $(PYTEST)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache test-artefacts
