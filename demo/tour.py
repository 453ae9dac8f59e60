"""The tour: a person at a command line and two clients share one house, and it is asked for one thing after another.

Whatever is printed has happened; whatever does not happen as said raises `StepFailed`.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import psutil
from mcp import MCPError

from . import orphans
from .conversation import ANSWER_LIMIT, Conversation, connected, public_name
from .home import Home, Ran
from .page import Page, StepFailed, cut, seconds
from .workbench import Workbench

TOUR_LIMIT = 400.0  # seconds for everything: no single wait may hang the demo
SHOWN = 3  # tool names of each server; the counts say how many there are
LATE_PROGRESS = 1.0  # seconds; the SDK hands progress to tasks of their own, and the last may come after the answer
NOTICED_WITHIN = 5.0  # seconds from the kill to a dead process that its parent has buried
STOPPED_WITHIN = 30.0  # seconds for a server that was only started to be looked at; a ladder of five at the worst
GONE_WITHIN = 5.0  # seconds after the house was killed; the promise to every user

OURS = "Roundhouse"
NO_PERSON = 4  # exit code where a person has to say yes and there is none
OTHER_ZONE: dict[str, object] = {"timezone": "Asia/Tokyo"}
WANTED = "convert a time to another city's timezone"  # what search_tools is asked for
FOUND = "time__convert_time"


async def tour(page: Page, bench: Workbench, home: Home) -> None:
    """Steps 2 to 16. Raises: `StepFailed`, `MCPError`, `TimeoutError`."""
    with anyio.fail_after(TOUR_LIMIT):
        guide = Guide(page, bench, home)
        await add_the_first(guide)
        await take_over_another(guide)
        page.step("Client A connects; no house runs, so its front starts one")
        async with connected(page, home, "A") as a:
            await see_the_list(guide, a)
            page.step("Client B connects, while A is there")
            async with connected(page, home, "B") as b:
                await see_the_same_house(guide, b)
                await call_from_both(guide, a, b)
                await propose(guide, a)
                await say_yes(guide)
                await use_the_new_one(guide, a, b)
                await search(guide, b)
                await stream_progress(guide, a)
                await kill_a_server(guide, b)
                await narrow(guide, a)
                await look_at_health(guide)
                await kill_the_house(guide, a, b)
                page.step("Leave")
                begun = time.monotonic()
        page.line(f"both clients have closed their connections ({seconds(time.monotonic() - begun)})")
        await let_the_house_go(guide)


class Guide:
    """What all steps share: the page, what there is to work on, and the command line."""

    def __init__(self, page: Page, bench: Workbench, home: Home) -> None:
        self.page = page
        self.bench = bench
        self.home = home

    async def run(self, *words: str, code: int = 0) -> None:
        """Run a command as a program does, and show it. Raises: `StepFailed` when it ends otherwise."""
        self._show(words, await anyio.to_thread.run_sync(partial(self.home.run, *words)), code)

    async def type(self, *words: str, answer: str) -> None:
        """Run a command as a person does, and show it. Raises: `StepFailed` when it does not succeed."""
        self._show(words, await anyio.to_thread.run_sync(partial(self.home.type, *words, answer=answer)), 0)

    async def house(self) -> psutil.Process:
        """The house that runs. Raises: `StepFailed` when none does."""
        status = await anyio.to_thread.run_sync(self.home.status)
        try:
            return psutil.Process(status["pid"])
        except psutil.NoSuchProcess:
            raise StepFailed(
                f"The house, process {status['pid']}, has gone right after it said that it runs."
            ) from None

    def _show(self, words: tuple[str, ...], ran: Ran, code: int) -> None:
        self.page.command(words, ran.said)
        if ran.code != code:
            raise StepFailed(f"`roundhouse {words[0]}` ended with code {ran.code}; {code} was expected.")


# -- before any client


async def add_the_first(guide: Guide) -> None:
    """A person adds a server, who is asked first, and sees it in the list."""
    server = guide.bench.typed
    guide.page.step("A person adds a server on the command line, and is asked first")
    await guide.type("add", server.name, "--", server.command, *server.args, answer="y")
    await looked_at(guide, await guide.house())
    await guide.run("list")


async def take_over_another(guide: Guide) -> None:
    """The servers of another client's file; then the house goes, as when the machine is switched off."""
    guide.page.step("The person takes over the servers of another client, and switches everything off")
    await guide.type("import", str(guide.bench.file), answer="y")
    await guide.run("down", "--wait")
    nobody_runs(guide)


# -- two clients


async def see_the_list(guide: Guide, a: Conversation) -> None:
    """The whole list is there at once, and no server is started for it."""
    begun = time.monotonic()
    await a.list_tools()
    guide.page.line(f"A: tools/list ({seconds(time.monotonic() - begun)})")
    for server in ("", guide.bench.typed.name, guide.bench.configured.server.name):
        of_it = [name for name in a.tools if owner(name) == server]
        if not of_it:
            raise StepFailed(f"There are no tools of {server or OURS} in the list: {', '.join(a.tools)}.")
        more = " ..." if len(of_it) > SHOWN else ""
        guide.page.line(f"-> {len(of_it)} of {server or OURS}: {', '.join(of_it[:SHOWN])}{more}")
    house = await guide.house()
    if started := orphans.living(house.children()):
        raise StepFailed(f"Servers were started for a list: {'; '.join(map(orphans.described, started))}.")
    guide.page.line("the list is remembered: no server runs before it is called")


async def see_the_same_house(guide: Guide, b: Conversation) -> None:
    """There is one house, and both are in it."""
    await b.list_tools()
    status = await anyio.to_thread.run_sync(guide.home.status)
    names = sorted(one["name"] for one in status["clients"])
    if names != ["A", "B"]:
        raise StepFailed(f"The clients of the house should be A and B; it says {names}.")
    guide.page.line(f"one house, process {status['pid']}, has both clients")


async def call_from_both(guide: Guide, a: Conversation, b: Conversation) -> None:
    """Two calls at the same moment, of one server; and the processes that there are after them."""
    typed, configured = guide.bench.typed, guide.bench.configured.server
    guide.page.step("Both call the same server at the same moment; one process is started for both")
    tool = public_name(typed, typed.call.tool)
    wanted = ((a, typed.call.arguments), (b, OTHER_ZONE))
    answers: dict[str, tuple[str, float]] = {}

    async def ask(client: Conversation, arguments: dict[str, object]) -> None:
        answers[client.name] = await client.ask(tool, arguments)

    async with anyio.create_task_group() as tasks:
        for client, arguments in wanted:
            tasks.start_soon(ask, client, arguments)
    for client, arguments in wanted:
        client.show(tool, arguments, *answers[client.name])
    await b.call(configured, configured.call)
    pids = [[(await client.status(server))["pid"] for server in (typed, configured)] for client in (a, b)]
    if pids[0] != pids[1]:
        raise StepFailed(f"A is served by the processes {pids[0]}, B by {pids[1]}; they should be the same.")
    guide.page.line(f"A and B are served by the same processes, {pids[0][0]} and {pids[0][1]}. All there are:")
    await show_processes(guide, a)


async def show_processes(guide: Guide, client: Conversation) -> None:
    """Everything that runs below this demo, and what it is."""
    status = await anyio.to_thread.run_sync(guide.home.status)
    house = psutil.Process(status["pid"])
    known = {one["pid"]: f"front of client {one['name']}" for one in status["clients"]}
    known |= {house.ppid(): "reaper: ends what the house leaves behind", house.pid: "the house"}
    for one in (await client.manage("list_servers"))["servers"]:
        if one["instances"] > 1:
            raise StepFailed(f"{one['name']} runs {one['instances']} times for two clients; once was expected.")
        if one["pid"]:
            known[one["pid"]] = f"server {one['name']}"
    rows = []
    for process in orphans.running():
        with suppress(psutil.NoSuchProcess):
            what = known.get(process.pid) or f"  below {process.ppid()}: {process.name()}"
            rows.append((process.pid, process.ppid(), what))
    guide.page.table(("pid", "parent", "what"), sorted(rows))


# -- a server added in conversation


async def propose(guide: Guide, a: Conversation) -> None:
    """A model adds a server: nothing of it runs, and it cannot say yes to itself."""
    server, before = guide.bench.proposed.server, set(orphans.running())
    guide.page.step(f"In A's conversation the model adds a server: {server.name}")
    arguments = {"name": server.name, "command": server.command, "args": list(server.args)}
    begun = time.monotonic()
    added = await a.manage("add_server", **arguments)
    text = f"approval: {added['approval']}. {added['next_step']}"
    a.show("add_server", arguments, text, time.monotonic() - begun)
    guide.page.line("it tries all the same, and then to say yes itself, in a shell without a person:")
    tool = public_name(server, server.call.tool)
    await a.is_refused("call_tool", {"name": tool, "arguments": server.call.arguments}, "RH_NOT_APPROVED")
    await guide.run("approve", server.name, "--yes", code=NO_PERSON)
    if started := orphans.living(set(orphans.running()) - before):
        raise StepFailed(f"Nothing was approved, and this runs: {'; '.join(map(orphans.described, started))}.")
    guide.page.line("nothing of it runs: no process has come since")


async def say_yes(guide: Guide) -> None:
    """The person sees the whole launch, and types y."""
    guide.page.step("The person looks at it in a terminal, and types y")
    await guide.type("approve", guide.bench.proposed.server.name, answer="y")


async def use_the_new_one(guide: Guide, a: Conversation, b: Conversation) -> None:
    """One client hears of the change and lists again, the other ignores it and calls by name."""
    server = guide.bench.proposed.server
    guide.page.step("Both clients use it, in the conversations they are in")
    tool = public_name(server, server.call.tool)
    known = len(a.tools)
    await a.hears_of_change()
    await a.list_tools()
    guide.page.line(
        f"A: has heard notifications/tools/list_changed, lists again: {known} tools then, {len(a.tools)} now"
    )
    if tool not in a.tools:
        raise StepFailed(f"{tool} is not in the list: {', '.join(a.tools)}.")
    await a.call(server, server.call)
    if tool in b.tools:
        raise StepFailed(f"B has not listed again and yet knows {tool}.")
    guide.page.line(f"B: ignores it; its list, of {len(b.tools)} tools, is the one from before. It calls by name:")
    arguments = {"name": tool, "arguments": server.call.arguments}
    b.show("call_tool", arguments, *await b.ask("call_tool", arguments))


# -- day by day


async def search(guide: Guide, b: Conversation) -> None:
    """A tool is found by what it does, with the schema it is called by."""
    guide.page.step("Find a tool by what it does")
    begun = time.monotonic()
    found = await b.manage("search_tools", query=WANTED)
    took = seconds(time.monotonic() - begun)
    best: dict[str, Any] = next(iter(found["tools"]), {"name": "nothing"})
    guide.page.line(f"B: search_tools {WANTED!r}")
    if best["name"] != FOUND:
        raise StepFailed(f"{FOUND} should be found first; {best['name']} was.")
    arguments = ", ".join(best["inputSchema"]["properties"])
    guide.page.line(f"-> {best['name']}: {best['description']} ({took})")
    guide.page.line(f"   the best of {found['matches']} that match; its arguments: {arguments}")


async def stream_progress(guide: Guide, a: Conversation) -> None:
    """A slow call: its progress comes through while it runs."""
    streaming = guide.bench.configured
    call, expected = streaming.slow
    guide.page.step("Watch the progress of a slow call")
    reports = 0
    begun = time.monotonic()
    complete = anyio.Event()

    async def show(progress: float, total: float | None, message: str | None) -> None:
        nonlocal reports
        reports += 1
        said = f", {message}" if message else ""
        guide.page.line(f"   {of_all(progress, total)}{said}, at {time.monotonic() - begun:.1f} s")
        if reports == expected:
            complete.set()

    text, took = await a.follow(streaming.server, call, show)
    with anyio.move_on_after(LATE_PROGRESS):
        await complete.wait()
    guide.page.line(f"-> {cut(text)} ({seconds(took)})")
    if reports != expected:
        raise StepFailed(f"{call.tool} reported progress {reports} times, {expected} were expected.")


async def kill_a_server(guide: Guide, b: Conversation) -> None:
    """Kill a server's process under the house and call it as if nothing had happened."""
    server = guide.bench.proposed.server
    guide.page.step(f"Kill a server and call it: {server.name}")
    first = psutil.Process((await b.status(server))["pid"])
    below = first.children(recursive=True)
    guide.page.line(f"its process is {first.pid} ({first.name()}){also(below)}")
    os.kill(first.pid, signal.SIGKILL)
    await see_it_buried(first)
    guide.page.line(f"kill -9 {first.pid}, and nothing else; it is dead, and this is called at once:")
    took = await b.call(server, server.call)
    after = (await b.status(server))["pid"]
    if after in (None, first.pid):
        raise StepFailed(f"{server.name} was killed, but list_servers says that its process is {after}.")
    guide.page.line(f"the call waited {seconds(took)} for a new process: {after}")
    if left := await anyio.to_thread.run_sync(orphans.wait_while, lambda: orphans.living(below), GONE_WITHIN):
        raise StepFailed(f"Of the killed server there is still {'; '.join(map(orphans.described, left))}.")
    if below:
        guide.page.line(f"what the kill left behind is gone too: {pids(below)}")


async def narrow(guide: Guide, a: Conversation) -> None:
    """What makes a server smaller needs nobody's yes, and `explain` says why something cannot be called."""
    server, tool = guide.bench.proposed.server, guide.bench.proposed.denied
    name = public_name(server, tool)
    guide.page.step(f"The model does without a tool: {name}; then asks why it cannot be called")
    if name not in a.tools:
        raise StepFailed(f"{name} is not in the list: {', '.join(a.tools)}.")
    arguments = {"name": server.name, "changes": {"deny": [tool]}}
    begun = time.monotonic()
    changed = await a.manage("configure_server", **arguments)
    text = f"applied: {', '.join(changed['applied'])}. {changed['next_step']}"
    a.show("configure_server", arguments, text, time.monotonic() - begun)
    if changed["applied"] != ["deny"]:
        raise StepFailed(f"To narrow a server needs no yes, but configure_server says {changed}.")
    await a.is_refused(name, {}, "RH_NOT_FOUND")
    explained = await a.manage("explain", name=name)
    guide.page.line(f'A: explain {{"name": "{name}"}}')
    marks = {True: "yes", False: "NO", None: "?"}
    guide.page.table(
        ("step", "so", "detail"), [(one["step"], marks[one["ok"]], one["detail"]) for one in explained["steps"]]
    )
    guide.page.line(f"-> {explained['next_step']}")
    if explained["callable"]:
        raise StepFailed(f"{name} is denied, but explain says that it can be called.")


async def look_at_health(guide: Guide) -> None:
    """How the servers are, and the house."""
    guide.page.step("Look at all of it on the command line")
    await guide.run("health")
    await guide.run("status")


async def kill_the_house(guide: Guide, a: Conversation, b: Conversation) -> None:
    """The house is killed under a call: that is answered, nothing is left over, and the sessions go on."""
    streaming, typed = guide.bench.configured, guide.bench.typed
    guide.page.step("Kill the house itself, while A waits for an answer")
    house = await guide.house()
    doomed = [house, *house.parents()[:1], *house.children(recursive=True)]
    under_way = anyio.Event()

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        if not under_way.is_set():
            guide.page.line(f"   {of_all(progress, total)}: it is under way")
            under_way.set()

    async def wait_for_it() -> None:
        try:
            text, _ = await a.follow(streaming.server, streaming.endless, heard)
        except MCPError as error:
            guide.page.line(f"A has its answer after {seconds(time.monotonic() - killed)}:")
            a.failed(error, "RH_HOUSE_LOST")
        else:
            raise StepFailed(f"The house was killed under this call, and yet it was answered: {text}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_it)
        with anyio.fail_after(ANSWER_LIMIT):
            await under_way.wait()
        guide.page.line(f"kill -9 {house.pid}: the house")
        killed = time.monotonic()
        house.kill()
    if left := await anyio.to_thread.run_sync(orphans.wait_while, lambda: orphans.living(doomed), GONE_WITHIN):
        raise StepFailed(f"Of the killed house there is still {'; '.join(map(orphans.described, left))}.")
    gone = seconds(time.monotonic() - killed)
    guide.page.line(f"no orphan: its reaper has ended every server; all {len(doomed)} processes are gone ({gone})")
    guide.page.line("both go on in the sessions they have:")
    await a.call(streaming.server, streaming.server.call)
    await b.call(typed, typed.call)
    guide.page.line(f"there is a new house: process {(await guide.house()).pid}")


async def let_the_house_go(guide: Guide) -> None:
    """The house stays when its clients leave, and leaves with everything when it is told to."""
    there = orphans.running()
    guide.page.line(f"the house stays for the next; running: {len(there)} processes ({orphans.counted(there)})")
    begun = time.monotonic()
    await guide.run("down", "--wait")
    guide.page.line(f"it has taken {seconds(time.monotonic() - begun)}")
    nobody_runs(guide)


# -- small things


def nobody_runs(guide: Guide) -> None:
    """The promise. Raises: `StepFailed` with who is still there."""
    if left := orphans.wait_while(orphans.running, GONE_WITHIN):
        raise StepFailed(f"Still running after {GONE_WITHIN:.0f} s: {'; '.join(map(orphans.described, left))}.")
    guide.page.line("running now: none; looked for in /proc, and orphans would have fallen to this demo")


async def looked_at(guide: Guide, house: psutil.Process) -> None:
    """Wait until a server that was started to be looked at has stopped, so that the list is the one that stays."""
    wait = partial(orphans.wait_while, lambda: orphans.living(house.children()), STOPPED_WITHIN)
    if left := await anyio.to_thread.run_sync(wait):
        raise StepFailed(f"Nobody needs them, and they still run: {'; '.join(map(orphans.described, left))}.")


async def see_it_buried(process: psutil.Process) -> None:
    """Wait, for milliseconds, until a killed process is not even a zombie: from then on the house, its parent, knows.

    A call that reaches it while it dies may have been read, so that one fails and says so; it is not sent twice.
    """
    wait = partial(orphans.wait_while, lambda: [process] if process.is_running() else [], NOTICED_WITHIN)
    if await anyio.to_thread.run_sync(wait):
        raise StepFailed(f"Process {process.pid} was killed and is not buried after {NOTICED_WITHIN:.0f} s.")


def owner(tool: str) -> str:
    """Whose tool it is, by its name; nothing for our own."""
    server, separator, _ = tool.partition("__")
    return server if separator else ""


def of_all(progress: float, total: float | None) -> str:
    """How far it is."""
    return f"{progress:g}" if total is None else f"{progress:g} of {total:g}"


def also(processes: list[psutil.Process]) -> str:
    """The processes below one, as the end of a sentence."""
    if not processes:
        return ""
    return ", and below it " + ", ".join(f"{process.pid} ({process.name()})" for process in processes)


def pids(processes: list[psutil.Process]) -> str:
    """Their numbers."""
    return ", ".join(str(process.pid) for process in processes)
