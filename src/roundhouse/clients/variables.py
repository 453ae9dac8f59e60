"""What clients fill in before they start a server, turned into what we fill in: `${env:NAME}` and `${secret:NAME}`.

Each client has its own forms. What none of ours can say (the folder of an open window) stays as it is and is a problem.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from pathlib import Path

_REFERENCE = re.compile(r"\$(?:\{([^{}]*)\}|([A-Za-z_]\w*))", re.ASCII)
_VARIABLE = re.compile(r"([A-Za-z_]\w*)(?:(:-)(.*))?", re.ASCII | re.DOTALL)
# Text that we would take for a reference, where the client passed it on as it is.
_MISTAKABLE = re.compile(r"(?<=\$)\$\{|\$\{(?=(?:secret|env)\}|\s*[A-Za-z][A-Za-z-]*\s*:(?![-=?+]))")
_LONGEST_SECRET = 64  # characters of a secret's name, which are capitals, digits and '_'
_FOLDERS = ("workspaceFolder", "workspaceRoot", "cwd")  # the folder of a window
_OF_AN_EDITOR = re.compile(
    r"(?:cwd|workspaceRoot|workspaceFolder|config|command|file|relativeFile|lineNumber|selectedText|execPath|defaultBuildTask)\w*(?::.*)?"
)


class Form(Flag):
    """How a client writes what it fills in, besides `${env:NAME}`, which nobody means literally."""

    NONE = 0
    BRACES = auto()  # ${NAME} and ${NAME:-default}
    DOLLAR = auto()  # $NAME
    EDITOR = auto()  # ${workspaceFolder}, ${userHome}, ${pathSeparator} and their kind
    INPUT = auto()  # ${input:ID}
    FILE = auto()  # ${file:PATH}
    TILDE = auto()  # ~ at the beginning of the command and of arguments


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a server's entry was found: what the variables in it stand for.

    Args:
        project: the folder of the project it belongs to, where it belongs to one.
    """

    forms: Form
    env: Mapping[str, str]
    home: Path
    project: Path | None = None
    problems: list[str] = field(default_factory=list)

    def fill(self, text: str, place: str) -> str:
        """The text with every reference in our form. What could not be taken is added to `problems`."""
        pieces, done = [], 0
        for found in _REFERENCE.finditer(text):
            if (filled := self._filled(found, place)) is not None:
                pieces += [literal(text[done : found.start()]), filled]
                done = found.end()
        return "".join([*pieces, literal(text[done:])])

    def fill_path(self, text: str, place: str) -> str:
        """The same for a command or an argument, where some clients know `~`."""
        if Form.TILDE in self.forms and re.match(r"~(?:/|\Z)", text):
            text = str(self.home) + text[1:]
        return self.fill(text, place)

    def _filled(self, found: re.Match[str], place: str) -> str | None:
        """What stands for a reference; None where the client takes it for text."""
        inside, bare = found.groups()
        if bare is not None:
            return self._bare(found, bare, place)
        kind, _, name = inside.partition(":")
        if kind == "env" and name:
            return f"${{env:{name}}}"
        if kind == "secret" and name:
            return self._secret(name, place)
        if kind == "input" and Form.INPUT in self.forms:
            return self._secret(name, place)
        if kind == "file" and Form.FILE in self.forms:
            return self._secret(place.rpartition(".")[2], place)
        if Form.EDITOR in self.forms and (known := self._of_the_editor(inside)) is not None:
            return known
        if Form.EDITOR in self.forms and _OF_AN_EDITOR.fullmatch(inside):
            self.problems.append(
                f"{place} depends on what is open in the editor (${{{kind}}}), which Roundhouse does not know; "
                "write the path or value itself."
            )
            return found.group()
        if Form.BRACES in self.forms and (variable := _VARIABLE.fullmatch(inside)):
            return self._variable(variable, place)
        return None

    def _bare(self, found: re.Match[str], name: str, place: str) -> str | None:
        if Form.DOLLAR not in self.forms:
            return None
        if name in self.env or found.group() == found.string:
            return f"${{env:{name}}}"
        self.problems.append(
            f"{place} has a '$' before what is no variable here, and was taken literally; if a variable is meant, "
            "write ${env:NAME}."
        )
        return None

    def _variable(self, variable: re.Match[str], place: str) -> str:
        name, has_default, default = variable.groups()
        if not has_default or name in self.env:
            return f"${{env:{name}}}"
        self.problems.append(f"{place}: the variable {name} is not set here, so its default was taken; check it.")
        return str(default)

    def _secret(self, name: str, place: str) -> str:
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
        name = re.sub(r"[^A-Z0-9]+", "_", spaced.upper()).strip("_") or "VALUE"
        name = (f"N{name}" if name[0].isdigit() else name)[:_LONGEST_SECRET]
        said = f"{place} needs the secret {name}; set it with `roundhouse secret set {name}`."
        if said not in self.problems:
            self.problems.append(said)
        return f"${{secret:{name}}}"

    def _of_the_editor(self, inside: str) -> str | None:
        if inside == "userHome":
            return str(self.home)
        if inside in ("pathSeparator", "/"):
            return os.sep
        if self.project and inside in _FOLDERS:
            return str(self.project)
        if self.project and inside == "workspaceFolderBasename":
            return self.project.name
        return None


def literal(text: str) -> str:
    """Text that the server is to get as it is, in our form, where `$${` stands for `${`."""
    return _MISTAKABLE.sub("$${", text)
