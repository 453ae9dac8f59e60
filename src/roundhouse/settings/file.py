"""The configuration file: a Claude Desktop style `mcpServers` object, read with every problem named at its place.

What concerns the whole file stops the start. What concerns one server stops that server only: it is listed as failed,
with all its problems, and the others start.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from roundhouse.errors import BadConfiguration, did_you_mean
from roundhouse.model.servers import ServerSpec, Start
from roundhouse.settings.document import Object, kind_of, read_document
from roundhouse.settings.entry import Names, read_entry


def load_servers(path: Path, reserved: Iterable[str]) -> list[ServerSpec]:
    """The servers a configuration file names, in its order, each with its problems.

    Args:
        reserved: names that are ours.

    Raises: `BadConfiguration` when the file as a whole cannot be read.
    """
    document = read_document(path)
    if not isinstance(document, Object):
        raise BadConfiguration(
            f'{path}: the file holds {kind_of(document)}; expected an object {{"mcpServers": {{...}}}}.'
        )
    if "mcpServers" not in document:
        if "servers" in document:
            raise BadConfiguration(
                f'{path}: there is no "mcpServers". VS Code calls it "servers"; rename it to "mcpServers".'
            )
        raise BadConfiguration(f'{path}: there is no "mcpServers"{did_you_mean("mcpServers", document)}')
    if "mcpServers" in document.repeated:
        raise BadConfiguration(f'{path}: "mcpServers" is given twice; put all servers into one.')
    servers = document["mcpServers"]
    if not isinstance(servers, Object):
        raise BadConfiguration(
            f'{path}: "mcpServers" holds {kind_of(servers)}; expected an object of server entries by name.'
        )
    names = Names(servers, frozenset(reserved))
    return [read_entry(names, name, entry, start=Start.ALWAYS) for name, entry in servers.items()]
