"""Moat runs AI coding agents in sealed runs that outlive everything but their own command."""

__version__ = "0.1.0"
