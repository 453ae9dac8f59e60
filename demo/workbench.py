"""What the tour works on: a folder, a small repository, three servers that are on this machine, and the file of one.

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
    """A server, and what the tour does with it.

    Attributes:
        call: something to ask it that has an answer worth showing.
        folder: where it is started; otherwise in the house's home.
    """

    name: str
    command: str
    args: tuple[str, ...]
    call: Call
    folder: Path | None = None

    @property
    def entry(self) -> dict[str, object]:
        """Its entry in a configuration file, but for its name."""
        where = {"cwd": str(self.folder)} if self.folder else {}
        return {"command": self.command, "args": list(self.args), **where}


@dataclass(frozen=True)
class Streaming:
    """A server with calls that report progress.

    Attributes:
        slow: one of a second or two, and how many reports it makes.
        endless: one that takes longer than anybody waits here.
    """

    server: Server
    slow: tuple[Call, int]
    endless: Call


@dataclass(frozen=True)
class Proposed:
    """A server that a model proposes, and a tool of it that it does without afterwards."""

    server: Server
    denied: str


@dataclass(frozen=True)
class Workbench:
    """Everything the tour needs.

    Attributes:
        typed: the server that a person adds on the command line.
        configured: the one that another client has in its `file`.
        proposed: the one that is added in conversation.
        environment: what everything is started with.
    """

    typed: Server
    configured: Streaming
    file: Path
    proposed: Proposed
    environment: Mapping[str, str] = field(repr=False)


TIME = Server("time", "uvx", ("mcp-server-time",), Call("get_current_time", {"timezone": "Europe/Lisbon"}))

EVERYTHING = Streaming(
    Server(
        "everything",
        "npx",
        ("-y", "@modelcontextprotocol/server-everything"),
        Call("echo", {"message": "hello from npm"}),
        ROOT,  # where npx finds what `make deps` installed
    ),
    (Call("trigger-long-running-operation", {"duration": 1.5, "steps": 3}), 3),
    Call("trigger-long-running-operation", {"duration": 300, "steps": 600}),
)

# Of our own, for machines without git or Node: the same file twice, as two servers.
OURS_TO_PROPOSE = Proposed(Server("sums", sys.executable, (str(STARTER),), Call("add", {"a": 19, "b": 23})), "count")
OURS_TO_STREAM = Streaming(
    Server("starter", sys.executable, (str(STARTER),), Call("echo", {"text": "hello from Roundhouse"})),
    (Call("count", {"to": 3, "pause": 0.5}), 3),
    Call("count", {"to": 100, "pause": 1}),
)


def set_up(page: Page, folder: Path) -> Workbench:
    """The first step. Raises: `StepFailed`."""
    page.step("Set up: a temporary home, and three servers that are on this machine")
    page.line(f"a temporary folder: {folder}")
    repository = make_repository(page, folder / "repo")
    bench = Workbench(
        typed=TIME,
        configured=everything_server(page),
        file=folder / "servers.json",
        proposed=git_server(repository) if repository else OURS_TO_PROPOSE,
        environment=environment(FROM_CACHE),
    )
    servers = (bench.typed, bench.configured.server, bench.proposed.server)
    for server in servers:
        if server.command == "uvx":
            warm_uv(page, server)
    write_configuration(page, bench)
    page.line(f"servers: {', '.join(' '.join((server.command, *server.args)) for server in servers)}")
    page.line(f"they start without the network from now on ({settings(FROM_CACHE)})")
    return bench


# -- the repository


def make_repository(page: Page, folder: Path) -> Path | None:
    """A repository with two commits, None where there is no git."""
    git = shutil.which("git")
    if git is None:
        name = OURS_TO_PROPOSE.server.name
        page.line(f"no git on this machine: {name!r}, a server of ours, stands in for mcp-server-git")
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


def git_server(repository: Path) -> Proposed:
    """The real one, on this repository."""
    args = ("mcp-server-git", "--repository", str(repository))
    log = Call("git_log", {"repo_path": str(repository), "max_count": 1})
    return Proposed(Server("git", "uvx", args, log), "git_commit")


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


def everything_server(page: Page) -> Streaming:
    """npm's server where there is npx to run it; else one of ours, and the reader is told."""
    npx = shutil.which("npx")
    instead = f"{OURS_TO_STREAM.server.name!r}, a server of ours, stands in for npm's server-everything"
    if npx is None:
        page.line(f"no npx on this machine: {instead}")
        return OURS_TO_STREAM
    package = EVERYTHING.server.args[-1]
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
    """The file in the form Claude Desktop and others have it."""
    server = bench.configured.server
    bench.file.write_text(json.dumps({"mcpServers": {server.name: server.entry}}, indent=2) + "\n")
    page.line(f"the file of another client, with {server.name!r} in it: {bench.file}")


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
