"""Calls of tools on MCP servers, decided by the run's patterns before they go upstream.

`messages` reads the JSON-RPC in a body. `guard` holds a request back until its body is whole. Both pure.
"""
