"""The commands, one module per noun. Each is a few lines: ask the house, show the answer."""
