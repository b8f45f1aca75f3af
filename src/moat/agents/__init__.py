"""Agents: what Moat knows of the programs that people run in it most, as data.

    data/*.yaml, $MOAT_HOME/agents/*.yaml ──▶ catalog ──▶ Agent ──▶ launch ──▶ command, spec.AgentSetup

A file for each agent says how it is started, which credentials it may use, which folders of its home
last, and which files it must find so that it asks nothing of its own (`agent`). `fields` is the table
that checks the files. `launch` makes of them what one run needs. `guide` writes what the agent should
know of its sandbox. `state` knows where in the store lasts what an agent keeps; a run has written that,
so nothing of it is ever obeyed.
"""

SHIPPED = ("aider", "amp", "claude", "codex", "copilot", "gemini", "goose", "opencode", "pi")
"""The agents that come with Moat, each a command: `moat claude`."""
