"""What can be asked of the house: each operation once, shown as MCP tool now, as command and endpoint later.

Importing this package is cheap. The operations themselves need pydantic and are loaded with the first call of one;
until then their definitions come from `operations.json`, which a test compares with the registry.
"""
