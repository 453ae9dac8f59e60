# Every target works from a fresh clone: the environment is made when it is missing, and again when the project changes.
PY := .venv/bin/python
STAMP := .venv/.made-from-pyproject
NPM := node_modules/.made-from-package
SHELL := /bin/bash

.PHONY: help demo test check deps bench-quick clean
help:
	@echo "make demo         the main job on three real servers, in readable lines"
	@echo "make test         the whole test suite (PYTEST_ADDOPTS narrows it)"
	@echo "make check        ruff, types, the import contract, documentation against code"
	@echo "make bench-quick  speed and memory against a raw relay and the SDK's proxy, about two minutes"
	@echo "make deps         what the whole test suite wants besides Python: Node servers, bubblewrap"

# --without-pip: Debian's python3 has no ensurepip without another package; pip can install into any environment.
$(STAMP): pyproject.toml
	@echo "making .venv ..."
	@python3 -m venv --without-pip --clear .venv
	@python3 -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --editable ".[dev]" \
	  2> .venv/pip.log || { cat .venv/pip.log; exit 1; }
	@touch $@

$(NPM): package.json
	@if command -v npm > /dev/null; then \
	  npm install --loglevel=error --no-audit --no-fund --no-package-lock > /dev/null && touch $@; \
	else echo "no npm here: tests use a server of our own in place of npm's"; fi

deps: $(STAMP) $(NPM)
	@command -v bwrap > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	  apt-get update -qq > /dev/null && apt-get install -y -qq bubblewrap > /dev/null; } || \
	  echo "no bubblewrap here and no right to install it: later issues' sandbox tests want it"

demo: $(STAMP)
	@$(PY) -m demo

test: deps
	@$(PY) -m pytest

check: $(STAMP)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache | tail -n 4
	@$(PY) -m docs.check

bench-quick: $(STAMP)
	@$(PY) -m bench quick

clean:
	rm -rf .venv node_modules .mypy_cache .ruff_cache .pytest_cache
