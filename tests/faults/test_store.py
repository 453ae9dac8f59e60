"""Data (FAULTS.md, E): what was acknowledged is there, whatever is killed, filled or damaged; no loss is silent."""

from __future__ import annotations

import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from roundhouse.errors import StoreReadOnly
from roundhouse.store.health import Sample
from roundhouse.store.schema import facts, migrate, names, names_after, read_migrations, version
from roundhouse.store.store import BACKUPS, FACTS, MEASUREMENTS, Store, open_store
from tests.store.disks import Disk, limited_files, small_disk

ROOT = Path(__file__).parents[2]
WRITERS = 4
KILLS = 6  # of each writer
PATIENCE = 20.0  # seconds
LONG = "x" * 20_000

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def run_module(module: str, *arguments: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def names_of(store: Store) -> list[str]:
    return [server.name for server in await store.servers.all()]


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not fact():  # noqa: ASYNC110 - of what is seen in the notes no event tells
            await anyio.sleep(0.02)


def home_files(home: Path) -> list[Path]:
    return sorted(home.iterdir())


def set_aside(home: Path) -> list[Path]:
    return [file for file in home.glob("*.corrupt-*") if not file.name.endswith(("-wal", "-shm"))]


# -- 42


async def test_42_four_writers_that_are_killed_again_and_again_lose_nothing_they_acknowledged(home: Path) -> None:
    chance = random.Random(42)
    acknowledged: list[str] = []

    def live_and_die(prefix: str) -> None:
        writer = run_module("tests.store.writer", home, prefix)
        assert writer.stdout
        for _ in range(chance.randint(5, 60)):
            acknowledged.append(writer.stdout.readline().strip())
        time.sleep(chance.random() * 0.01)  # anywhere in a write
        writer.kill()
        acknowledged.extend(writer.stdout.read().split())
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL

    def lives(number: int) -> None:
        for life in range(KILLS):
            live_and_die(f"w{number}-{life}")

    async with anyio.create_task_group() as writers:
        for number in range(WRITERS):
            writers.start_soon(anyio.to_thread.run_sync, lives, number)

    assert len(acknowledged) > WRITERS * KILLS * 5
    async with open_store(home, redact=str) as store:
        kept = set(await names_of(store))
        assert [name for name in acknowledged if name not in kept] == []
        assert store.notes == ()
    for file in (FACTS, MEASUREMENTS):
        with closing(sqlite3.connect(home / file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert set_aside(home) == []


# -- 43


@pytest.fixture(params=[small_disk, limited_files], ids=["a small file system", "a limit on files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with request.param(tmp_path / "disk") as made:
        yield made


async def fill_up(store: Store, disk: Disk, known: list[str]) -> StoreReadOnly:
    """Fill the disk, and add servers until the store says no; some room was its own already."""
    disk.fill()
    for number in range(1000):
        try:
            await store.servers.put(f"late-{number}", LONG)
        except StoreReadOnly as error:
            return error
        known.append(f"late-{number}")
    pytest.fail("the disk is never full")


async def test_43_a_full_disk_stops_facts_with_an_error_and_nothing_else_and_recovers_by_itself(disk: Disk) -> None:
    home = disk.folder / "home"
    known = ["first"]
    async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep)
        await store.servers.put("first", LONG)
        error = await fill_up(store, disk, known)
        assert str(home / FACTS) in str(error)
        assert error.facts["path"] == str(home / FACTS)
        assert [note.text for note in store.notes if note.text == str(error)]

        assert await names_of(store) == known
        for number in range(300):
            store.journal.note(Sample("first", "i", time.time(), "READY", "well", f"{number}" + "x" * 10_000))
        await until(lambda: store.journal.dropped > 0)
        assert await names_of(store) == known

        disk.free()
        await until(lambda: store.notes == ())
        await store.servers.put("last", LONG)
        dropped = store.journal.dropped
        store.journal.note(Sample("last", "i", time.time(), "READY", "well"))
        await store.journal.flush()
        assert store.journal.dropped == dropped
        assert len(await store.health.history("last", 0.0)) == 1
        tasks.cancel_scope.cancel()
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == [*known, "last"]
        assert store.notes == ()


async def test_43_a_store_that_is_opened_on_a_full_disk_can_be_read_and_is_written_once_there_is_room(
    disk: Disk,
) -> None:
    home = disk.folder / "home"
    known = ["first"]
    async with open_store(home, redact=str) as store:
        await store.servers.put("first", LONG)
    disk.fill()
    async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep)
        assert await names_of(store) == known
        await fill_up(store, disk, known)
        assert await names_of(store) == known
        assert store.notes
        disk.free()
        await until(lambda: store.notes == ())
        await store.servers.put("last", LONG)
        assert await names_of(store) == [*known, "last"]
        tasks.cancel_scope.cancel()


# -- 44


def spoil(file: Path, start: int, length: int, seed: int = 44) -> None:
    """Flip bytes."""
    data = bytearray(file.read_bytes())
    chance = random.Random(seed)
    for place in range(start, min(start + length, len(data))):
        data[place] ^= chance.randint(1, 255)
    file.write_bytes(data)


def page_of(file: Path, table: str) -> int:
    """Where the first page of a table or an index begins."""
    with closing(sqlite3.connect(file)) as connection:
        (number,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return (int(number) - 1) * int(size)


def put_bytes(file: Path, start: int, data: bytes) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:start] + data + content[start + len(data) :])


def rename_tables(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"servers", b"survers"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "the first bytes": lambda file: spoil(file, 0, 16),
    "the header": lambda file: spoil(file, 16, 8),
    "the first page": lambda file: spoil(file, 100, 3996),
    "the names of the tables": rename_tables,
    "the number of the form": lambda file: put_bytes(file, 60, bytes(4)),
    "a page of a table": lambda file: spoil(file, page_of(file, "servers"), 4096),
    "some bytes of a page": lambda file: spoil(file, page_of(file, "servers"), 12),
    "a page of an index": lambda file: spoil(file, page_of(file, "sqlite_autoindex_servers_2"), 4096),
    "a page of zeros": lambda file: put_bytes(file, page_of(file, "servers"), bytes(4096)),
    "the end": lambda file: os.truncate(file, file.stat().st_size // 4096 // 2 * 4096),
    "everything": lambda file: file.write_bytes(random.Random(44).randbytes(50_000)),
    "all of it gone": lambda file: file.write_bytes(b""),
    "the file itself": lambda file: file.unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_44_a_damaged_file_is_set_aside_and_the_newest_backup_restored_loudly(
    home: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(home, redact=str) as store:
        for number in range(40):
            await store.servers.put(f"old-{number}", LONG[:500])
    async with open_store(home, redact=str) as store:
        await store.servers.put("new", LONG[:500])
        known = await names_of(store)
    backups = sorted((home / BACKUPS).iterdir())
    assert len(backups) == 2
    DAMAGE[what](home / FACTS)

    with caplog.at_level(logging.ERROR):
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == known
            (note,) = store.notes
            await store.servers.put("newer", "{}")
    assert str(home / FACTS) in note.text
    assert "what was recorded after that is lost" in note.text
    assert note.text in [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    kept = set_aside(home)
    assert len(kept) == (what != "the file itself")
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == [*known, "newer"]
        assert len(store.notes) == len(kept)  # the damage is told of for as long as its file is there


async def test_44_a_backup_that_is_damaged_too_is_passed_over_for_an_older_one(home: Path) -> None:
    for name in ("one", "two"):
        async with open_store(home, redact=str) as store:
            await store.servers.put(name, "{}")
    _, newer = sorted((home / BACKUPS).iterdir())
    spoil(newer, page_of(newer, "servers"), 4096)
    spoil(home / FACTS, 0, 16)
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == ["one"]
        assert len(store.notes) == 1


@pytest.mark.parametrize("backups", ["none", "only damaged ones"])
async def test_44_without_a_good_backup_it_begins_anew_and_says_so(
    home: Path, backups: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
    for backup in (home / BACKUPS).iterdir():
        if backups == "none":
            backup.unlink()
        else:
            spoil(backup, 0, 4096)
    spoil(home / FACTS, 0, 16)
    before = (home / FACTS).read_bytes()
    with caplog.at_level(logging.ERROR):
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == []
            (note,) = store.notes
    assert "begins anew, empty" in note.text
    assert note.text in caplog.text
    (aside,) = set_aside(home)
    assert aside.read_bytes() == before


async def test_44_damage_that_is_met_while_the_house_runs_is_mended_while_it_runs(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        for number in range(40):
            await store.servers.put(f"old-{number}", LONG[:500])
        await store.databases[0].back_up()
        with closing(sqlite3.connect(home / FACTS)) as another:
            another.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            spoil(home / FACTS, page_of(home / FACTS, "servers"), 4096)
        assert len(await names_of(store)) == 40
        (note,) = store.notes
        assert "is damaged" in note.text
        await store.servers.put("new", "{}")
        assert len(await names_of(store)) == 41
    async with open_store(home, redact=str) as store:
        assert len(await names_of(store)) == 41


async def test_44_a_process_that_has_the_file_open_goes_on_with_what_another_one_restored(home: Path) -> None:
    async with open_store(home, redact=str) as one:
        await one.servers.put("old", "{}")
        await one.databases[0].back_up()
        with closing(sqlite3.connect(home / FACTS)) as checkpoint:
            checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        spoil(home / FACTS, 0, 4096)
        async with open_store(home, redact=str) as other:
            assert len(other.notes) == 1
            await other.servers.put("of the other", "{}")
            await one.servers.put("of the one", "{}")
            assert await names_of(one) == await names_of(other) == ["old", "of the other", "of the one"]
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == ["old", "of the other", "of the one"]


async def test_44_the_log_of_a_damaged_file_is_not_taken_for_that_of_its_backup(home: Path) -> None:
    async with open_store(home, redact=str) as one:
        for number in range(40):
            await one.servers.put(f"{number}", "{}")
            await one.secrets.put(f"{number}", kept_in="file")
        await one.databases[0].back_up()
        with closing(sqlite3.connect(home / FACTS)) as another:
            another.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(40):
            await one.servers.remove(f"{number}")  # only in the log, which `one` has open
        spoil(home / FACTS, page_of(home / FACTS, "secrets"), 4096)
        async with open_store(home, redact=str) as other:
            assert await names_of(other) == [f"{number}" for number in range(40)]
        (aside,) = set_aside(home)
        assert [file.name for file in home_files(home) if file.name == f"{aside.name}-wal" and file.stat().st_size]


async def test_44_killed_at_any_moment_of_mending_it_is_mended_the_next_time(tmp_path: Path) -> None:
    for moment in range(1, 200):
        home = tmp_path / str(moment)
        async with open_store(home, redact=str) as store:
            await store.servers.put("one", "{}")
        spoil(home / FACTS, page_of(home / FACTS, "servers"), 4096)
        dying = run_module("tests.store.dying", "open", home, moment)
        code = dying.wait(PATIENCE)
        dying.communicate()
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == ["one"]
            assert store.notes, "it was mended in silence"
        if code == 0:
            assert moment > 10
            return
        assert code == -signal.SIGKILL
    pytest.fail("mending has no end")


async def test_44_damaged_measurements_begin_anew_and_the_facts_do_not_notice(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
        store.journal.note(Sample("one", "i", time.time(), "READY", "well"))
    spoil(home / MEASUREMENTS, 0, 4096)
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == ["one"]
        assert await store.health.history("one", 0.0) == []
        (note,) = store.notes
        assert str(home / MEASUREMENTS) in note.text
        assert "begins anew" in note.text
        store.journal.note(Sample("one", "i", time.time(), "READY", "well"))
        await store.journal.flush()
        assert len(await store.health.history("one", 0.0)) == 1


# -- 45

SECOND_STEP = """
CREATE TABLE machines (id TEXT PRIMARY KEY, name TEXT NOT NULL, entry TEXT NOT NULL, tags TEXT NOT NULL);
INSERT INTO machines SELECT id, name, entry, '[]' FROM servers;
DROP TABLE servers;
ALTER TABLE secrets ADD COLUMN note TEXT;
UPDATE secrets SET note = 'none';
CREATE INDEX machines_by_name ON machines (name);
"""


def old_database(folder: Path, *, empty: bool) -> None:
    """`folder/store.db` before the step, and `folder/steps`."""
    (folder / "steps").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        if empty:
            return
        migrate(connection, facts())
        for number in range(20):
            row = (f"id{number}", f"name{number}")
            connection.execute("INSERT INTO servers VALUES (?, 'local', 'local', ?, '{}', '{}', 1, 1, 1)", row)
            connection.execute("INSERT INTO secrets VALUES (?, 'local', 'local', ?, NULL, NULL, 'file', 1, 1)", row)
    first = ROOT / "src/roundhouse/store/migrations/facts/001_begin.sql"
    (folder / "steps/001_begin.sql").write_text(first.read_text())
    (folder / "steps/002_second.sql").write_text(SECOND_STEP)


@pytest.mark.parametrize("empty", [True, False], ids=["the first step", "a later step"])
def test_45_killed_at_any_statement_of_a_migration_the_form_is_the_old_or_the_new(tmp_path: Path, empty: bool) -> None:
    seen: set[int] = set()
    for moment in range(1, 1000):
        folder = tmp_path / str(moment)
        old_database(folder, empty=empty)
        steps = read_migrations(folder / "steps") or facts()
        with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
            shapes = {version(connection): names(connection), len(steps): names_after(steps)}
        dying = run_module("tests.store.dying", "migrate", folder, moment)
        code = dying.wait(PATIENCE)
        dying.communicate()
        with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert names(connection) == shapes[version(connection)]
            seen.add(version(connection))
            migrate(connection, steps)
            assert (version(connection), names(connection)) == (len(steps), names_after(steps))
            if not empty:
                assert connection.execute("SELECT count(*) FROM machines").fetchone() == (20,)
                assert connection.execute("SELECT count(*) FROM secrets WHERE note = 'none'").fetchone() == (20,)
        if code == 0:
            assert moment > 10
            assert seen == set(shapes)
            return
        assert code == -signal.SIGKILL
    pytest.fail("the migration has no end")
