"""One client and what it asks: the SDK's own client, which launches a front of Roundhouse as any MCP client would."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client import IncomingMessage
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CallToolResult, Implementation, TextContent, ToolListChangedNotification

from .home import Home
from .page import Page, StepFailed, cut, seconds
from .workbench import ROOT, Call, Server

ANSWER_LIMIT = 90.0  # seconds for one answer, on a machine that is busy; a call may wait for its server to start
CHANGED_LIMIT = 30.0  # seconds until a client hears that its list has changed; it takes milliseconds
LONGEST_ERROR = 300  # characters; errors are written to be read to their end


class Conversation:
    """Asks, shows what was asked and what came back, and hears what the house says of its own accord.

    Attributes:
        name: the client's own, as the house sees it.
        tools: the names it was told when it last asked for the list.
    """

    client: Client

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.tools: list[str] = []
        self._changed = anyio.Event()

    async def hear(self, message: IncomingMessage) -> None:
        """What comes without having been asked for."""
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    async def list_tools(self) -> None:
        """Ask for the list of tools."""
        self._changed = anyio.Event()
        page = await self.client.list_tools()
        self.tools = [tool.name for tool in page.tools]
        while page.next_cursor:
            page = await self.client.list_tools(cursor=page.next_cursor)
            self.tools += [tool.name for tool in page.tools]

    async def hears_of_change(self) -> None:
        """Wait for a list_changed since the last list. Raises: `StepFailed` when none comes."""
        with anyio.move_on_after(CHANGED_LIMIT):
            await self._changed.wait()
        if not self._changed.is_set():
            raise StepFailed(f"{self.name} has not heard of a changed list within {CHANGED_LIMIT:.0f} s.")

    async def ask(self, tool: str, arguments: Mapping[str, object]) -> tuple[str, float]:
        """Call a tool. Returns the text of its answer, and the seconds it took. Raises: `StepFailed`, `MCPError`."""
        begun = time.monotonic()
        answer = await self.client.call_tool(tool, dict(arguments))
        return text_of(tool, answer), time.monotonic() - begun

    def show(self, tool: str, arguments: Mapping[str, object], text: str, took: float) -> None:
        """A question and its answer."""
        self.page.line(f"{self.name}: {tool} {shown(arguments)}")
        self.page.line(f"-> {cut(text)} ({seconds(took)})")

    async def call(self, server: Server, call: Call) -> float:
        """Call a server's tool by the name a client sees, and show the answer. Returns the seconds it took."""
        tool = public_name(server, call.tool)
        text, took = await self.ask(tool, call.arguments)
        self.show(tool, call.arguments, text, took)
        return took

    async def follow(self, server: Server, call: Call, heard: ProgressFnT) -> tuple[str, float]:
        """Call a tool that reports progress. Returns the text of its answer, and the seconds it took."""
        tool = public_name(server, call.tool)
        self.page.line(f"{self.name}: {tool} {shown(call.arguments)}")
        begun = time.monotonic()
        answer = await self.client.call_tool(tool, call.arguments, progress_callback=heard)
        return text_of(tool, answer), time.monotonic() - begun

    async def manage(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call one of Roundhouse's own tools; its structured output."""
        answer = await self.client.call_tool(tool, arguments)
        text = text_of(tool, answer)
        structured = answer.structured_content or json.loads(text)
        if not isinstance(structured, dict):
            raise StepFailed(f"{tool} answered {cut(text)}.")
        return structured

    async def is_refused(self, tool: str, arguments: Mapping[str, object], code: str) -> None:
        """Make a call that must fail so, and show how it does."""
        self.page.line(f"{self.name}: {tool} {shown(arguments)}")
        try:
            answer = await self.client.call_tool(tool, dict(arguments))
        except MCPError as error:
            self.failed(error, code)
        else:
            raise StepFailed(f"{tool} was answered with {answer}; an error was expected.")

    def failed(self, error: MCPError, code: str) -> None:
        """Show an error that was to come. Raises: `StepFailed` when it is another."""
        came = error.data.get("code") if isinstance(error.data, dict) else error.code
        if came != code:
            raise StepFailed(f"The error {code} was expected, and {came} came: {error.message}")
        self.page.line(f"-> error {code}: {cut(error.message, LONGEST_ERROR)}")

    async def status(self, server: Server) -> dict[str, Any]:
        """One of the servers as list_servers has it."""
        servers: list[dict[str, Any]] = (await self.manage("list_servers"))["servers"]
        return next(one for one in servers if one["name"] == server.name)


@asynccontextmanager
async def connected(page: Page, home: Home, name: str) -> AsyncIterator[Conversation]:
    """A client with one entry in its configuration, `roundhouse serve`."""
    launch = StdioServerParameters(
        command=sys.executable, args=["-m", "roundhouse", "serve"], env=home.environment, cwd=ROOT
    )
    conversation = Conversation(page, name)
    with (home.path.parent / f"front-of-{name}.log").open("w") as log:
        begun = time.monotonic()
        async with Client(
            stdio_client(launch, errlog=log),
            client_info=Implementation(name=name, version="1"),
            message_handler=conversation.hear,
            read_timeout_seconds=ANSWER_LIMIT,
            cache=None,  # every list shown is one that was asked for
        ) as conversation.client:
            took = time.monotonic() - begun
            who = conversation.client.server_info
            called = f"{who.name} {who.version}" if who else "a server without a name"
            page.line(f"{name}: {' '.join([launch.command, *launch.args])}")
            page.line(f"-> {called}, protocol {conversation.client.protocol_version}: connected ({seconds(took)})")
            yield conversation


def public_name(server: Server, tool: str) -> str:
    """The name under which a client sees a server's tool."""
    return f"{server.name}__{tool}"


def text_of(tool: str, answer: CallToolResult) -> str:
    """The text of an answer. Raises: `StepFailed` when the tool reports a failure."""
    text = " ".join(block.text for block in answer.content if isinstance(block, TextContent))
    if answer.is_error:
        raise StepFailed(f"{tool} failed: {text}")
    return text


def shown(arguments: Mapping[str, object]) -> str:
    """Arguments as JSON, cut."""
    return cut(json.dumps(arguments))
