"""Our entry in another client's own file: one write, everything else byte for byte as it was, and a backup.

The new text is made by changing the old one in place, and read again: only if it holds exactly what it should, it is
written. So the worst that can happen to a file we do not understand is nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundhouse.clients.dialects import is_ours
from roundhouse.clients.files import NotInstalled, replace, snapshot
from roundhouse.clients.formats import Format, Malformed, Unwritable
from roundhouse.clients.imports import ImportedServer, read_document
from roundhouse.clients.known import Client, Surroundings, client_named
from roundhouse.errors import BadConfiguration
from roundhouse.model.text import shorten
from roundhouse.settings.document import kind_of

NAME = "roundhouse"  # what our entry is called in every client


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done to a client's file.

    Args:
        changed: False where everything was there already; then nothing was written.
        backup: the old file, for its owner's eyes; None where there was none, or nothing was written.
        removed: names of the servers that were taken out.
    """

    client: str
    file: Path
    changed: bool
    backup: Path | None = None
    removed: tuple[str, ...] = ()


def install(
    client: str, entry: Mapping[str, Any], env: Mapping[str, str], *, adopted: Iterable[ImportedServer] = ()
) -> Installed:
    """Put our entry into a client's own file, and take out the servers that have moved into the house.

    What somebody has added to our entry (a timeout, `disabled`, a variable) stays.

    Args:
        client: a name of `known.CLIENTS`.
        entry: `command`, as a whole path, and `args`.
        adopted: servers as `imports.read` gave them. One that is gone by now is no matter.

    Raises: `NotFound` for no client; `BadConfiguration` for a file that cannot be read; `NotInstalled` where it cannot
        be written, or must not: another server has our name, or an adopted one was changed since it was read. The file
        is then as it was.
    """
    known = client_named(client)
    file = known.file(Surroundings(env))
    old = snapshot(file)
    try:
        document = read_document(old, known.dialect.format)
    except BadConfiguration as bad:
        raise BadConfiguration(f"{bad} It was left alone; mend it and try again.") from None
    _check(document, known, file)
    wanted = copy.deepcopy(dict(document))
    text, edit = old.text, known.dialect.format
    try:
        text, removed = _without_adopted(text, edit, wanted, adopted, file)
        text = _with_entry(text, edit, wanted, known, entry)
    except Unwritable as bad:
        raise NotInstalled(
            f"{file}: our entry or a server to be taken out is written as {bad}; change it by hand."
        ) from None
    if text == old.text and not removed:
        return Installed(client, file, changed=False)
    if not _holds(edit, text, wanted):
        raise NotInstalled(
            f"{file} is written in a way Roundhouse cannot change safely. It was left alone; edit it by hand."
        )
    return Installed(client, file, True, replace(old, old.encoded(text)), tuple(removed))


def _check(document: Mapping[str, Any], known: Client, file: Path) -> None:
    """What nobody but a person can decide."""
    key = known.container
    if key in getattr(document, "repeated", ()):
        raise NotInstalled(f"{file}: `{key}` is given twice; make them one. The file was left alone.")
    servers = document.get(key)
    if servers is not None and not isinstance(servers, dict):
        raise NotInstalled(f"{file}: `{key}` holds {kind_of(servers)}, expected an object. The file was left alone.")
    if NAME in getattr(servers, "repeated", ()):
        raise NotInstalled(f"{file}: `{key}.{NAME}` is given twice; keep one. The file was left alone.")
    ours = (servers or {}).get(NAME)
    if ours is not None and not is_ours(ours):
        raise NotInstalled(f"{file}: another server is named {NAME!r}; rename it. The file was left alone.")


def _without_adopted(
    text: str, edit: Format, wanted: dict[str, Any], adopted: Iterable[ImportedServer], file: Path
) -> tuple[str, list[str]]:
    removed = []
    for server in adopted:
        for place in server.places:
            container: Any = wanted
            for key in place[:-1]:
                container = container.get(key) if isinstance(container, dict) else None
            if not isinstance(container, dict) or place[-1] not in container:
                continue
            if container[place[-1]] != server.raw or place[-1] in getattr(container, "repeated", ()):
                name = shorten(server.original)
                raise NotInstalled(
                    f"{file}: {name!r} was changed since it was read. Nothing was written; import it again."
                )
            del container[place[-1]]
            text = edit.drop(text, place)
            removed.append(server.name)
    return text, list(dict.fromkeys(removed))


def _with_entry(text: str, edit: Format, wanted: dict[str, Any], known: Client, entry: Mapping[str, Any]) -> str:
    place = (known.container, NAME)
    servers = wanted[known.container] = wanted.get(known.container) or {}
    complete = {**known.added, **entry}
    if servers.get(NAME) is None:
        servers[NAME] = complete
        return edit.put(text, place, complete)
    for key, value in complete.items():
        if servers[NAME].get(key) != value:
            servers[NAME][key] = value
            text = edit.put(text, (*place, key), value)
    return text


def _holds(edit: Format, text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return bool(edit.parse(text) == wanted)
    except Malformed:
        return False
