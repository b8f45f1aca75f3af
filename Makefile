# The tasks of this project. `make demo` and `make test` set up everything that they need.

# End-to-end tests mostly wait for processes, so more of them run at once than there are processors.
WORKERS ?= 4
CORES ?= $(shell nproc)
# tests/selection.py decides which tests belong to which target.
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
# The project as users have it: installed from a wheel, with the path of a request compiled.
INSTALLED := .venv/installed/bin/python
TYPED := src scripts
FOR_RUNS := bwrap:bubblewrap git
FOR_BENCH := busybox:busybox-static nginx:nginx-light squid:squid-openssl
FOR_TESTS := $(FOR_RUNS) dbus-run-session:dbus gnome-keyring-daemon:gnome-keyring direnv gcc curl wget node:nodejs npm chromium chromedriver:chromium-driver tmux dtach vim less htop dig:bind9-dnsutils ip:iproute2 tinyproxy:tinyproxy-bin ssh:openssh-client sshd:openssh-server dockerd:docker.io runc podman busybox:busybox-static
# Programs that hold placeholders, in tests/e2e/clients.
FOR_CLIENTS := gh skopeo docker-registry cargo

.DEFAULT_GOAL := help
.PHONY: help demo test check fast unit matrix fuzz e2e agents bench bench-egress lock release programs clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 14

demo: .venv/ready ## Show the life of a sealed run: start, detach, kill -9, attach, end
	@scripts/programs.sh $(FOR_RUNS)
	@$(PYTHON) scripts/demo.py

test: check unit fuzz e2e ## Run every check and every test

check: .venv/ready ## Check format, lint, types and imports between packages
	@echo "ruff format" && .venv/bin/ruff format --quiet --check .
	@echo "ruff check" && .venv/bin/ruff check --quiet .
	@echo "basedpyright" && .venv/bin/basedpyright $(TYPED)
	@echo "import-linter" && .venv/bin/lint-imports --no-cache >.venv/imports.log || { cat .venv/imports.log; exit 1; }

fast: .venv/ready ## Run the tests without I/O, in seconds
	@$(PYTEST) -q -n $(CORES) --only pure

unit: .venv/ready programs ## Run the tests that start no run, and check their coverage
	@$(PYTHON) -m coverage erase
	@$(PYTHON) -m coverage run -m pytest -q -n $(CORES) --only measured
	@$(PYTHON) scripts/coverage_gate.py
	@$(PYTEST) -q -n $(CORES) --only unmeasured

matrix: ## Run the tests without I/O under each supported Python that is installed (TESTS=unit: all of make unit)
	@scripts/matrix.sh $(TESTS)

fuzz: .venv/ready ## Fuzz each parser for a few seconds, guided by coverage (MOAT_FUZZ_SECONDS=5)
	@$(PYTEST) -q -n $(CORES) --only fuzz

e2e: .venv/installed/ready .venv/clients/ready .venv/images/ready .venv/witness/ready programs ## Test the installed command on real terminals, and the compiled modules
	@scripts/programs.sh $(FOR_CLIENTS)
	@$(INSTALLED) -m pytest -q -n $(WORKERS) --dist worksteal --only system

agents: .venv/installed/ready .venv/agents/ready programs ## Test with the real Claude Code, Codex, Gemini CLI and others, from npm and PyPI at fixed versions
	@$(INSTALLED) -m pytest -q -n $(CORES) --dist worksteal --only agents

bench: .venv/installed/ready programs ## Compare with docker attach, tmux and dtach, if installed
	@scripts/programs.sh $(FOR_BENCH)
	@$(INSTALLED) bench

bench-egress: .venv/installed/ready programs ## Compare the proxy with squid, mitmproxy and a plain tunnel, if installed
	@scripts/programs.sh $(FOR_BENCH)
	@$(INSTALLED) bench/egress

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
COMPILE := $(LOCK) pyproject.toml

lock: ## Pin the newest dependencies that pyproject.toml allows (needs uv)
	@$(COMPILE) --upgrade --group dev requirements/build.in --output-file requirements/lock.txt
	@$(COMPILE) --group test --constraint requirements/lock.txt --output-file requirements/test.txt
	@$(LOCK) --upgrade requirements/clients.in --output-file requirements/clients.txt
	@$(LOCK) --upgrade requirements/witness.in --output-file requirements/witness.txt
	@$(LOCK) --upgrade requirements/agents.in --output-file requirements/agents.txt

release: .venv/ready programs ## Build sdist and wheels, install and try each; upload nothing
	@scripts/compiler.sh
	@$(PYTHON) scripts/release.py

programs:
	@scripts/programs.sh $(FOR_TESTS)

clean: ## Remove everything that make and the tools created
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed/ready: .venv/ready $(shell find src -name '*.py') scripts/build_hook.py scripts/installed.sh scripts/logged.sh
	@scripts/installed.sh

.venv/clients/ready: requirements/clients.txt scripts/clients.sh scripts/logged.sh .venv/ready
	@scripts/clients.sh

.venv/witness/ready: requirements/witness.txt scripts/witness.sh scripts/logged.sh .venv/ready
	@scripts/witness.sh

# Programs in it age; what the tests need of it doesn't.
.venv/images/ready: scripts/base_image.sh scripts/logged.sh
	@scripts/base_image.sh

.venv/agents/ready: tests/e2e/agents/package-lock.json requirements/agents.txt .venv/ready scripts/agents.sh scripts/logged.sh
	@scripts/agents.sh

.venv/ready: requirements/lock.txt pyproject.toml scripts/venv.sh scripts/logged.sh
	@scripts/venv.sh
