"""Other people's servers: what a client gets through us is what it gets directly, but for names, byte for byte.

The Python servers come through `uvx` and the everything server from npm; `make deps` brings both. Where there is no
Node, the everything server's tests are skipped, and pytest says so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp
import mcp_types as types
import pytest
from mcp.client import ClientRequestContext

from tests.house import Answer, House, house, launched

ROOT = Path(__file__).parents[1]
EVERYTHING = ROOT / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
UVX = str(Path(sys.executable).with_name("uvx"))
OFFLINE = {"UV_OFFLINE": "1"}  # fetched beforehand: a start is a start, not a download
CLOCK = re.compile(rb"\d+:\d\d:\d\d [AP]M")  # of resources the everything server makes up when asked
CAPABILITIES = {"sampling": {}, "elicitation": {}, "roots": {"listChanged": True}}

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and EVERYTHING.exists()),
    reason="no Node here, or `make deps` could not install its servers",
)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small git repository with two commits and a change."""
    path = tmp_path_factory.mktemp("repository")
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-C", str(path)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for number, text in enumerate(["first\n", "first\nsecond, with ünïcode\n"]):
        (path / "file.txt").write_text(text)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", f"commit {number}"], check=True)
    (path / "file.txt").write_text("changed\n")
    return path


@pytest.fixture(scope="session")
def servers(repository: Path) -> dict[str, Any]:
    """Three real servers; what they are made of is fetched before any clock runs."""
    for package in ("mcp-server-time", "mcp-server-git"):
        subprocess.run([UVX, package, "--help"], check=True, capture_output=True, timeout=300)
    found: dict[str, Any] = {
        "time": {"command": "uvx", "args": ["mcp-server-time", "--local-timezone", "Europe/Zurich"], "env": OFFLINE},
        "git": {"command": "uvx", "args": ["mcp-server-git", "--repository", str(repository)], "env": OFFLINE},
    }
    if EVERYTHING.exists():
        found["everything"] = {"command": "node", "args": [str(EVERYTHING)]}
    return found


@contextmanager
def directly(entry: dict[str, Any]) -> Iterator[House]:
    """The same raw client on the server itself."""
    command = UVX if entry["command"] == "uvx" else entry["command"]
    with launched([command, *entry["args"]]) as server:
        server.open("2025-11-25", CAPABILITIES)
        yield server
        server.process.terminate()  # the everything server does not leave on end-of-file


def calls(repository: Path) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """What is asked of each server: things whose answer is the same each time."""
    repo = {"repo_path": str(repository)}
    return {
        "time": [
            ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}),
            ("convert_time", {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "UTC"}),
            ("get_current_time", {}),  # an argument is missing
            ("no_such_tool", {}),
        ],
        "git": [
            ("git_status", repo),
            ("git_log", repo),
            ("git_diff_unstaged", repo),
            ("git_branch", {**repo, "branch_type": "local"}),
            ("git_show", {**repo, "revision": "HEAD"}),
            ("git_show", {**repo, "revision": "no-such-thing"}),
            ("git_status", {"repo_path": "/nowhere"}),
            ("git_status", {}),
        ],
        "everything": [
            ("echo", {"message": 'quotes " and \\ and ünïcode \ud83d\ude00 \u2028'}),
            ("echo", {}),
            ("get-sum", {"a": 1.5, "b": -2}),
            ("get-annotated-message", {"messageType": "error", "includeImage": True}),
            ("get-tiny-image", {}),
            ("get-structured-content", {"location": "New York"}),
            ("get-resource-links", {"count": 4}),
            ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
            ("trigger-long-running-operation", {"duration": 0.3, "steps": 3}),
            ("get-roots-list", {}),
            ("trigger-sampling-request", {"prompt": "hello", "maxTokens": 10}),
            ("trigger-elicitation-request", {}),
            ("simulate-research-query", {"topic": "roundhouses"}),
        ],
    }


@pytest.mark.parametrize("name", ["time", "git", pytest.param("everything", marks=needs_node)])
def test_through_us_is_as_direct(tmp_path: Path, servers: dict[str, Any], repository: Path, name: str) -> None:
    with directly(servers[name]) as direct:
        listed = definitions(direct, "")
        expected = [conversation(direct, tool, arguments) for tool, arguments in calls(repository)[name]]
    with house(tmp_path, {name: servers[name]}, opened=False) as through:
        through.open("2025-11-25", CAPABILITIES)
        through.tools_until(lambda tools: any(tool.startswith(f"{name}__") for tool in tools), within=60)
        assert definitions(through, f"{name}__") == listed
        for (tool, arguments), wanted in zip(calls(repository)[name], expected, strict=True):
            got = conversation(through, f"{name}__{tool}", arguments)
            if tool == "no_such_tool":  # known to be unknown before the server is asked
                assert got[-1].startswith(b'"error":{"code":-32602,')
            else:
                assert got == wanted, tool


def definitions(client: House, prefix: str) -> dict[str, Any]:
    """Tools by their own names."""
    tools = client.request("tools/list")["result"]["tools"]
    named = {tool["name"].removeprefix(prefix): tool for tool in tools if tool["name"].startswith(prefix)}
    return {name: {**tool, "name": name} for name, tool in named.items()}


def conversation(client: House, tool: str, arguments: dict[str, Any]) -> list[bytes]:
    """Everything the client hears from a call to its answer, answering what it is asked; ids taken out."""
    at = len(client.messages)
    key = client.ask_tool(tool, arguments, _meta={"progressToken": "token"})
    heard: list[Answer] = []
    while not client.answers(key) or client.answer(key) not in heard:
        message = client.message(at + len(heard))
        heard.append(message)
        if "method" in message and "id" in message:
            client.send({"id": message["id"], "result": REPLIES[message["method"]]})
    return [_without_ids(message) for message in heard if message.get("method") not in ITS_OWN_TIME]


# What the everything server says whenever it likes: its first question for roots, and what follows from the answer.
ITS_OWN_TIME = ("roots/list", "notifications/tools/list_changed", "notifications/message")

REPLIES: dict[str, Any] = {
    "roots/list": {"roots": [{"uri": "file:///tmp/a", "name": "a"}]},
    "sampling/createMessage": {"role": "assistant", "content": {"type": "text", "text": "sampled"}, "model": "test"},
    "elicitation/create": {"action": "accept", "content": {"name": "Ada", "check": True}},
}


def _without_ids(message: Answer) -> bytes:
    """The bytes of a message but for its id, members in one order: servers put the id first or last."""
    if "method" in message:
        return json.dumps({**message, "id": None}, sort_keys=True).encode()
    for member in (b'"result":', b'"error":'):
        if member in message.raw:
            body = CLOCK.sub(b"(time)", message.raw[message.raw.index(member) :].rstrip())
            return re.sub(rb',"jsonrpc":"2.0","id":\d+\}$', b"}", body)
    raise AssertionError(message.raw)


# -- the mcp package's own client


def sdk(tmp_path: Path, servers: dict[str, Any]) -> mcp.StdioServerParameters:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    args = ["-m", "roundhouse", "serve", "--standalone", "--config", str(file)]
    return mcp.StdioServerParameters(command=sys.executable, args=args)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_sdks_client_works_in_its_default_mode_and_the_old_one(
    tmp_path: Path, servers: dict[str, Any], mode: str
) -> None:
    async def use() -> None:
        changed = anyio.Event()

        async def heard(message: Any) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                changed.set()

        async with mcp.Client(sdk(tmp_path, servers), mode=mode, message_handler=heard, cache=None) as client:
            assert client.protocol_version in ("2025-06-18", "2025-11-25")
            with anyio.fail_after(60):
                while not set(servers) <= {t.name.split("__")[0] for t in (await client.list_tools()).tools}:
                    await changed.wait()
                    changed = anyio.Event()
            args = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}
            result = await client.call_tool("time__convert_time", args)
            assert "17:30" in str(result.content[0])
            status = await client.call_tool("list_servers", {})
            assert status.structured_content
            assert {server["state"] for server in status.structured_content["servers"]} == {"ready"}
            with pytest.raises(mcp.MCPError) as caught:
                await client.call_tool("time__no_such", {})
            assert caught.value.error.data["code"] == "RH_NOT_FOUND"

    anyio.run(use)


@needs_node
def test_the_sdks_client_is_asked_and_hears_progress_through_us(tmp_path: Path, servers: dict[str, Any]) -> None:
    asked: list[str] = []

    async def sample(
        context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult:
        asked.append("sampling")
        return types.CreateMessageResult(role="assistant", content=types.TextContent(text="sampled text"), model="m")

    async def elicit(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append("elicitation")
        return types.ElicitResult(action="decline")

    async def use() -> None:
        only = {"everything": servers["everything"]}
        async with mcp.Client(sdk(tmp_path, only), sampling_callback=sample, elicitation_callback=elicit) as client:
            steps: list[float] = []

            async def progressed(progress: float, total: float | None, message: str | None) -> None:
                steps.append(progress)

            name = "everything__trigger-long-running-operation"
            await client.call_tool(name, {"duration": 0.3, "steps": 3}, progress_callback=progressed)
            assert steps == [1, 2, 3]
            sampled = await client.call_tool("everything__trigger-sampling-request", {"prompt": "x", "maxTokens": 5})
            assert "sampled text" in str(sampled.content)
            await client.call_tool("everything__trigger-elicitation-request", {})
            assert asked == ["sampling", "elicitation"]

    anyio.run(use)
