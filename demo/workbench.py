"""What the tour works on: a folder, a small repository, three servers that are on this machine, and their file.

Whatever has to be downloaded is downloaded here, visibly and once. Afterwards the servers start from the caches, with
the network switched off for uv and npm, so that how long they take is theirs and not the network's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from roundhouse.errors import CommandNotFound
from roundhouse.process.spawn import resolve

from .page import Page, StepFailed, cut, seconds

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "templates" / "starter" / "server.py"

DOWNLOAD_LIMIT = 300.0  # seconds; some 50 MB, on a slow line
LONGEST_COMPLAINT = 500  # characters of what a command says when it fails
QUICK = 30.0  # seconds for what only looks at this machine, a cold disk included
FROM_CACHE = {"UV_OFFLINE": "1", "npm_config_offline": "true"}  # Roundhouse hands both on to its servers
# Where a company's own authority is known to the system only: pip finds it there by itself, uv and Node when told.
SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1", "NODE_USE_SYSTEM_CA": "1"}
NEEDS_PYPI = (
    "If it could not be downloaded, look at the network or, behind a mirror, set UV_DEFAULT_INDEX: uv does not read "
    "pip's configuration."
)


@dataclass(frozen=True)
class Call:
    """A tool, without its server's prefix, and what to ask it."""

    tool: str
    arguments: dict[str, object]


@dataclass(frozen=True)
class Server:
    """One entry of the configuration, and what the tour does with it.

    Attributes:
        call: something to ask it that has an answer worth showing.
        stream: a call that reports progress, and how many times.
    """

    name: str
    command: str
    args: tuple[str, ...]
    call: Call
    stream: tuple[Call, int] | None = None

    @property
    def line(self) -> str:
        """Its command line."""
        return " ".join((self.command, *self.args))


@dataclass(frozen=True)
class Workbench:
    """Everything the tour needs.

    Attributes:
        stopped: the server that is stopped and started.
        killed: the one whose process is killed.
        streaming: the one that reports progress.
        log: where Roundhouse's stderr goes.
        environment: what Roundhouse is started with.
    """

    config: Path
    log: Path
    stopped: Server
    killed: Server
    streaming: Server
    environment: Mapping[str, str] = field(repr=False)

    @property
    def servers(self) -> tuple[Server, ...]:
        """In the order of the configuration."""
        return (self.stopped, self.killed, self.streaming)


TIME = Server("time", "uvx", ("mcp-server-time",), Call("get_current_time", {"timezone": "Europe/Lisbon"}))

EVERYTHING = Server(
    "everything",
    "npx",
    ("-y", "@modelcontextprotocol/server-everything"),
    Call("echo", {"message": "hello from npm"}),
    (Call("trigger-long-running-operation", {"duration": 1.5, "steps": 3}), 3),
)

# Of our own, for machines without git or Node: the same file twice, as two servers.
OURS_TO_KILL = Server("sums", sys.executable, (str(STARTER),), Call("add", {"a": 19, "b": 23}))
OURS_TO_STREAM = Server(
    "starter",
    sys.executable,
    (str(STARTER),),
    Call("echo", {"text": "hello from Roundhouse"}),
    (Call("count", {"to": 3, "pause": 0.5}), 3),
)


def set_up(page: Page, folder: Path) -> Workbench:
    """The first two steps. Raises: `StepFailed`."""
    page.step("Set up")
    page.line(f"a temporary folder: {folder}")
    repository = make_repository(page, folder / "repo")
    page.step("Choose three servers and write their configuration")
    bench = Workbench(
        config=folder / "servers.json",
        log=folder / "roundhouse.log",
        stopped=TIME,
        killed=git_server(repository) if repository else OURS_TO_KILL,
        streaming=everything_server(page),
        environment=environment(FROM_CACHE),
    )
    for server in bench.servers:
        if server.command == "uvx":
            warm_uv(page, server)
    write_configuration(page, bench)
    return bench


# -- the repository


def make_repository(page: Page, folder: Path) -> Path | None:
    """A repository with two commits, None where there is no git."""
    git = shutil.which("git")
    if git is None:
        page.line(f"no git on this machine: {OURS_TO_KILL.name!r}, a server of ours, stands in for mcp-server-git")
        return None
    folder.mkdir()
    who = ("-c", "user.name=Demo", "-c", "user.email=demo@example.invalid", "-c", "commit.gpgsign=false")
    must(git, "-C", str(folder), "init", "--quiet")
    for text, message in (("first\n", "Lay the first rail"), ("first\nsecond\n", "Lay the second rail")):
        (folder / "rails.txt").write_text(text)
        must(git, "-C", str(folder), "add", "rails.txt")
        must(git, "-C", str(folder), *who, "commit", "--quiet", "--no-verify", "--message", message)
    commits = must(git, "-C", str(folder), "rev-list", "--count", "HEAD").strip()
    page.line(f"a git repository with {commits} commits: {folder}")
    return folder


def git_server(repository: Path) -> Server:
    """The real one, on this repository."""
    args = ("mcp-server-git", "--repository", str(repository))
    return Server("git", "uvx", args, Call("git_log", {"repo_path": str(repository), "max_count": 1}))


# -- the servers


def warm_uv(page: Page, server: Server) -> None:
    """Have a PyPI server in uv's cache. Finds uvx where Roundhouse will: on the PATH, else beside our own Python."""
    try:
        uvx = resolve("uvx", os.environ, None)
    except CommandNotFound as missing:
        raise StepFailed(f"{missing} `make deps` installs it.") from None
    package = server.args[0]
    failed = warm(page, package, (uvx, package, "--help"))
    if failed:
        raise StepFailed(f"`uvx {package} --help` failed: {failed} {NEEDS_PYPI}")


def everything_server(page: Page) -> Server:
    """npm's server where there is npx to run it; else one of ours, and the reader is told."""
    npx = shutil.which("npx")
    instead = f"{OURS_TO_STREAM.name!r}, a server of ours, stands in for npm's server-everything"
    if npx is None:
        page.line(f"no npx on this machine: {instead}")
        return OURS_TO_STREAM
    package = EVERYTHING.args[-1]
    failed = warm(page, package, (npx, "--yes", "--package", package, "--call", "true"))
    if failed:
        page.line(f"npx cannot run it ({failed}): {instead}")
        return OURS_TO_STREAM
    return EVERYTHING


def warm(page: Page, package: str, command: Sequence[str]) -> str:
    """Download a package unless it is on this machine.

    Args:
        command: runs it and ends by itself; downloads it first, where it may.

    Returns: why that failed; nothing if all is well.
    """
    if run(command, QUICK, FROM_CACHE).returncode == 0:
        return ""
    page.line(f"downloading {package} once ...")
    begun = time.monotonic()
    done = run(command, DOWNLOAD_LIMIT)
    if done.returncode:
        done = run(command, DOWNLOAD_LIMIT, SYSTEM_CERTIFICATES)
    if done.returncode:
        return cut(done.stderr, LONGEST_COMPLAINT) or f"exit code {done.returncode}"
    page.line(f"downloaded in {seconds(time.monotonic() - begun)}")
    return ""


def write_configuration(page: Page, bench: Workbench) -> None:
    """The file as Claude Desktop and others have it."""
    entries = {server.name: {"command": server.command, "args": server.args} for server in bench.servers}
    bench.config.write_text(json.dumps({"mcpServers": entries}, indent=2) + "\n")
    page.line(f"{bench.config.name}, in the form Claude Desktop has it:")
    page.table(("server", "command"), [(server.name, server.line) for server in bench.servers])
    page.line(f"all are on this machine now; they start without the network ({settings(FROM_CACHE)})")


def settings(variables: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in variables.items())


# -- commands


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours and more, for what we run. uv gets our Python, or it might download one of its own."""
    return {"UV_PYTHON": sys.executable, **os.environ, **more}


def must(*command: str) -> str:
    """Its output. Raises: `StepFailed` with what it said."""
    done = run(command, QUICK)
    if done.returncode:
        raise StepFailed(
            f"`{' '.join(command)}` failed with code {done.returncode}: {cut(done.stderr, LONGEST_COMPLAINT)}"
        )
    return done.stdout


def run(
    command: Sequence[str], within: float, more: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a command from the root of the checkout, where npx finds what `make deps` installed."""
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment(more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it took more than {within:.0f} s")
    except OSError as bad:
        return subprocess.CompletedProcess(command, 1, "", str(bad))
