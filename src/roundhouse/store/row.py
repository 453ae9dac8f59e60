"""Rows as frozen nouns: read at the edge, then SQL is forgotten."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from typing import Self

LOCAL = "local"  # the tenant and the owner of everything in a house with one user


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table that has a column for each field."""

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Self:
        return cls(**{field.name: row[field.name] for field in fields(cls)})
