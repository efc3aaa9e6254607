# For POSIX systems; CONTRIBUTING.md has the same commands without make.
#
#   make demo                     with the python3 on PATH
#   make test PYTHON=python3.13 VENV=.venv-313
#
PYTHON ?= python3
VENV ?= .venv
TOXARGS ?=
# Two processes, a file in one of them. PYTESTARGS="-k name" runs in a single process.
PYTESTARGS ?= -n 2 --dist loadfile
SOAKARGS ?=
ADDR ?= 127.0.0.1:8000

PY := $(VENV)/bin/python
# -qq: errors only. --no-compile: Python compiles what is imported, pip would compile everything.
# --prefer-binary: a machine without a compiler takes the last release with a wheel.
PIP := $(PY) -m pip -qq --disable-pip-version-check --no-input
INSTALL := $(PIP) install --no-compile --prefer-binary

.DEFAULT_GOAL := help
# The stamps share one virtualenv: two pips at once would break it.
.NOTPARALLEL:
.PHONY: help demo run test quick test-package test-example lint format types docs bench soak \
	coverage tox build clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

# --- The virtualenv -------------------------------------------------------------

# --clear only over a virtualenv whose interpreter is gone, never over other files.
$(PY):
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "chanx-testing needs Python 3.11 or newer: '$(PYTHON)' was not found." \
			"Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "chanx-testing needs Python 3.11 or newer: '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no venv module: install it (on Debian and Ubuntu:" \
			"apt-get install python3-venv)." >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),--clear) $(VENV)

# One stamp for each set of extras. What the metadata is made of installs it again:
# pyproject.toml, and the module that has the version.
METADATA := pyproject.toml chanx_testing/__init__.py

$(VENV)/.installed-demo: $(METADATA) | $(PY)
	@echo "Installing the package and what the example project needs"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: $(METADATA) | $(PY)
	@echo "Installing the package with the extra: test"
	@$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.installed-dev: $(METADATA) | $(PY)
	@echo "Installing the package with the extra: dev"
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed-demo

# --- Seeing it work -------------------------------------------------------------

demo: $(VENV)/.installed-demo ## Run the tests of the example project
	$(PY) manage.py test

run: $(VENV)/.installed-demo ## Serve the example project under Daphne (ADDR=127.0.0.1:8000)
	$(PY) manage.py migrate --no-input --verbosity 0
	$(PY) manage.py create_demo
	$(PY) manage.py runserver $(ADDR)

# --- Tests ----------------------------------------------------------------------

test: test-example test-package ## Run all tests, the example project's in each of the ways it can run

quick: $(VENV)/.installed-test ## Run the tests of the package that are not slow (PYTESTARGS="-k name")
	$(PY) -m pytest -m "not slow" $(PYTESTARGS)

test-package: $(VENV)/.installed-test ## Run the tests of the package (PYTESTARGS="-k name")
	$(PY) -m pytest $(PYTESTARGS)

test-example: $(VENV)/.installed-test ## Run the example's tests by manage.py, in parallel, by pytest
	$(PY) manage.py test
	$(PY) manage.py test --parallel 2
	$(PY) -m pytest example_project

coverage: $(VENV)/.installed-dev ## Measure the branch coverage of all tests
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest
	$(PY) -m coverage run manage.py test
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report

soak: $(VENV)/.installed-test ## Hand work over in every way for 20 minutes (SOAKARGS="--minutes 1")
	$(PY) benchmarks/soak.py $(SOAKARGS)

bench: $(VENV)/.installed-test ## Run each benchmark
	@for file in benchmarks/bench_*.py; do \
		[ -e "$$file" ] || { echo "There is no benchmark yet."; break; }; \
		echo "== $$file"; $(PY) "$$file" || exit 1; \
	done

tox: $(VENV)/.installed-dev ## Run every version of Python and Django (TOXARGS="-e py313-django61")
	scripts/with-pyenv $(PY) -m tox run $(TOXARGS)

# --- Form -----------------------------------------------------------------------

lint: $(VENV)/.installed-dev ## Check the form, the rules and the types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.installed-dev ## Fix what ruff can fix
	$(PY) -m ruff check --fix --exit-zero .
	$(PY) -m ruff format .

types: $(VENV)/.installed-dev ## Check the types
	$(PY) -m mypy

docs: $(VENV)/.installed-dev ## Build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Built docs/_build/html/index.html"

build: $(VENV)/.installed-dev ## Build the sdist and the wheel into dist/
	$(PY) -m build --outdir dist .

clean: ## Remove the virtualenv, caches and what was built
	rm -rf .venv .tox build dist docs/_build .coverage .coverage.* htmlcov \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
