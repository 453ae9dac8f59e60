"""Start a server's process: found on the PATH, in a session of its own, with a small environment and our mark.

`Children` is the one place that learns of deaths: it asks every child after SIGCHLD, and buries the orphans that fall
to us as subreaper.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

import anyio

from roundhouse.errors import CommandNotFound
from roundhouse.process.table import MARK, mark_of_house

# What a server inherits of our environment: what a shell would need, and what package runners need behind a proxy or a
# private certificate authority. Everything else (tokens, keys, other people's settings) has to be given to it by name.
INHERITED = frozenset(
    (
        "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
        "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR",
    )
)  # fmt: skip
INHERITED_PREFIXES = ("LC_", "UV_", "PIP_", "npm_config_", "NPM_CONFIG_")
NOT_INHERITED_MARKS = ("TOKEN", "PASSWORD", "SECRET", "_AUTH", "CREDENTIAL")  # UV_PUBLISH_TOKEN and its kind

DEPTH = "ROUNDHOUSE_DEPTH"  # how many houses a process is inside of

OURS = ("uv", "uvx")  # commands that come with our own dependencies, for machines that have no uv of their own


class Child:
    """A running process and our ends of its pipes. Made by `Children.spawn`."""

    def __init__(self, popen: subprocess.Popen[bytes], mark: str) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.mark = mark
        self.stdin, self.stdout, self.stderr = (_take(file) for file in (popen.stdin, popen.stdout, popen.stderr))
        self.exited = anyio.Event()
        self.when_exited: Callable[[], None] | None = None

    @property
    def returncode(self) -> int | None:
        """The exit code, -N for death by signal N, None while it lives."""
        return self._popen.returncode

    def poll(self) -> None:
        """Notice its death, if it has died."""
        if self._popen.poll() is not None and not self.exited.is_set():
            self.exited.set()
            if self.when_exited:
                self.when_exited()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal its process group: itself and whatever it started without leaving the group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:  # macOS says so of a group of zombies
            pass


class Children:
    """Every process we started. One per house; wants the main thread's event loop."""

    def __init__(self) -> None:
        self._living: set[Child] = set()
        self._count = 0
        self._house = mark_of_house()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._bury)

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> Child:
        """Start a process in a session of its own.

        Args:
            argv: the first entry is resolved already.
            env: the whole environment but our mark.

        Raises: `OSError` when the system cannot start it.
        """
        self._count += 1
        mark = f"{self._house}:{self._count}"
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**env, MARK: mark, DEPTH: str(depth() + 1)},
            cwd=cwd,
            start_new_session=True,
        )
        child = Child(popen, mark)
        self._living.add(child)
        return child

    def _bury(self) -> None:
        for child in tuple(self._living):
            child.poll()
            if child.exited.is_set():
                self._living.discard(child)
        if sys.platform != "linux":
            return  # no subreaper, so no orphans come to us
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None or any(child.pid == dead.si_pid for child in self._living):
                return  # one of ours that died just now: its own SIGCHLD is on the way
            os.waitpid(dead.si_pid, 0)


def _take(pipe: IO[bytes] | None) -> int:
    """The descriptor of a pipe, for an owner that is not a file object."""
    if pipe is None:
        raise TypeError("spawned without this pipe")
    with pipe:
        return os.dup(pipe.fileno())


def depth() -> int:
    """How many houses we are inside of ourselves: more than a few means that one names itself as its own server."""
    said = os.environ.get(DEPTH, "0")
    return int(said) if said.isdigit() else 0


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a server gets: the part of our environment it may inherit, and over it what it was given by name."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED
        or (name.startswith(INHERITED_PREFIXES) and not any(mark in name.upper() for mark in NOT_INHERITED_MARKS))
    }
    return inherited | dict(given)


def resolve(command: str, env: Mapping[str, str], cwd: str | None) -> str:
    """The executable that a command means, as a path.

    Raises: `CommandNotFound`, with the PATH that was searched.
    """
    if os.sep in command:
        path = os.path.normpath(os.path.join(cwd or os.getcwd(), os.path.expanduser(command)))
        if not os.path.exists(path):
            raise CommandNotFound(f"There is no file {path!r}. Correct `command`, or install what it names.", path=path)
        if os.path.isdir(path) or not os.access(path, os.X_OK):
            raise CommandNotFound(
                f"{path!r} is no executable file. Make it executable (chmod +x), or name its interpreter as `command` "
                "and the file as the first of `args`.",
                path=path,
            )
        return path
    searched = env.get("PATH", os.defpath)
    found = shutil.which(command, path=searched)
    if found is None and command in OURS:
        found = shutil.which(command, path=os.path.dirname(sys.executable))
    if found is None:
        raise CommandNotFound(
            f"The command {command!r} was not found. Searched PATH: {searched}. Install it, give its full path as "
            "`command`, or set PATH in the server's `env`.",
            command=command,
            path=searched,
        )
    return os.path.abspath(found)
