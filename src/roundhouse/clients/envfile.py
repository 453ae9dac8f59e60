"""Files of environment variables (`.env`), which some clients read for a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from roundhouse.clients.files import snapshot
from roundhouse.clients.variables import Scene, literal
from roundhouse.errors import BadConfiguration

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:]\s*(.*)")
_QUOTED = re.compile(r"""(["'`])(.*?)(?<!\\)\1\s*(?:#.*)?""")


def read_env_file(path: str, place: str, scene: Scene) -> dict[str, str]:
    """The variables in a file. None where it cannot be read, which is then one of the scene's problems.

    Args:
        path: absolute, or relative to the project of the scene.
    """
    if "${" in path:
        return {}  # what is open in an editor; said already
    file = Path(re.sub(r"^~(?=/|$)", lambda _: str(scene.home), path))
    if not file.is_absolute():
        if not scene.project:
            scene.problems.append(f"{place} depends on where the client was started; write the whole path.")
            return {}
        file = scene.project / file
    try:
        found = snapshot(file)
        if found.data is not None:
            return {name: literal(value) for name, value in _variables(found.text)}
    except BadConfiguration:
        pass  # its message would repeat the path, which is a value of the entry
    scene.problems.append(f"{place} names a file that cannot be read; its variables are missing. Give them in `env`.")
    return {}


def _variables(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"\r\n?|\n", text):
        if found := _LINE.fullmatch(line.strip()):
            name, value = found.groups()
            if quoted := _QUOTED.fullmatch(value):
                mark, value = quoted.groups()
                yield name, value.replace("\\n", "\n").replace("\\r", "\r") if mark == '"' else value
            else:
                yield name, value.partition("#")[0].rstrip()
