"""The settings of the house: `settings.toml` in its home, written by a person and never by us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundhouse.errors import SHOWN, BadConfiguration, did_you_mean
from roundhouse.model.text import shorten
from roundhouse.settings.document import kind_of

EXPOSE = ("auto", "all", "search")
PAYLOADS = ("full", "shape", "none")
LONGEST_LEAVE = 30 * 86400.0  # seconds
SMALLEST_BUDGET, LARGEST_BUDGET = 1024, 8 * 1024 * 1024  # bytes of a list of tools


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may decide for the whole house."""

    idle_leave: float = 900.0  # seconds without a client after which the house leaves; 0: never
    expose: str = "auto"  # "all": every tool is listed; "search": only ours and pinned ones; "auto": by `list_budget`
    list_budget: int = 64 * 1024  # bytes of definitions that are listed as a whole
    allow_unattended: bool = False  # `--yes` stands for a person's yes on the command line
    env: tuple[str, ...] = ()  # variables of the house's environment that entries may name as ${env:NAME}
    log_payloads: str = "full"  # what the call log keeps of arguments and results


def load_settings(home: Path) -> Settings:
    """The settings of this home; the defaults where it has no file.

    Raises: `BadConfiguration` with every problem.
    """
    path = home / "settings.toml"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    except OSError as bad:
        raise BadConfiguration(f"{path} cannot be read: {bad.strerror}.") from None
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as bad:  # besides its own error: bytes that are no UTF-8, endless numbers
        raise BadConfiguration(f"{path}: no TOML: {bad}.") from None
    if problems := list(_problems(table)):
        raise BadConfiguration(f"{path}: {' '.join(problems)}")
    if "env" in table:
        table["env"] = tuple(table["env"])
    return Settings(**table)


def _problems(table: Mapping[str, Any]) -> list[str]:
    known = Settings.__dataclass_fields__
    problems = [
        f"{shorten(key)} is not known{did_you_mean(key[:SHOWN], known)} Known: {', '.join(known)}."
        for key in table
        if key not in known
    ]
    for key, choices in (("expose", EXPOSE), ("log_payloads", PAYLOADS)):
        if table.get(key, choices[0]) not in choices:
            problems.append(f"{key} holds {shorten(repr(table[key]), 40)}; expected one of {', '.join(choices)}.")
    if not isinstance(table.get("allow_unattended", False), bool):
        problems.append(f"allow_unattended holds {kind_of(table['allow_unattended'])}; expected true or false.")
    problems += _number_problems(table, "idle_leave", 0, LONGEST_LEAVE)
    problems += _number_problems(table, "list_budget", SMALLEST_BUDGET, LARGEST_BUDGET)
    names = table.get("env", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        problems.append('env is no list of names of variables; expected for example ["HOME", "USER"].')
    return problems


def _number_problems(table: Mapping[str, Any], key: str, least: float, most: float) -> list[str]:
    value = table.get(key, least)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        return [f"{key} holds {shorten(repr(value), 40)}; expected a number from {least:,} to {most:,.0f}."]
    return []
