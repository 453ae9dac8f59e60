"""The shape of a database and the steps to it: numbered SQL files, each one transaction with the number it leads to.

However a step ends, by SIGKILL too, the database is as it was before it or as it is after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """`NNN_what.sql`: the statements that lead from number NNN - 1 to NNN."""

    number: int
    statements: tuple[str, ...]


def facts() -> tuple[Migration, ...]:
    return read_migrations(_FOLDER / "facts")


def measurements() -> tuple[Migration, ...]:
    return read_migrations(_FOLDER / "measurements")


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """The steps in a folder, in order."""
    files = sorted(folder.glob("*.sql"))
    return tuple(Migration(int(file.name[:3]), tuple(_statements(file.read_text()))) for file in files)


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    """Take the steps that were not taken yet. Several processes may do so at once: each step is taken by one of them.

    Args:
        connection: in autocommit mode.
    """
    for step in steps:
        if version(connection) >= step.number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version(connection) < step.number:
                for statement in step.statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {step.number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def version(connection: sqlite3.Connection) -> int:
    """The number of the last step taken, 0 for an empty database."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def names(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """Every table with each of its columns, every index with each column it is over."""
    tables = "SELECT m.name, i.name FROM sqlite_master m, pragma_table_info(m.name) i WHERE m.type = 'table'"
    indexes = "SELECT m.name, i.name FROM sqlite_master m, pragma_index_info(m.name) i WHERE m.type = 'index'"
    return frozenset((row[0], row[1]) for sql in (tables, indexes) for row in connection.execute(sql))


def names_after(steps: Sequence[Migration]) -> frozenset[tuple[str, str]]:
    """`names` of a database that has taken these steps."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, steps)
        return names(connection)
    finally:
        connection.close()


def _statements(script: str) -> Iterator[str]:
    """Its statements one by one: `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
