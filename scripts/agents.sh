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
# The only scripts of Claude Code and OpenCode, which put their programs where their packages say that they are.
logged node .venv/agents/node_modules/@anthropic-ai/claude-code/install.cjs
logged node .venv/agents/node_modules/opencode-ai/postinstall.mjs
logged .venv/bin/python -m venv .venv/agents/aider
logged .venv/agents/aider/bin/python -m pip --disable-pip-version-check install --quiet \
  --require-hashes --requirement requirements/agents.txt
touch .venv/agents/ready
