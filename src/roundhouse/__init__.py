"""Roundhouse: one MCP server that runs, calls and looks after all the others."""

__version__ = "0.2.0"
