# /// script
# requires-python = ">=3.11"
# dependencies = ["mcp>=2.3,<3"]
# ///
"""A small MCP server to begin with: three tools, one of them slow enough to report progress. It touches nothing.

`uv run server.py` makes it an environment of its own from the lines above; any Python that has `mcp` runs it as it is.
"""

from typing import Annotated

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ToolAnnotations
from pydantic import Field

HARMLESS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

# WARNING: the default logs every request, and a server's log is read when something is wrong.
server = MCPServer("starter", version="1.0.0", log_level="WARNING")


@server.tool(title="Echo", annotations=HARMLESS)
def echo(text: Annotated[str, Field(description="What to say.")]) -> str:
    """Returns the text unchanged. Use it to see whether this server is reached."""
    return text


@server.tool(title="Add", annotations=HARMLESS)
def add(
    a: Annotated[float, Field(description="A number.")], b: Annotated[float, Field(description="Another.")]
) -> float:
    """Returns the sum of two numbers."""
    return a + b


@server.tool(title="Count", annotations=HARMLESS)
async def count(
    ctx: Context,
    to: Annotated[int, Field(ge=1, le=100, description="The last number.")] = 5,
    pause: Annotated[float, Field(ge=0, le=10, description="Seconds before each number.")] = 0.5,
) -> str:
    """Counts from 1, with a pause before each number, and reports each as progress."""
    for number in range(1, to + 1):
        await anyio.sleep(pause)
        await ctx.report_progress(number, to, f"counted {number}")
    return f"Counted to {to}."


if __name__ == "__main__":
    server.run()
