# Every target installs what it needs. You only need make and Python 3.11 or newer.
.DEFAULT_GOAL := help
BIN := .venv/bin
ARGS ?=
# Tests wait for sockets and processes more often than they compute; those in a browser compute.
BROWSERS := $(CALLMON_TEST_CHROMIUM) $(wildcard $(addprefix /usr/bin/,chromium chromium-browser google-chrome google-chrome-stable))
WORKERS ?= $(if $(strip $(CHROMIUM) $(BROWSERS)),4,6)
# CHROMIUM=install installs Debian's Chromium, as root or with sudo, before the tests that need it.
CHROMIUM ?=
# Without bytecode kept, every process that a test starts would compile all of callmon anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-pythons lint typecheck collect unit fuzz compare bench bench-quick soak soak-monitors audit sbom lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

.venv/demo.stamp: requirements-demo.lock deploy/venv.sh pyproject.toml
	@deploy/venv.sh requirements-demo.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock deploy/venv.sh pyproject.toml
	@deploy/venv.sh requirements-dev.lock
	@touch $@ .venv/demo.stamp

.venv/bench.stamp: requirements-bench.lock deploy/venv.sh pyproject.toml
	@deploy/venv.sh requirements-bench.lock
	@touch $@ .venv/dev.stamp .venv/demo.stamp

demo: .venv/demo.stamp ## run simulated PBX, monitor, Redis and gateway in one process: see live calls
	@$(BIN)/python -m gateway demo $(ARGS)

test: .venv/dev.stamp lint ## check style, types and layers, run every test; CHROMIUM=install installs Chromium first
	@$(MAKE) --no-print-directory --jobs 2 typecheck collect
	@$(MAKE) --no-print-directory unit

test-pythons: .venv/dev.stamp ## run every test under each installed Python from 3.11 to 3.15
	@deploy/chromium.sh $(CHROMIUM)
	@deploy/pythons.sh -n $(WORKERS) --dist loadscope $(ARGS)

lint: .venv/dev.stamp ## check style and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

typecheck: .venv/dev.stamp
	$(BIN)/mypy

# It compiles all tests once; else each of the workers would.
collect: .venv/dev.stamp
	@$(BIN)/python -m pytest --collect-only -qq > /dev/null || true

unit: .venv/dev.stamp .venv/tsc.stamp
	@deploy/chromium.sh $(CHROMIUM)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope $(ARGS)

fuzz: .venv/dev.stamp ## run the property tests with new examples each time
	CALLMON_FUZZ=1 $(BIN)/python -m pytest -n $(WORKERS) -m hypothesis --timeout 1800 $(ARGS)

compare: .venv/dev.stamp ## compare what callmon holds of 10,000 simulated calls a setting with what people did
	@$(BIN)/python -m tests.comparison $(ARGS)

bench: .venv/bench.stamp .venv/node.stamp ## measure CPU, latency and memory against others; writes tests/bench/README.md
	@$(BIN)/python -m tests.bench $(ARGS)

bench-quick: .venv/dev.stamp ## measure the five main ratios in under 45 seconds; prints JSON in the last line
	@$(BIN)/python -m tests.bench --quick $(ARGS)

soak: .venv/dev.stamp ## run an hour of rush with thousands of subscribers; ARGS=--faults adds faults
	@$(BIN)/python -m tests.soak --minutes 60 --write tests/soak/README.md $(ARGS)

soak-monitors: .venv/dev.stamp ## run every long test, 200 random mixtures of faults with two monitors among them
	@$(BIN)/python -m pytest -q -m soak
	@$(BIN)/python -m tests.faults $(ARGS)

.venv/audit.stamp: requirements-audit.lock .venv/demo.stamp
	@$(BIN)/python -m venv .venv/audit
	@.venv/audit/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes \
		-r requirements-audit.lock
	@touch $@

audit: .venv/audit.stamp ## look up the package index's advisories about the pinned packages that run
	@.venv/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements-top.lock

sbom: .venv/audit.stamp ## write the bills of materials (CycloneDX) of the image and of the Debian package to dist
	@mkdir -p dist
	@.venv/audit/bin/cyclonedx-py requirements --output-reproducible --output-file dist/callmon.cdx.json requirements.lock
	@.venv/audit/bin/cyclonedx-py requirements --output-reproducible --output-file dist/callmon-debian.cdx.json \
		requirements-top.lock

# A peer of the benchmarks. Without npm its rows are left out.
.venv/node.stamp: .venv/bench.stamp
	@! command -v npm >/dev/null || npm install --silent --no-fund --no-audit --prefix .venv/node ws@8.23.0
	@touch $@

# Checks the types of the browser's client in the tests. Without npm, or if it gets nothing, these tests are skipped.
.venv/tsc.stamp: .venv/dev.stamp
	@! command -v npm >/dev/null || if npm install --silent --no-fund --no-audit --fetch-retries 0 --prefix .venv/tsc typescript@5.9.3; \
		then touch $@; else echo "npm could not install TypeScript: the types of the browser's client are not tested."; fi

PIN := uv pip compile -q --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
	--no-emit-index-url --no-emit-find-links

# requirements.lock is what production runs and what builds callmon; the others add an extra each. -top: the Debian package.
lock: .venv/dev.stamp ## pin the newest versions that fit (needs uv)
	$(PIN) --extra build pyproject.toml -o requirements.lock
	$(PIN) --extra build --extra top pyproject.toml -o requirements-top.lock
	$(PIN) --extra build --extra top --extra demo pyproject.toml -o requirements-demo.lock
	$(PIN) --extra dev pyproject.toml -o requirements-dev.lock
	$(PIN) --extra bench pyproject.toml -o requirements-bench.lock
	$(PIN) --group audit -o requirements-audit.lock

clean: ## remove .venv and the caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
