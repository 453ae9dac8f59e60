"""What exactly would run: the noun a person approves, its digest, and what changed against the one before.

Pure but for one look: which executable a command means on the PATH. The digest covers whatever decides what runs or
what it can reach; secrets stand in it by name, never by value.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from roundhouse.errors import BadConfiguration, CommandNotFound, Refused
from roundhouse.model.servers import ServerSpec
from roundhouse.process.spawn import environment, resolve
from roundhouse.vault.binding import origin_of

NO_ISOLATION = "none: it runs with your rights"


@dataclass(frozen=True, slots=True)
class Launch:
    """One way to start a server, references to secrets left as they are."""

    argv: tuple[str, ...] = ()
    executable: str = ""  # what the first of argv means on this machine; empty where there is nothing of that name
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    isolation: str = NO_ISOLATION
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """What an approval binds to."""
        canonical = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()

    def facts(self) -> dict[str, Any]:
        """As JSON, for the store."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a process is started from, secrets filled in. Lives no longer than the start."""

    argv: tuple[str, ...] = field(repr=False)  # the first is the executable
    env: Mapping[str, str] = field(repr=False)
    cwd: str | None


def launch_of(spec: ServerSpec) -> Launch:
    """How a specification would be started here and now."""
    if spec.url:
        return Launch(url=spec.url, headers=dict(spec.headers), isolation="none: it is another machine's")
    try:
        executable = resolve(spec.command, environment(spec.env), directory(spec))
    except CommandNotFound:
        executable = ""
    return Launch(argv=(spec.command, *spec.args), executable=executable, env=dict(spec.env), cwd=spec.cwd)


def prepare(spec: ServerSpec, fill: Callable[[str], str]) -> Prepared:
    """What to run for a specification, now.

    Args:
        fill: puts the values of references into a text. Raises what forbids it.

    Raises: `Refused` with what is in the way, and what `fill` raises.
    """
    if spec.problems:
        raise Refused(" ".join(spec.problems))
    if spec.url:
        raise Refused("Servers over HTTP or SSE are not supported yet, only those with a `command`.")
    try:
        given = {name: fill(value) for name, value in spec.env.items()}
        args = [fill(text) for text in spec.args]
    except BadConfiguration as bad:
        raise Refused(str(bad)) from None
    for name, value in given.items():
        template = spec.env[name]
        if value != template and template.startswith(("http://", "https://")) and _moved(template, value):
            raise Refused(
                f"the secret in its variable {name} would change the address it stands in. Percent-encode it."
            )
    env = environment(given)
    cwd = directory(spec)
    if cwd and not os.path.isdir(cwd):
        raise Refused(f"its `cwd` {cwd!r} is no directory. Create it, or correct the configuration.")
    try:
        executable = resolve(spec.command, env, cwd)
    except CommandNotFound as missing:
        raise Refused(str(missing)) from None
    return Prepared((executable, *args), env, cwd)


def _moved(template: str, filled: str) -> bool:
    """Whether an address leads to another host with its secrets filled in."""
    try:
        return origin_of(template) != origin_of(filled)
    except BadConfiguration:
        return True


def directory(spec: ServerSpec) -> str | None:
    """Where its process starts, None for our own.

    Absolute, because a command is looked up from here before the process has gone there.
    """
    return os.path.abspath(os.path.expanduser(spec.cwd)) if spec.cwd else None


def read_launch(facts: Mapping[str, Any]) -> Launch:
    """The launch that `facts` was made of."""
    return Launch(
        argv=tuple(facts["argv"]),
        executable=facts["executable"],
        env=facts["env"],
        cwd=facts["cwd"],
        isolation=facts["isolation"],
        url=facts["url"],
        headers=facts["headers"],
    )


def differences(before: Launch, after: Launch) -> list[str]:
    """What a change changes, in words; values of variables and headers are not repeated."""
    changes = []
    if before.argv != after.argv:
        changes.append(f"the command line was {list(before.argv)!r}" if before.argv else "there was no command")
    if before.executable != after.executable:
        changes.append(f"the executable was {before.executable or 'not found'!r}")
    for what, old, new in (("variable", before.env, after.env), ("header", before.headers, after.headers)):
        for name in sorted(old.keys() | new.keys()):
            if name not in new:
                changes.append(f"the {what} {name} is gone")
            elif name not in old:
                changes.append(f"the {what} {name} is new")
            elif old[name] != new[name]:
                changes.append(f"the {what} {name} has another value")
    if before.cwd != after.cwd:
        changes.append(f"the directory was {before.cwd!r}" if before.cwd else "the directory was the house's own")
    if before.url != after.url:
        changes.append(f"the address was {before.url!r}" if before.url else "there was no address")
    if before.isolation != after.isolation:
        changes.append(f"the isolation was {before.isolation!r}")
    return changes
