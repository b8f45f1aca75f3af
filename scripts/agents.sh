#!/usr/bin/env bash
# Installs the agents that tests/e2e/agents runs into .venv/agents, at the versions that its lock files pin.
set -euo pipefail
cd "$(dirname "$0")/.."

log=.venv/agents.log
: >"$log"

source scripts/logged.sh
scripts/programs.sh node:nodejs npm

echo "installing agents with npm and pip into .venv/agents (log: $log)"
mkdir -p .venv/agents
cp tests/e2e/agents/package.json tests/e2e/agents/package-lock.json .venv/agents
logged npm --prefix .venv/agents ci --ignore-scripts --no-audit --no-fund
# Claude Code's only script, which puts its program where its package says that it is.
logged node .venv/agents/node_modules/@anthropic-ai/claude-code/install.cjs
# OpenCode's package for this platform, without the one that would choose among them.
logged ln -sf ../opencode-linux-x64/bin/opencode .venv/agents/node_modules/.bin/opencode
logged .venv/bin/python -m venv .venv/agents/aider
logged .venv/agents/aider/bin/python -m pip --disable-pip-version-check install --quiet \
  --require-hashes --requirement requirements/agents.txt
touch .venv/agents/ready
