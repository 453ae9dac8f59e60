"""A database: private, whole, backed up, and honest about what it could not do."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from anyio.lowlevel import current_token

from roundhouse.errors import StoreBusy, StoreReadOnly, StoreTooNew
from roundhouse.store import backups, database, file, mend
from roundhouse.store.backups import superfluous
from roundhouse.store.database import Database
from roundhouse.store.schema import facts, measurements, names_after, read_migrations
from roundhouse.store.store import BACKUPS, FACTS, MEASUREMENTS, Store, open_store, places
from tests.pace import slowness
from tests.store.disks import only_readable, small_disk

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio


async def names_of(store: Store) -> list[str]:
    return [server.name for server in await store.servers.all()]


async def until(fact: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not fact():  # noqa: ASYNC110 - no event tells of it
            await anyio.sleep(0.005)


def modes(folder: Path) -> dict[str, str]:
    """Of the folder and everything in it."""
    return {
        str(one.relative_to(folder.parent)): stat.filemode(one.stat().st_mode) for one in (folder, *folder.rglob("*"))
    }


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def backups_of(home: Path) -> list[Path]:
    return sorted((home / BACKUPS).glob("*"))


def in_backup(backup: Path) -> list[str]:
    with closing(sqlite3.connect(backup)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM servers ORDER BY position")]


# -- the form


def test_the_steps_are_numbered_without_a_gap_and_lead_to_the_same_form_every_time() -> None:
    for steps in (facts(), measurements()):
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        assert names_after(steps) == names_after(steps)
    assert {table for table, _ in names_after(facts())} >= {"servers", "catalogues", "approvals", "secrets"}
    assert {table for table, _ in names_after(measurements())} >= {"calls", "health", "states"}


@pytest.mark.parametrize("table", ["servers", "secrets", "approvals", "catalogues", "calls"])
def test_every_row_of_what_belongs_to_somebody_says_to_whom(table: str) -> None:
    columns = {column for name, column in names_after(facts()) | names_after(measurements()) if name == table}
    assert columns >= {"tenant", "owner"}


def test_a_step_is_cut_into_its_statements_also_where_texts_hold_semicolons(tmp_path: Path) -> None:
    script = "-- a; comment\nCREATE TABLE a (x TEXT);\n\nINSERT INTO a VALUES ('one;\ntwo');\n-- the end;\n"
    (tmp_path / "001_a.sql").write_text(script)
    (step,) = read_migrations(tmp_path)
    assert step.statements == ("-- a; comment\nCREATE TABLE a (x TEXT);", "INSERT INTO a VALUES ('one;\ntwo');")


def test_the_wheel_holds_the_steps(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "from roundhouse.store import schema; print(len(schema.facts()), len(schema.measurements()))"
    clean = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == [str(len(facts())), str(len(measurements()))], ended.stderr


@pytest.mark.parametrize("name", [FACTS, MEASUREMENTS])
async def test_a_store_of_a_newer_roundhouse_is_refused_and_left_as_it_is(home: Path, name: str) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
    with closing(sqlite3.connect(home / name)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = contents(home)
    with pytest.raises(StoreTooNew, match=r"newer Roundhouse .*--home") as refused:
        async with open_store(home, redact=str):
            pass
    assert refused.value.facts["found"] == 99
    assert contents(home) == before


async def test_a_backup_of_a_newer_roundhouse_is_not_passed_over_for_an_ancient_one(home: Path) -> None:
    for name in ("one", "two"):
        async with open_store(home, redact=str) as store:
            await store.servers.put(name, "{}")
    with closing(sqlite3.connect(backups_of(home)[-1])) as connection:
        connection.execute("PRAGMA user_version = 99")
    (home / FACTS).write_bytes(b"x" * 8192)
    with pytest.raises(StoreTooNew):
        async with open_store(home, redact=str):
            pass
    assert (home / FACTS).read_bytes() == b"x" * 8192


# -- files


async def test_only_the_owner_can_read_any_of_it(home: Path) -> None:
    before = os.umask(0)
    try:
        async with open_store(home, redact=str) as store:
            await store.servers.put("one", "{}")
            await store.databases[0].back_up()
            assert (home / f"{FACTS}-wal").exists()
            seen = modes(home)
    finally:
        os.umask(before)
    assert len(seen) >= 10
    assert set(seen.values()) == {"drwx------", "-rw-------"}


async def test_a_file_that_others_could_read_is_made_private(home: Path) -> None:
    async with open_store(home, redact=str):
        pass
    (home / FACTS).chmod(0o644)
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
        assert set(modes(home).values()) == {"drwx------", "-rw-------"}


async def test_the_path_may_hold_whatever_a_path_may_hold(tmp_path: Path) -> None:
    home = tmp_path / "a home?mode=memory#50%25 ü"
    for name in ("one", "two"):
        async with open_store(home, redact=str) as store:
            await store.servers.put(name, "{}")
    (home / FACTS).write_bytes(b"x" * 8192)
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == ["one", "two"]


async def test_a_store_in_memory_leaves_nothing_behind_and_needs_no_keeping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store(None, redact=str) as store:
        await store.servers.put("one", "{}")
        await store.databases[0].back_up()
        assert await names_of(store) == ["one"]
        assert store.notes == ()
    assert modes(tmp_path).keys() == {tmp_path.name}


async def test_fifty_servers_with_their_lists_are_there_in_sixty_milliseconds(home: Path) -> None:
    tools = ("[" + ",".join('{"name":"tool","description":"' + "x" * 1000 + '"}' for _ in range(20)) + "]").encode()
    async with open_store(home, redact=str) as store:
        for number in range(50):
            await store.servers.put(f"server{number}", "{}")
            await store.catalogues.put(
                f"server{number}", profile="p", digest="d", tools=tools, capabilities="{}", instructions=""
            )
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        async with open_store(home, redact=str) as store:
            assert len(await store.servers.all()) == len(await store.catalogues.all()) == 50
            took.append(time.perf_counter() - begun)
    assert min(took) < 0.06 * slowness()


async def test_statements_and_their_values_are_not_in_any_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await store.servers.put("canary", "{}")
        assert await names_of(store) == ["canary"]
    assert "canary" not in caplog.text


# -- one at a time, and whole


async def test_a_transaction_whose_caller_is_cancelled_in_the_middle_is_finished_and_the_next_one_works(
    store: Store,
) -> None:
    facts, _ = store.databases
    cancelled = threading.Event()

    def rows() -> Iterator[tuple[str]]:
        yield ("one",)
        anyio.from_thread.run_sync(cancel, token=token)
        yield ("two",)

    def cancel() -> None:
        scope.cancel()
        cancelled.set()

    token = current_token()
    insert = "INSERT INTO servers VALUES (?1, 'local', 'local', ?1, '', '', 1, 1, 1)"
    with anyio.CancelScope() as scope:
        await facts.write_together((insert, rows()), ("UPDATE servers SET entry = 'changed'", [()]))
    assert cancelled.is_set()
    assert [server.entry for server in await store.servers.all()] == ["changed", "changed"]
    await facts.write_together(("DELETE FROM servers", [()]))
    assert await names_of(store) == []


async def test_a_transaction_that_fails_leaves_nothing_of_it(store: Store) -> None:
    facts, _ = store.databases
    await store.servers.put("a", "{}")
    with pytest.raises(sqlite3.OperationalError):
        await facts.write_together(("DELETE FROM servers", [()]), ("DELETE FROM nowhere", [()]))
    assert await names_of(store) == ["a"]


async def test_what_one_does_is_not_mixed_with_what_another_does_at_the_same_time(store: Store) -> None:
    facts, _ = store.databases
    seen: list[int] = []

    async def swap(number: int) -> None:
        row = (f"id{number}", f"name{number}")
        insert = "INSERT INTO servers VALUES (?, 'local', 'local', ?, '', '', 1, 1, 1)"
        await facts.write_together((insert, [row]), ("DELETE FROM servers WHERE id <> ?", [(f"id{number}",)]))

    async def look() -> None:
        seen.append(len(await names_of(store)))

    await swap(0)
    async with anyio.create_task_group() as tasks:
        for number in range(1, 30):
            tasks.start_soon(swap, number)
            tasks.start_soon(look)
    assert set(seen) == {1}


async def test_a_process_that_keeps_the_file_locked_is_named_after_a_while(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "PATIENCE", 0.2)
    async with open_store(home, redact=str) as store:
        with closing(sqlite3.connect(home / FACTS, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy, match="locked") as refused:
                await store.servers.put("one", "{}")
            assert refused.value.retryable
            assert await names_of(store) == []
            other.execute("ROLLBACK")
        await store.servers.put("one", "{}")


async def test_a_process_that_opens_the_store_for_ever_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with closing(os.fdopen(os.open(tmp_path / "a.db.lock", os.O_CREAT))) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy), file.alone(tmp_path / "a.db", patience=0.05):
            pass


# -- backups


def test_of_the_backups_the_newest_two_are_kept_and_the_last_of_each_day_before() -> None:
    made = [
        *("roundhouse-20260101T100000.000000Z.db", "roundhouse-20260102T100000.000000Z.db"),
        *("roundhouse-20260103T080000.000000Z.db", "roundhouse-20260103T090000.000000Z.db"),
        *("roundhouse-20260104T080000.000000Z.db", "roundhouse-20260105T080000.000000Z.db"),
        *(f"roundhouse-20260105T0900{second:02}.000000Z.db" for second in range(10)),
    ]
    kept = [name for name in made if name not in superfluous(made)]
    assert kept == [
        *("roundhouse-20260102T100000.000000Z.db", "roundhouse-20260103T090000.000000Z.db"),
        *("roundhouse-20260104T080000.000000Z.db",),
        *("roundhouse-20260105T090008.000000Z.db", "roundhouse-20260105T090009.000000Z.db"),
    ]
    assert superfluous(kept) == []
    assert superfluous([]) == []


async def test_after_a_change_there_is_a_backup_soon_and_one_for_all_changes_until_then(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BACKUP_AFTER", 0.2)
    async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep)
        for name in ("one", "two", "three"):
            await store.servers.put(name, "{}")
        await until(lambda: len(backups_of(home)) == 1)
        assert in_backup(backups_of(home)[0]) == ["one", "two", "three"]
        await store.servers.put("four", "{}")
        await until(lambda: len(backups_of(home)) == 2)
        tasks.cancel_scope.cancel()
    assert in_backup(backups_of(home)[-1]) == ["one", "two", "three", "four"]


async def test_a_store_that_was_not_changed_is_not_backed_up_again(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
    before = backups_of(home)
    async with open_store(home, redact=str) as store:
        assert await names_of(store) == ["one"]
    assert backups_of(home) == before


async def test_what_a_killed_house_left_without_a_backup_is_backed_up_by_the_next(home: Path, tmp_path: Path) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
        shutil.copytree(home, tmp_path / "killed")
    killed = tmp_path / "killed"
    assert backups_of(killed) == []
    async with open_store(killed, redact=str):
        pass
    assert in_backup(backups_of(killed)[-1]) == ["one"]


async def test_in_the_folder_of_backups_there_are_backups_and_nothing_half_made(home: Path) -> None:
    for number in range(7):
        async with open_store(home, redact=str) as store:
            await store.servers.put(f"{number}", "{}")
            (home / BACKUPS).mkdir(exist_ok=True)
            (home / BACKUPS / "roundhouse.part").write_bytes(b"of one that was killed")
            (home / BACKUPS / "something of a person.txt").write_text("kept")
    kept = [path.name for path in backups_of(home)]
    assert len(kept) == 3
    assert kept[-1] == "something of a person.txt"
    assert in_backup(backups_of(home)[1]) == [f"{number}" for number in range(7)]


async def test_a_backup_that_cannot_be_made_is_said_and_made_when_it_can(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
        (home / BACKUPS).write_text("not a folder")
        await store.databases[0].back_up()
        (note,) = store.notes
        assert "No backup" in note.text
        (home / BACKUPS).unlink()
        await store.databases[0].back_up()
        assert store.notes == ()
    assert in_backup(backups_of(home)[-1]) == ["one"]


async def test_damage_that_only_a_backup_meets_is_mended_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(home, redact=str) as store:
        for number in range(100):
            await store.servers.put(f"{number}", "x" * 500)
    monkeypatch.setattr(file, "CHECKED_AT_OPEN", 0)
    content = (home / FACTS).read_bytes()
    (home / FACTS).write_bytes(content[:-8192] + bytes(8192))
    async with open_store(home, redact=str) as store:
        assert not store.notes
        await store.databases[0].back_up()
        assert ["is damaged" in note.text for note in store.notes] == [True]
        assert len(await names_of(store)) == 100


async def test_damage_that_a_backup_meets_and_a_reader_has_mended_is_mended_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, mended = backups.make, threading.Event()

    def slowly(place: file.Place) -> Path:
        try:
            return make(place)
        except sqlite3.DatabaseError:
            assert mended.wait(10)
            raise

    async def read() -> None:
        assert len(await names_of(store)) == 100
        mended.set()

    async with open_store(home, redact=str) as store:
        for number in range(100):
            await store.servers.put(f"{number}", "x" * 500)
    monkeypatch.setattr(file, "CHECKED_AT_OPEN", 0)
    monkeypatch.setattr(backups, "make", slowly)
    content = (home / FACTS).read_bytes()
    (home / FACTS).write_bytes(content[:-8192] + bytes(8192))
    async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.databases[0].back_up)
        await anyio.sleep(0.1)  # either may be the first to see it; the other must not mend it again
        tasks.start_soon(read)
    assert len([path for path in contents(home) if "corrupt" in path.name and not path.name.endswith("-wal")]) == 1


# -- where nothing can be written


async def test_a_home_that_can_only_be_read_is_read_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home, elsewhere = disk.folder / "home", tmp_path / "elsewhere"
        async with open_store(elsewhere, redact=str) as store:
            await store.servers.put("only in the log", "{}")
            shutil.copytree(elsewhere, home)  # as a house leaves it that is killed
        disk.remount("ro")
        async with open_store(home, redact=str) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(store.keep)
            assert await names_of(store) == ["only in the log"]
            with pytest.raises(StoreReadOnly, match="Read-only file system"):
                await store.servers.put("two", "{}")
            assert len(store.notes) == 2
            assert await names_of(store) == ["only in the log"]
            disk.remount("rw")
            await until(lambda: len(store.notes) < 2)
            await store.servers.put("two", "{}")
            assert await names_of(store) == ["only in the log", "two"]
            tasks.cancel_scope.cancel()
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == ["only in the log", "two"]


async def test_what_is_only_in_the_log_is_read_where_the_disk_has_no_room_for_the_index_of_the_log(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home, elsewhere = disk.folder / "home", tmp_path / "elsewhere"
        async with open_store(elsewhere, redact=str) as store:
            await store.servers.put("only in the log", "{}")
            shutil.copytree(elsewhere, home, ignore=shutil.ignore_patterns("*-shm"))
        disk.fill()
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == ["only in the log"]
            with pytest.raises(StoreReadOnly):
                await store.servers.put("two", "x" * 5000)
            disk.free()
            await store.servers.put("two", "{}")
            assert await names_of(store) == ["only in the log", "two"]


async def test_a_home_that_can_only_be_read_and_was_left_in_order_is_read_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = disk.folder / "home"
        async with open_store(home, redact=str) as store:
            await store.servers.put("one", "{}")
        disk.remount("ro")
        before = modes(home)
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == ["one"]
        assert modes(home) == before


async def test_what_another_process_has_mended_meanwhile_is_not_set_aside(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
    place, _ = places(home)
    opened = mend.open_place(place, damaged="it was", known=(0, 0))
    opened.connection.close()
    assert opened.notes == ()
    assert not [path for path in contents(home) if "corrupt" in path.name]


async def test_a_file_that_could_only_be_read_is_written_once_it_can(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = disk.folder / "home"
        async with open_store(home, redact=str) as store:
            await store.servers.put("one", "{}")
        with only_readable(home / FACTS):
            opening = open_store(home, redact=str)
            store = await opening.__aenter__()
            assert await names_of(store) == ["one"]
            with pytest.raises(StoreReadOnly):
                await store.servers.put("two", "{}")
        await store.servers.put("two", "{}")
        assert await names_of(store) == ["one", "two"]
        await opening.__aexit__(None, None, None)


async def test_a_home_that_cannot_be_made_is_a_store_that_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with open_store(tmp_path / "file" / "home", redact=str) as store:
        assert await names_of(store) == []
        assert len(store.notes) == 2
        with pytest.raises(StoreReadOnly):
            await store.servers.put("one", "{}")
        (tmp_path / "file").unlink()
        await store.servers.put("one", "{}")
        assert await names_of(store) == ["one"]


async def test_a_damaged_file_on_a_full_disk_is_left_and_its_backup_read(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = disk.folder / "home"
        async with open_store(home, redact=str) as store:
            await store.servers.put("one", "{}")
        (home / FACTS).write_bytes(b"x" * 8192)
        disk.fill()
        async with open_store(home, redact=str) as store:
            assert await names_of(store) == ["one"]
            assert any(str(home / BACKUPS) in note.text for note in store.notes)
            with pytest.raises(StoreReadOnly):
                await store.servers.put("two", "{}")
            disk.free()
            await store.servers.put("two", "{}")
            assert await names_of(store) == ["one", "two"]


async def test_a_store_that_could_not_be_opened_again_is_opened_by_the_next_that_asks(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(home, redact=str) as store:
        await store.servers.put("one", "{}")
        await store.databases[0].back_up()
        (home / FACTS).unlink()
        monkeypatch.setattr(mend, "PATIENCE", 0.05)
        with (home / f"{FACTS}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(StoreBusy):
                await store.servers.all()
        assert await names_of(store) == ["one"]


async def test_a_database_is_closed_once_and_for_all_that_wait(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        facts: Database = store.databases[0]
    await facts.close()
    assert backups.listed(facts._place) != []
