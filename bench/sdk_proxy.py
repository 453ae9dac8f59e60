"""What one gets from the official SDK: a typed proxy for one server, written the way its documentation suggests.

Usage: python bench/sdk_proxy.py --config FILE, which holds {"mcpServers": {NAME: {"command": "...", "args": ["..."]}}}
"""

import json
import sys
from pathlib import Path

import anyio
import mcp_types as types
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server


async def serve(name: str, command: str, args: list[str]) -> None:
    prefix = f"{name}__"

    async def list_tools(
        _ctx: ServerRequestContext[object], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        listing = await client.list_tools(cursor=params.cursor if params else None)
        public = [tool.model_copy(update={"name": prefix + tool.name}) for tool in listing.tools]
        return listing.model_copy(update={"tools": public})

    async def call_tool(
        _ctx: ServerRequestContext[object], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return await client.call_tool(params.name.removeprefix(prefix), params.arguments)

    # "legacy" is the handshake era: probing for the modern one would cost the SDK a round trip at the start.
    async with Client(StdioServerParameters(command=command, args=args), mode="legacy") as client:
        server: Server[object] = Server("sdk-proxy", on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_bytes())
    [(server_name, spec)] = config["mcpServers"].items()
    anyio.run(serve, server_name, spec["command"], spec["args"])
