# Everything a clone needs: `make run`, `make test`, `make check`. `make help` lists the rest.
# The environment is .venv; it is made when missing, and renewed when a requirements file changes.

PORT ?= 8000
TESSERA_VAR ?= var
export PORT TESSERA_VAR

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip --quiet --quiet --disable-pip-version-check --no-input
export PIP_ROOT_USER_ACTION := ignore
# A command on PostgreSQL and Valkey of its own, which are gone afterwards.
SCRATCH := $(PYTHON) -m launcher scratch
OPENAPI := docs/reference/openapi.yaml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check openapi e2e faults demo-data bench stop clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: .venv/.stamp-run ## services, migrations, demo content, then web + worker + beat (PORT, TESSERA_VAR)
	@exec $(PYTHON) -m launcher run

test: .venv/.stamp-dev ## the whole suite, on PostgreSQL and Redis of its own, two of them at a time
	@$(PYTHON) -m pytest -n 2 --dist worksteal

check: .venv/.stamp-dev ## lint, types, import contracts, migrations, OpenAPI snapshot
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@.venv/bin/lint-imports
	@$(SCRATCH) sh -ec '\
	  $(PYTHON) -m mypy .; \
	  $(PYTHON) manage.py makemigrations --check --dry-run; \
	  $(PYTHON) manage.py spectacular --validate --fail-on-warn --file "$$TESSERA_VAR/openapi.yaml"; \
	  diff -u $(OPENAPI) "$$TESSERA_VAR/openapi.yaml" \
	    || { echo "The API differs from $(OPENAPI): make openapi writes it anew."; exit 1; }'

openapi: .venv/.stamp-dev ## write the OpenAPI snapshot anew
	@mkdir -p $(dir $(OPENAPI))
	@$(SCRATCH) $(PYTHON) manage.py spectacular --validate --fail-on-warn --file $(OPENAPI)

e2e: .venv/.stamp-e2e ## browser tests (needs Chromium)
	@chromium="$${CHROMIUM:-$$(command -v chromium || command -v chromium-browser || command -v google-chrome)}"; \
	if [ ! -x "$$chromium" ]; then \
	  echo "The browser tests need Chromium: install it (Debian: apt install chromium), or set CHROMIUM to its path." >&2; \
	  exit 1; \
	fi; \
	CHROMIUM="$$chromium" exec $(PYTHON) -m pytest tests/e2e -m e2e

faults: .venv/.stamp-dev ## kill and stop services under load
	@$(PYTHON) -m pytest tests/faults -m faults

demo-data: .venv/.stamp-run ## the real households, into a running or a fresh system
	@exec $(PYTHON) manage.py demo_data

bench: .venv/.stamp-dev ## the benchmarks, as ratios (SCALE=full for the full sizes)
	@exec $(PYTHON) -m bench

stop: ## end the embedded services of TESSERA_VAR, should any be left
	@if [ -x $(PYTHON) ]; then exec $(PYTHON) -m launcher stop; fi

clean: stop ## delete the environment and all caches; the data in TESSERA_VAR stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name node_modules -prune -o -type d -name __pycache__ -exec rm -rf {} +

# -- the environment ------------------------------------------------------------------------------

.venv/.stamp-venv:
	@found=; found_bare=; \
	for python in python3.11 python3.12 python3.13 python3; do \
	  "$$python" -c '' 2>/dev/null || continue; \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null && { found=$$python; break; } || found_bare=1; \
	done; \
	if [ -z "$$found" ]; then \
	  if [ -n "$$found_bare" ]; then echo "Python's venv module is missing: install it (Debian: apt install python3-venv)" >&2; \
	  else echo "Tessera needs Python 3.11 or newer: install it (Debian: apt install python3)" >&2; fi; \
	  exit 1; \
	fi; \
	"$$found" -m venv .venv && touch $@

.venv/.stamp-run: requirements.txt | .venv/.stamp-venv
	@echo "Installing requirements.txt into .venv ..."
	@$(PIP) install -r requirements.txt
	@touch $@

.venv/.stamp-dev: requirements-dev.txt requirements.txt | .venv/.stamp-venv
	@echo "Installing requirements-dev.txt into .venv ..."
	@$(PIP) install -r requirements-dev.txt
	@touch .venv/.stamp-run $@

.venv/.stamp-e2e: requirements-e2e.txt tests/e2e/sdks/package-lock.json .venv/.stamp-dev
	@echo "Installing requirements-e2e.txt into .venv ..."
	@$(PIP) install -r requirements-e2e.txt
	@command -v npm >/dev/null || { echo "The browser tests need npm, for the SDKs that they drive (Debian: apt install npm)." >&2; exit 1; }
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix tests/e2e/sdks
	@touch $@
