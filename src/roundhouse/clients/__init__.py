"""Other MCP clients' configuration files: where they are, the servers in them, and our entry put there."""
