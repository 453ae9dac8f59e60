"""The tour: the SDK's own client launches Roundhouse, as any MCP client would, and asks it for one thing after another.

Whatever is printed has happened; whatever does not happen as said raises `StepFailed`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import anyio
import psutil
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client import IncomingMessage
from mcp_types import CallToolResult, Implementation, TextContent, ToolListChangedNotification

from . import orphans
from .page import Page, StepFailed, cut, seconds
from .workbench import ROOT, Call, Server, Workbench

TOUR_LIMIT = 150.0  # seconds for everything: no single wait may hang the demo
ANSWER_LIMIT = 60.0  # seconds for one answer; start_server itself waits up to 45
LISTED_LIMIT = 45.0  # seconds until all servers' tools are listed; from warm caches it is three
SHOWN = 3  # tool names of each server; the counts say how many there are
RELIST_AFTER = 2.0  # seconds without a list_changed after which the list is asked for all the same
LATE_PROGRESS = 1.0  # seconds; the SDK hands progress to tasks of their own, and the last may come after the answer
NOTICED_WITHIN = 5.0  # seconds from the kill to a dead process that its parent has buried
GONE_WITHIN = 5.0  # seconds after the client has closed; the promise to every user

LONGEST_ERROR = 300  # characters; errors are written to be read to their end
OURS = "Roundhouse"


async def tour(page: Page, bench: Workbench) -> None:
    """Steps 3 to 12. Raises: `StepFailed`, `MCPError`, `TimeoutError`."""
    with bench.log.open("w") as log, anyio.fail_after(TOUR_LIMIT):
        guide = Guide(page, bench)
        page.step("Connect, as a client does that has Roundhouse in its configuration")
        launch = launching(bench)
        begun = time.monotonic()
        async with Client(
            stdio_client(launch, errlog=log),
            client_info=Implementation(name="roundhouse-demo", version="1"),
            message_handler=guide.hear,
            read_timeout_seconds=ANSWER_LIMIT,
            cache=None,  # every list shown is one that was asked for
        ) as client:
            guide.meet(client, launch, begun)
            await list_tools(guide, begun)
            await call_each(guide)
            await stream_progress(guide)
            await stop_one(guide)
            await start_it_again(guide)
            await kill_one(guide)
            await show_servers(guide)
            await ask_for_nonsense(guide)
            begun = say_goodbye(page)
        nobody_is_left(page, begun)


def launching(bench: Workbench) -> StdioServerParameters:
    """What stands in a client's configuration."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "roundhouse", "serve", "--standalone", "--config", str(bench.config)],
        env=dict(bench.environment),
        cwd=ROOT,
    )


class Guide:
    """Asks, shows what was asked and what came back, and hears what Roundhouse says of its own accord."""

    client: Client

    def __init__(self, page: Page, bench: Workbench) -> None:
        self.page = page
        self.bench = bench
        self._changed = anyio.Event()

    def meet(self, client: Client, launch: StdioServerParameters, begun: float) -> None:
        """Show whom we are talking to."""
        self.client = client
        who = client.server_info
        name = f"{who.name} {who.version}" if who else "a server without a name"
        self.page.line(" ".join([launch.command, *launch.args]))
        self.page.line(f"-> {name}, protocol {client.protocol_version} ({seconds(time.monotonic() - begun)})")

    async def hear(self, message: IncomingMessage) -> None:
        """What comes without having been asked for."""
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    async def tools(self) -> list[str]:
        """The names of all tools that are listed now."""
        self._changed = anyio.Event()
        page = await self.client.list_tools()
        names = [tool.name for tool in page.tools]
        while page.next_cursor:
            page = await self.client.list_tools(cursor=page.next_cursor)
            names += [tool.name for tool in page.tools]
        return names

    async def changed(self) -> bool:
        """Wait for a list_changed since the last list. False: none came, and it is time to look anyway."""
        with anyio.move_on_after(RELIST_AFTER):
            await self._changed.wait()
        return self._changed.is_set()

    async def ask(self, server: Server, call: Call) -> float:
        """Call a tool by the name a client sees and show the answer. Returns the seconds it took."""
        tool = public_name(server, call)
        self.page.line(f"{tool} {shown(call.arguments)}")
        begun = time.monotonic()
        answer = await self.client.call_tool(tool, call.arguments)
        took = time.monotonic() - begun
        self.page.line(f"-> {cut(text_of(tool, answer))} ({seconds(took)})")
        return took

    async def manage(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call one of Roundhouse's own tools; its structured output."""
        answer = await self.client.call_tool(tool, arguments)
        text_of(tool, answer)
        if not isinstance(answer.structured_content, dict):
            raise StepFailed(f"{tool} answered without structured content.")
        return answer.structured_content

    async def is_refused(self, tool: str, arguments: Mapping[str, object]) -> None:
        """Make a call that must fail and show how it does."""
        self.page.line(f"{tool} {shown(arguments)}")
        try:
            answer = await self.client.call_tool(tool, dict(arguments))
        except MCPError as error:
            code = error.data.get("code", error.code) if isinstance(error.data, dict) else error.code
            self.page.line(f"-> error {code}: {cut(error.message, LONGEST_ERROR)}")
        else:
            raise StepFailed(f"{tool} was answered with {answer}; an error was expected.")

    async def statuses(self) -> list[dict[str, Any]]:
        """All servers as list_servers has them."""
        listed: list[dict[str, Any]] = (await self.manage("list_servers"))["servers"]
        return listed

    async def status(self, server: Server) -> dict[str, Any]:
        """One of them."""
        return next(one for one in await self.statuses() if one["name"] == server.name)


# -- the steps


async def list_tools(guide: Guide, begun: float) -> None:
    """Ask until all servers are there: the first list may be partial, and list_changed says when there is more."""
    guide.page.step("List the tools: Roundhouse's own, and every server's as server__tool")
    deadline = begun + LISTED_LIMIT
    seen: Counter[str] = Counter()
    while True:
        names = await guide.tools()
        counts = Counter(owner(name) for name in names)
        if counts != seen:
            came = ", ".join(f"{count} of {who}" for who, count in counts.items())
            guide.page.line(f"after {seconds(time.monotonic() - begun)}: {came}")
            seen = counts
        missing = [server.name for server in guide.bench.servers if server.name not in counts]
        if not missing:
            break
        troubles = [one for one in await guide.statuses() if one["name"] in missing]
        if time.monotonic() > deadline or any(one["state"] == "failed" for one in troubles):
            raise StepFailed(" ".join([await explained(guide, one) for one in troubles]))
        if await guide.changed():
            guide.page.line("notifications/tools/list_changed: there is more, ask again")
    for who in counts:
        of_it = [name for name in names if owner(name) == who]
        guide.page.line(f"{', '.join(of_it[:SHOWN])}{' ...' if len(of_it) > SHOWN else ''}")


async def call_each(guide: Guide) -> None:
    """One call of each server, as if it were the client's own."""
    guide.page.step("Call a tool of each server")
    for server in guide.bench.servers:
        await guide.ask(server, server.call)


async def stream_progress(guide: Guide) -> None:
    """A slow call: its progress comes through while it runs."""
    server = guide.bench.streaming
    if server.stream is None:
        raise StepFailed(f"The demo knows no tool of {server.name} that reports progress.")
    call, expected = server.stream
    guide.page.step("Watch the progress of a slow call")
    reports = 0
    begun = time.monotonic()
    complete = anyio.Event()

    async def show(progress: float, total: float | None, message: str | None) -> None:
        nonlocal reports
        reports += 1
        of_all = "" if total is None else f" of {total:g}"
        guide.page.line(
            f"   {progress:g}{of_all}{f', {message}' if message else ''}, at {time.monotonic() - begun:.1f} s"
        )
        if reports == expected:
            complete.set()

    tool = public_name(server, call)
    guide.page.line(f"{tool} {shown(call.arguments)}")
    answer = await guide.client.call_tool(tool, call.arguments, progress_callback=show)
    took = time.monotonic() - begun
    with anyio.move_on_after(LATE_PROGRESS):
        await complete.wait()
    guide.page.line(f"-> {cut(text_of(tool, answer))} ({seconds(took)})")
    if reports != expected:
        raise StepFailed(f"{tool} reported progress {reports} times, {expected} were expected.")


async def stop_one(guide: Guide) -> None:
    """Stopping takes a server's tools off the list, and a call says what to do."""
    server = guide.bench.stopped
    guide.page.step(f"Stop a server: {server.name}")
    guide.page.line(f"stop_server {shown({'name': server.name})}")
    begun = time.monotonic()
    status = await guide.manage("stop_server", name=server.name)
    expect(status, "stopped")
    process = "no process" if status["pid"] is None else f"process {status['pid']}"
    guide.page.line(f"-> {status['state']}, {process} ({seconds(time.monotonic() - begun)})")
    left = [name for name in await guide.tools() if owner(name) == server.name]
    if left:
        raise StepFailed(f"{server.name} is stopped and {', '.join(left)} are still listed.")
    guide.page.line("none of its tools is listed any more; a call of one says what to do:")
    await guide.is_refused(public_name(server, server.call), server.call.arguments)


async def start_it_again(guide: Guide) -> None:
    """And back."""
    server = guide.bench.stopped
    guide.page.step(f"Start it again and call it: {server.name}")
    guide.page.line(f"start_server {shown({'name': server.name})}")
    begun = time.monotonic()
    status = await guide.manage("start_server", name=server.name)
    took = seconds(time.monotonic() - begun)
    expect(status, "ready")
    guide.page.line(f"-> {status['state']}, process {status['pid']}, {status['tools']} tools ({took})")
    await guide.ask(server, server.call)


async def kill_one(guide: Guide) -> None:
    """Kill a server's process under Roundhouse and call it as if nothing had happened."""
    server = guide.bench.killed
    guide.page.step(f"Kill a server and call it: {server.name}")
    before = await guide.status(server)
    expect(before, "ready")
    first = psutil.Process(before["pid"])
    below = first.children(recursive=True)
    guide.page.line(f"its process is {first.pid} ({first.name()}){also(below)}")
    os.kill(first.pid, signal.SIGKILL)
    see_it_buried(first)
    guide.page.line(f"kill -9 {first.pid}, and nothing else; it is dead, and this is called at once:")
    took = await guide.ask(server, server.call)
    after = await guide.status(server)
    expect(after, "ready")
    if after["pid"] == first.pid or after["restarts"] != before["restarts"] + 1:
        raise StepFailed(f"{server.name} was killed, but list_servers says {after}.")
    guide.page.line(f"the call waited {seconds(took)} for a new process: {after['pid']}, restarts: {after['restarts']}")
    if left := orphans.living(below):
        raise StepFailed(f"Of the killed server there is still {'; '.join(map(orphans.described, left))}.")
    if below:
        guide.page.line(f"what the kill left behind is gone too: {', '.join(str(process.pid) for process in below)}")


async def show_servers(guide: Guide) -> None:
    """The list after all that."""
    guide.page.step("Look at them: list_servers")
    heads = ("name", "state", "tools", "pid", "seconds_in_state", "restarts")
    guide.page.table(heads, [[one[head] for head in heads] for one in await guide.statuses()])


async def ask_for_nonsense(guide: Guide) -> None:
    """An error says what is wrong and what may have been meant."""
    server = guide.bench.streaming
    guide.page.step("Call a tool that does not exist")
    await guide.is_refused(public_name(server, server.call)[:-1], {})


def say_goodbye(page: Page) -> float:
    """Show who runs. Returns the time at which the client begins to close."""
    page.step("Leave")
    there = orphans.running()
    page.line(f"running now, below this demo: {len(there)} processes ({orphans.counted(there)})")
    return time.monotonic()


def nobody_is_left(page: Page, begun: float) -> None:
    """The promise: a client that leaves leaves nothing. Raises: `StepFailed` with who is still there."""
    page.line(f"the client has closed the connection ({seconds(time.monotonic() - begun)})")
    left = orphans.wait_while(orphans.running, begun + GONE_WITHIN - time.monotonic())
    if left:
        raise StepFailed(f"Still running after {GONE_WITHIN:.0f} s: {'; '.join(map(orphans.described, left))}.")
    page.line("running now: none; looked for in /proc, and orphans would have fallen to this demo")


# -- small things


def expect(status: Mapping[str, Any], state: str) -> None:
    """Raises: `StepFailed` when a server is in another state."""
    if status["state"] != state:
        raise StepFailed(f"{status['name']} should be {state}, but list_servers says {dict(status)}.")


def see_it_buried(process: psutil.Process) -> None:
    """Wait, for milliseconds, until a killed process is not even a zombie: from then on Roundhouse, its parent, knows.

    A call that reaches it while it dies may have been read, so that one fails and says so; it is not sent twice.
    """
    if orphans.wait_while(lambda: [process] if process.is_running() else [], NOTICED_WITHIN):
        raise StepFailed(f"Process {process.pid} was killed and is not buried after {NOTICED_WITHIN:.0f} s.")


async def explained(guide: Guide, status: Mapping[str, Any]) -> str:
    """Why a server has no tools, by list_servers and its own log."""
    lines = (await guide.manage("read_logs", name=status["name"], lines=3))["lines"]
    return (
        f"There are no tools of {status['name']}: it is {status['state']}: {status['reason'] or 'no reason given'}. "
        f"The last lines of its log: {' | '.join(lines) or 'none'}"
    )


def public_name(server: Server, call: Call) -> str:
    """The name under which a client sees a tool."""
    return f"{server.name}__{call.tool}"


def owner(tool: str) -> str:
    """Whose tool it is, by its name."""
    server, separator, _ = tool.partition("__")
    return server if separator else OURS


def text_of(tool: str, answer: CallToolResult) -> str:
    """The text of an answer. Raises: `StepFailed` when the tool reports a failure."""
    text = " ".join(block.text for block in answer.content if isinstance(block, TextContent))
    if answer.is_error:
        raise StepFailed(f"{tool} failed: {text}")
    return text


def shown(arguments: Mapping[str, object]) -> str:
    """Arguments as JSON, cut."""
    return cut(json.dumps(arguments))


def also(processes: list[psutil.Process]) -> str:
    """The processes below one, as the end of a sentence."""
    if not processes:
        return ""
    return ", and below it " + ", ".join(f"{process.pid} ({process.name()})" for process in processes)
