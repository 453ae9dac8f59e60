"""Reading the servers of other clients: every entry in our form, and in words what could not be taken over.

Values of entries may be secrets: no message repeats one.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from roundhouse.clients import jsonc, toml
from roundhouse.clients.dialects import CODEX, PLAIN, VSCODE, Dialect, Section, is_ours, translate
from roundhouse.clients.files import Snapshot, snapshot
from roundhouse.clients.formats import Format, Malformed
from roundhouse.clients.known import CLIENTS, Surroundings
from roundhouse.clients.variables import Scene
from roundhouse.errors import BadConfiguration, NotFound
from roundhouse.model.text import shorten
from roundhouse.settings.document import kind_of
from roundhouse.settings.entry import LONGEST_NAME

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Found:
    """A client that is on this machine.

    Args:
        exists: whether its file is there; otherwise only its folder is.
        installed: whether our entry is in it.
        problem: why its file cannot be read, where it cannot.
    """

    client: str
    title: str
    file: Path
    exists: bool
    installed: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ImportedServer:
    """A server of another client.

    Args:
        name: what it is called here; `original`, there.
        entry: in our form, not checked yet. It may hold secrets as they stand in the file.
        places: where it stands in the document; several where projects have the same entry.
        raw: the entry as it stands there.
        problems: what of it could not be taken over, each with its place and what to do.
    """

    name: str
    original: str
    entry: Mapping[str, Any] = field(repr=False)
    places: tuple[tuple[str, ...], ...]
    raw: Mapping[str, Any] = field(repr=False)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """The servers of a file, in its order, without our own entry. `left_out` says what could not be taken at all."""

    file: Path
    servers: tuple[ImportedServer, ...]
    left_out: tuple[str, ...] = ()

    @property
    def entries(self) -> dict[str, Mapping[str, Any]]:
        return {server.name: server.entry for server in self.servers}

    @property
    def problems(self) -> list[str]:
        return [problem for server in self.servers for problem in server.problems] + [*self.left_out]


def find(env: Mapping[str, str]) -> list[Found]:
    """The clients that are here: their file is, or the folder they make when they run."""
    here = Surroundings(env)
    found = []
    for name, client in CLIENTS.items():
        file = client.file(here)
        exists, installed, problem = os.path.isfile(file), False, ""  # not `is_file`: it raises where it may not look
        if not exists and not os.path.isdir(client.traces(here)):
            continue
        try:
            document = read_document(snapshot(file), client.dialect.format)
            installed = any(is_ours(entry.raw) for entry in _entries(document, client.dialect, []))
        except BadConfiguration as bad:
            problem = str(bad)
        found.append(Found(name, client.title, file, exists, installed, problem))
    return found


def read(source: str | Path, env: Mapping[str, str], reserved: Collection[str] = ()) -> Imported:
    """The servers a client starts, or a file names.

    Args:
        source: a name of `CLIENTS`, or a file: what is in it is recognised.
        env: the environment of the person: where clients keep their files, and which variables there are.
        reserved: names in small letters that no server may have.

    Raises: `NotFound` for what is neither client nor file; `BadConfiguration`, with line and column, for a file that
        cannot be read as a whole.
    """
    here = Surroundings(env)
    client = CLIENTS.get(source) if isinstance(source, str) else None
    if client:
        found, dialect, project = snapshot(client.file(here)), client.dialect, None
        if found.data is None:
            raise BadConfiguration(f"There is no {found.path}: {client.title} has no servers of its own yet.")
        document = read_document(found, dialect.format)
    else:
        found = snapshot(Path(re.sub(r"^~(?=/|$)", lambda _: str(here.home), str(source))))
        if found.data is None:
            hint = f"Clients: {', '.join(CLIENTS)}."
            raise NotFound("client or file", str(source), list(CLIENTS), hint=hint)
        document, dialect, project = _recognised(found, here)
    left_out: list[str] = []
    entries = [entry for entry in _entries(document, dialect, left_out) if not is_ours(entry.raw)]
    names = _Names((entry.name for entry in entries), reserved)
    servers = [_server(same, dialect, project, here, names, left_out) for same in _alike(entries)]
    return Imported(found.path, tuple(filter(None, servers)), tuple(left_out))


def read_document(found: Snapshot, format: Format) -> Mapping[str, Any]:
    """What a file holds, as one object; an empty one where there is no file. Raises: `BadConfiguration`."""
    try:
        document = format.parse(found.text)
    except Malformed as bad:
        place = f", line {bad.line}, column {bad.column}" if bad.line else ""
        raise BadConfiguration(f"{found.path}{place}: {bad.what}") from None
    if not isinstance(document, dict):
        raise BadConfiguration(f"{found.path}: the file holds {kind_of(document)}; expected an object.")
    return document


def _recognised(found: Snapshot, here: Surroundings) -> tuple[Mapping[str, Any], Dialect, Path | None]:
    """What a file of somebody's holds, whose it is by its name or content, and the project it belongs to."""
    path = found.path
    looks_like_json = found.text.lstrip().startswith(("{", "//", "/*")) or path.suffix in (".json", ".jsonc")
    if not looks_like_json:
        document = read_document(found, toml)
        if "mcp_servers" not in document:
            raise BadConfiguration(f"{path}: there are no MCP servers: no table `mcp_servers`, as Codex has it.")
    else:
        document = read_document(found, jsonc)
    whole = path.absolute()
    for client in CLIENTS.values():
        own = client.file(here)
        if whole == own.absolute() or (not client.project_file and path.name == own.name):
            return document, client.dialect, None
        if client.project_file and whole.match(client.project_file):
            return document, client.dialect, whole.parents[client.project_file.count("/")]
    if not looks_like_json:
        return document, CODEX, None
    if "mcpServers" in document or isinstance(document.get("projects"), dict):
        return document, CLIENTS["claude-code"].dialect if "projects" in document else PLAIN, None
    in_settings = document.get("mcp")
    if "servers" in document or (isinstance(in_settings, dict) and "servers" in in_settings):
        return document, VSCODE, None
    raise BadConfiguration(
        f"{path}: there are no MCP servers: neither `mcpServers`, as most clients have it, nor VS Code's `servers`."
    )


class _Entry(NamedTuple):
    """An entry as it stands in a document."""

    section: Section
    name: str
    raw: Mapping[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.section.keys, self.name)


def _entries(document: Mapping[str, Any], dialect: Dialect, left_out: list[str]) -> Iterator[_Entry]:
    """Every entry there is, our own among them."""
    for section in dialect.sections(document):
        servers: Any = document
        for key in section.keys:
            if key in getattr(servers, "repeated", ()):
                left_out.append(f"{shorten(key)} is given twice, and only the last one counts; make them one.")
            servers = servers.get(key) if isinstance(servers, dict) else None
        if servers is not None and not isinstance(servers, dict):
            left_out.append(f"{_place(section.keys)} holds {kind_of(servers)}; expected an object of entries by name.")
            continue
        for name, raw in (servers or {}).items():
            if isinstance(raw, dict):
                yield _Entry(section, name, raw)
            else:
                left_out.append(f"{_place((*section.keys, name))} holds {kind_of(raw)}; expected an object.")


def _alike(entries: list[_Entry]) -> Iterable[list[_Entry]]:
    """The entries, those of several projects that are the same in name and content together."""
    alike: dict[str, list[_Entry]] = {}
    for entry in entries:
        alike.setdefault(json.dumps([entry.name, entry.raw], sort_keys=True, default=str), []).append(entry)
    return alike.values()


def _server(
    same: list[_Entry], dialect: Dialect, project: Path | None, here: Surroundings, names: _Names, left_out: list[str]
) -> ImportedServer | None:
    """One server of ours; one that several projects have is of none. None where there is too little of it."""
    entry = same[0]
    place = _place(entry.keys)
    project = project or (entry.section.project if len(same) == 1 else None)
    scene = Scene(dialect.forms, here.env, here.home, project)
    translated = translate(entry.raw, place, dialect, scene)
    if translated is None:
        left_out += scene.problems
        return None
    if any(entry.name in one.section.off for one in same):
        translated["disabled"] = True
    for key in sorted(getattr(entry.raw, "repeated", ())):
        scene.problems.append(f"{place}.{shorten(key)} is given twice, and the last one was taken; keep one.")
    name = names.given(entry.name, entry.section.project)
    if name != entry.name:
        scene.problems.append(f"{place}: {shorten(entry.name)!r} cannot be its name here; it becomes {name!r}.")
    places = tuple(one.keys for one in same)
    return ImportedServer(name, entry.name, translated, places, entry.raw, tuple(scene.problems))


def _place(keys: tuple[str, ...]) -> str:
    return ".".join(map(shorten, keys))


class _Names:
    """Names for servers: their own where that can be one here, else one like it. None twice, capitals ignored."""

    def __init__(self, wished: Iterable[str], reserved: Collection[str]) -> None:
        self._reserved = reserved
        self._wished = {name.casefold() for name in wished if _fits(name)}
        self._given: set[str] = set()

    def given(self, name: str, project: Path | None) -> str:
        free = name.casefold() not in self._given and name.casefold() not in self._reserved
        given = name if free and _fits(name) else self._suggested(name, project)
        self._given.add(given.casefold())
        return given

    def _suggested(self, name: str, project: Path | None) -> str:
        better = _cleaned(name) or "server"
        of_project = _cleaned(f"{better}-{project.name}") if project else better
        numbered = (f"{better[: LONGEST_NAME - 6].rstrip('-_')}-{count}" for count in itertools.count(2))
        used = {*self._given, *self._wished, *self._reserved}
        return next(one for one in itertools.chain((better, of_project), numbered) if one.casefold() not in used)


def _fits(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and "__" not in name and len(name) <= LONGEST_NAME


def _cleaned(name: str) -> str:
    cleaned = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]+", "-", name[:1000])).strip("-_")
    return cleaned[:LONGEST_NAME].strip("-_")
