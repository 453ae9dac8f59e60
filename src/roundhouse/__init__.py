"""Roundhouse: one MCP server that builds, runs, calls, chains and looks after all the others."""

__version__ = "0.1.0"
