"""`doctor`: what is wrong on this machine, and how to mend it. Looks and tries; changes nothing, starts no house."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from roundhouse import __version__, rendezvous
from roundhouse.doors.cli.command import Command, pass_invocation
from roundhouse.doors.cli.failures import FAILED, HouseUnavailable, Refused
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.words import number
from roundhouse.errors import CommandNotFound, RoundhouseError
from roundhouse.model.text import shorten
from roundhouse.process.spawn import resolve

TRY_WITHIN = 10.0  # seconds for a program to say its version; npm's take one on a slow disk
OLDEST_NODE = 18  # what the reference servers ask for
# The least a sandbox must be able to do: names of its own for everything, the system read-only.
SANDBOX = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent")
DOWN = ("failed", "backoff")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warn", "bad"]
    what: str
    found: str
    mend: str = ""


@click.command(cls=Command)
@pass_invocation
def doctor(here: Invocation) -> int:
    """Look at everything a house needs, and say what is wrong and how to mend it.

    Exit code 1 if something is bad. Starts no house; what a running one knows is asked of it.
    """
    findings = [finding for check in CHECKS for finding in check(here)]
    bad = [finding for finding in findings if finding.level == "bad"]
    if here.screen.json:
        here.screen.document({"findings": [asdict(finding) for finding in findings], "healthy": not bad})
    here.screen.table(
        ["", "what", "found", "how to mend it"], [(one.level, one.what, one.found, one.mend) for one in findings]
    )
    here.screen.say(f"{number(len(bad), 'thing')} to mend." if bad else "Nothing is wrong.")
    return FAILED if bad else 0


def _python(here: Invocation) -> Iterator[Finding]:
    yield Finding("ok", "python", f"{sys.version.split()[0]}, {sys.executable}")
    yield Finding("ok", "roundhouse", f"{__version__}, {shutil.which('roundhouse') or 'not on your PATH'}")


def _path(here: Invocation) -> Iterator[Finding]:
    """Clients with a window start with hardly any PATH, so the house uses the one that was recorded."""
    now = os.environ.get("PATH", "")
    recorded = _recorded(here)
    if not recorded:
        yield Finding("warn", "PATH", "none is recorded; a client with a window brings a short one", _RECORD)
    elif lacking := [part for part in now.split(os.pathsep) if part and part not in recorded.split(os.pathsep)]:
        yield Finding("warn", "PATH", f"the recorded one lacks {', '.join(lacking)}, which yours has", _RECORD)
    else:
        yield Finding("ok", "PATH", "the recorded one has all that yours has")


_RECORD = "`roundhouse install CLIENT` records the PATH of your shell; then `roundhouse down`"


def _programs(here: Invocation) -> Iterator[Finding]:
    """What most servers are started with, on the PATH that a house uses."""
    path = _recorded(here) or os.environ.get("PATH", os.defpath)
    uvx = "install uv: https://docs.astral.sh/uv (servers that are started with uvx need it)"
    node = "install Node.js: https://nodejs.org (servers that are started with npx need it)"
    yield from _program("uvx", path, uvx)
    yield from _program("node", path, node, oldest=OLDEST_NODE)
    if shutil.which("npx", path=path):
        yield Finding("ok", "npx", str(shutil.which("npx", path=path)))
    else:
        yield Finding("warn", "npx", "not found", node)


def _program(name: str, path: str, mend: str, oldest: int = 0) -> Iterator[Finding]:
    try:
        program = resolve(name, {"PATH": path}, None)
    except CommandNotFound:
        yield Finding("warn", name, "not found", mend)
        return
    done, said = _try([program, "--version"], path)
    version = said.removeprefix(name).strip(" v\n")
    first = version.split(".")[0]
    if not done:
        yield Finding("bad", name, f"{program} does not run: {said}", f"mend it, or {mend}")
    elif first.isdigit() and int(first) < oldest:
        yield Finding("warn", name, f"{version} is old: {program}", f"{oldest} or later is asked for; {mend}")
    else:
        yield Finding("ok", name, f"{version}, {program}")


def _sandbox(here: Invocation) -> Iterator[Finding]:
    """Found by running it: where namespaces are forbidden the program is there and does not work."""
    if not sys.platform.startswith("linux"):
        yield Finding("warn", "sandbox", "none on this system yet; servers run with your rights")
        return
    if shutil.which("bwrap") is None:
        yield Finding("warn", "sandbox", "bwrap not found; servers run with your rights", "install bubblewrap")
        return
    done, said = _try([*SANDBOX, "true"], os.environ.get("PATH", os.defpath))
    if done:
        yield Finding("ok", "sandbox", f"bwrap works, {shutil.which('bwrap')}")
    else:
        mend = "allow unprivileged user namespaces (on Ubuntu: an AppArmor profile for bwrap)"
        yield Finding("warn", "sandbox", f"bwrap does not work here: {said}", mend)


def _home(here: Invocation) -> Iterator[Finding]:
    if here.home.exists():
        yield _private("home", here.home)
    else:
        yield Finding("ok", "home", f"{here.home} is not there yet; the first house makes it")
    try:
        yield _private("runtime", Path(here.place.folder))
    except HouseUnavailable as bad:  # says itself what to do
        yield Finding("bad", "runtime", str(bad), "see there")


def _private(what: str, folder: Path) -> Finding:
    """Whether a folder is ours alone."""
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        return Finding("bad", what, f"{folder} belongs to user {found.st_uid}", f"chown it, or remove it: {folder}")
    if mode & 0o077:
        return Finding("bad", what, f"{folder} is open to others (mode {mode:04o})", f"chmod 700 {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("bad", what, f"{folder} cannot be written", f"chmod 700 {folder}")
    return Finding("ok", what, f"{folder}, yours alone")


def _house(here: Invocation) -> Iterator[Finding]:
    try:
        running = here.find()
    except HouseUnavailable as bad:
        yield Finding("bad", "house", str(bad), "roundhouse down")
        return
    if not running:
        failed = _failed_starts(here)
        if failed:
            last = " | ".join(rendezvous.last_lines(here.place))
            yield Finding("bad", "house", f"{number(failed, 'start')} failed lately: {last}", f"see {here.place.log}")
        else:
            yield Finding("ok", "house", "none runs; the next client or command that needs one starts it")
        return
    status = here.ask("house_status")
    about = f"pid {status['pid']}, {number(len(status['clients']), 'client')}, version {status['version']}"
    if status["version"] == __version__:
        yield Finding("ok", "house", about)
    else:
        yield Finding("warn", "house", f"{about}; this is {__version__}", "`roundhouse down`: the next one is of today")
    for note in status["notes"]:
        yield Finding("warn", "store", note, f"see {status['log']}")


def _secrets(here: Invocation) -> Iterator[Finding]:
    try:
        where = here.ask("list_secrets")["where"] if here.find() else _described(here.home)
    except (RoundhouseError, OSError) as bad:
        yield Finding("bad", "secrets", str(bad), "unlock the keyring, or mend what it says")
        return
    yield Finding("ok", "secrets", f"new ones are kept in {where}")


def _servers(here: Invocation) -> Iterator[Finding]:
    try:
        servers = here.ask("list_servers")["servers"] if here.find() else []
    except (HouseUnavailable, Refused):
        return  # said already
    for one in servers:
        if one["approval"] == "pending":
            yield Finding("warn", one["name"], "waits for a yes", f"roundhouse approve {one['name']}")
        elif one["state"] in DOWN:
            last = " | ".join(one["last_stderr"])
            yield Finding("bad", one["name"], f"{one['reason']} {last}".strip(), f"roundhouse explain {one['name']}")
    if servers:
        up = sum(one["state"] not in DOWN for one in servers)
        yield Finding("ok", "servers", f"{up} of {len(servers)} in order")


def _clients(here: Invocation) -> Iterator[Finding]:
    from roundhouse.clients.imports import find

    for client in find(os.environ):
        if client.problem:
            yield Finding("bad", client.title, client.problem, f"mend {client.file}")
        elif client.installed:
            yield Finding("ok", client.title, f"starts Roundhouse: {client.file}")
        else:
            mend = f"`roundhouse install {client.client}`"
            yield Finding("warn", client.title, "is here and does not start Roundhouse", mend)


CHECKS: tuple[Callable[[Invocation], Iterator[Finding]], ...] = (
    _python,
    _path,
    _programs,
    _sandbox,
    _home,
    _house,
    _secrets,
    _servers,
    _clients,
)


def _recorded(here: Invocation) -> str:
    """The PATH that `install` has left for the house."""
    try:
        return (here.home / "path").read_text(encoding="utf-8", errors="surrogateescape").partition("\n")[0].strip()
    except OSError:
        return ""


def _failed_starts(here: Invocation) -> int:
    try:
        return len(Path(here.place.failed).read_text().split())
    except OSError:
        return 0


def _described(home: Path) -> str:
    """Where the next house would keep a secret."""
    import asyncio

    from roundhouse.vault.keep import Vault

    return asyncio.run(Vault(home).described())


def _try(argv: list[str], path: str) -> tuple[bool, str]:
    """Whether a program runs well, and what it said: its version, or its complaint."""
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TRY_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TRY_WITHIN:.0f} s"
    except OSError as bad:
        return False, str(bad.strerror)
    said = done.stdout if done.returncode == 0 else done.stderr
    return done.returncode == 0, shorten(said.decode(errors="replace").strip())
