"""Measurements: noted at once, written in batches, redacted before that, dropped where there are too many."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from roundhouse.model.calls import CallFinished
from roundhouse.store import journal as module
from roundhouse.store.health import Sample
from roundhouse.store.journal import BATCH, MOST_BYTES, MOST_WAITING, Journal
from roundhouse.store.payloads import Payloads
from roundhouse.store.pruning import KEPT_FOR, prune
from roundhouse.store.states import StateChange
from roundhouse.store.store import MEASUREMENTS, Store, open_store

pytestmark = pytest.mark.anyio


def call(
    server: str = "git", *, started: float | None = None, arguments: bytes = b"{}", result: bytes = b"{}"
) -> CallFinished:
    at = time.time() if started is None else started
    return CallFinished(
        server, b'"status"', "claude", at, 0.25, "ok", "", len(arguments), len(result), arguments, result
    )


def sample(server: str = "git", at: float = 1.0, reason: str = "") -> Sample:
    return Sample(server, "i1", at, "READY", "well", reason, 1.5, 1000, 2.5, 7, 0)


async def count(store: Store, table: str) -> int:
    ((number,),) = await store.databases[1].read(f"SELECT count(*) FROM {table}")
    return int(number)


async def until_there_are(store: Store, calls: int) -> None:
    with anyio.fail_after(10):
        while await count(store, "calls") < calls:  # noqa: ASYNC110 - no event tells of it
            await anyio.sleep(0.02)


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_what_was_noted_comes_back(store: Store) -> None:
    store.journal.note(call(started=5.0, arguments=b'{"a":1}', result=b'{"b":22}'))
    store.journal.note(sample(at=6.0, reason="all is well"))
    store.journal.note(Sample("git", "i2", 7.0, "FAILED", "ill"))
    store.journal.note(StateChange("git", "i1", 8.0, "READY", "BACKOFF", "exit", "it ended with code 1"))
    await store.journal.flush()
    (kept,) = await store.calls.recent()
    assert (kept.server, kept.tool, kept.client, kept.started, kept.duration_ms) == (
        "git",
        "status",
        "claude",
        5.0,
        250,
    )
    assert (kept.outcome, kept.code, kept.bytes_in, kept.bytes_out) == ("ok", "", 7, 8)
    assert (kept.arguments, kept.result, kept.tenant, kept.owner) == ('{"a":1}', '{"b":22}', "local", "local")
    assert await store.health.history("git", 0.0) == [
        sample(at=6.0, reason="all is well"),
        Sample("git", "i2", 7.0, "FAILED", "ill"),
    ]
    assert await store.states.history("git", 0.0) == [
        StateChange("git", "i1", 8.0, "READY", "BACKOFF", "exit", "it ended with code 1")
    ]
    assert store.journal.dropped == 0


async def test_histories_begin_where_they_are_asked_to_and_calls_end_there(store: Store) -> None:
    for at in range(10):
        store.journal.note(call("git" if at % 2 else "other", started=float(at)))
        store.journal.note(sample(at=float(at)))
        store.journal.note(StateChange("git", "i", float(at), "A", "B", "e"))
    await store.journal.flush()
    assert [one.started for one in await store.calls.recent(limit=3)] == [9.0, 8.0, 7.0]
    assert [one.started for one in await store.calls.recent("other", 2)] == [8.0, 6.0]
    assert [one.at for one in await store.health.history("git", 7.0)] == [7.0, 8.0, 9.0]
    assert [one.at for one in await store.states.history("git", 8.0)] == [8.0, 9.0]
    assert await store.health.history("other", 0.0) == []


async def test_a_name_that_is_no_text_is_still_a_row(store: Store) -> None:
    store.journal.note(replace(call("half\ud800"), tool=b"\xff"))
    await store.journal.flush()
    (kept,) = await store.calls.recent()
    assert (kept.server, kept.tool) == ("half?", "\ufffd")


async def test_rows_are_redacted_before_they_are_written_and_not_on_the_event_loop(home: Path) -> None:
    threads = set()

    def redact(text: str) -> str:
        threads.add(threading.get_ident())
        return text.replace("canary", "[secret]")

    async with open_store(home, redact=redact) as store:
        store.journal.note(call(arguments=b'{"a":"canary"}', result=b'"canary canary"'))
        store.journal.note(sample(reason="canary"))
        store.journal.note(StateChange("git", "i", 1.0, "A", "B", "e", "canary"))
        await store.journal.flush()
    assert threads
    assert threading.get_ident() not in threads
    assert b"[secret] [secret]" in everything_in(home)
    assert b"canary" not in everything_in(home)


async def test_what_cannot_be_redacted_is_not_kept_and_the_rest_is(home: Path) -> None:
    def redact(text: str) -> str:
        if "bad" in text:
            raise ValueError(text)
        return text

    async with open_store(home, redact=redact) as store:
        store.journal.note(call("one", arguments=b'"bad"'))
        store.journal.note(call("two", arguments=b'"good"'))
        await store.journal.flush()
        kept = {one.server: one.arguments for one in await store.calls.recent()}
    assert kept == {"one": "(not kept: it could not be redacted)", "two": '"good"'}


@pytest.mark.parametrize(("how", "expected"), [("full", '{"a":"b"}'), ("shape", '{"a": string}'), ("none", "")])
async def test_the_log_keeps_what_it_was_told_to_keep(home: Path, how: str, expected: str) -> None:
    async with open_store(home, redact=str, log_payloads=Payloads(how)) as store:
        store.journal.note(call(arguments=b'{"a":"b"}', result=b'{"a":"b"}'))
        await store.journal.flush()
        (kept,) = await store.calls.recent()
        assert (kept.arguments, kept.result, kept.bytes_in) == (expected, expected, 9)


async def test_the_journal_writes_by_itself_within_a_second_or_so(store: Store) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.keep)
        store.journal.note(call())
        await until_there_are(store, 1)
        tasks.cancel_scope.cancel()


async def test_a_full_batch_does_not_wait_for_the_second(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_EVERY", 3600.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.journal.run)
        for _ in range(3 * BATCH):
            store.journal.note(call())
        await until_there_are(store, 3 * BATCH)
        tasks.cancel_scope.cancel()


async def test_what_was_noted_is_written_when_the_store_closes(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        for _ in range(3 * BATCH):
            store.journal.note(sample())
    with closing(sqlite3.connect(home / MEASUREMENTS)) as connection:
        assert connection.execute("SELECT count(*) FROM health").fetchone() == (3 * BATCH,)


async def test_a_full_queue_drops_and_counts_and_another_kind_is_not_touched(store: Store) -> None:
    for _ in range(MOST_WAITING + 5):
        store.journal.note(call())
    assert store.journal.dropped == 5
    store.journal.note(StateChange("git", "i", 1.0, "A", "B", "e"))
    assert store.journal.dropped == 5
    await store.journal.close()
    assert store.journal.dropped == 5
    assert (await count(store, "calls"), await count(store, "states")) == (MOST_WAITING, 1)


async def test_large_payloads_do_not_fill_the_memory(store: Store) -> None:
    large = call(result=b"x" * 16_000)
    for _ in range(MOST_WAITING):
        store.journal.note(large)
    fit = -(-MOST_BYTES // 16_002)
    assert store.journal.dropped == MOST_WAITING - fit
    await store.journal.close()
    store.journal.note(large)
    assert store.journal.dropped == MOST_WAITING - fit


async def test_a_note_costs_two_microseconds_at_most(store: Store) -> None:
    noted = call()
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(1000):
            store.journal.note(noted)
        best = min(best, (time.perf_counter() - begun) / 1000)
        await store.journal.close()
    assert best < 2e-6


async def test_a_flood_leaves_most_of_the_time_to_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spent = 0.0
    flush = store.journal.flush

    async def timed() -> None:
        nonlocal spent
        begun = time.monotonic()
        await flush()
        spent += time.monotonic() - begun

    monkeypatch.setattr(store.journal, "flush", timed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.journal.run)
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < 1.0:
            for _ in range(100):
                store.journal.note(call())
            await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    assert 0 < spent < 0.4 * passed
    assert await count(store, "calls") >= BATCH


async def test_rows_the_database_refuses_are_dropped_counted_and_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await store.databases[1].write("DROP TABLE health")
    store.journal.note(sample())
    await store.journal.flush()
    assert store.journal.dropped == 1
    assert "dropped" in caplog.text


async def test_a_flush_that_is_cancelled_is_finished(store: Store) -> None:
    with anyio.CancelScope() as scope:
        for _ in range(BATCH):
            store.journal.note(call())
        scope.cancel()
        await store.journal.flush()
    assert await count(store, "calls") + store.journal.dropped == BATCH
    assert store.journal.dropped == 0


# -- pruning


async def test_after_a_week_it_is_forgotten(store: Store) -> None:
    now = time.time()
    for at in (now - KEPT_FOR - 10, now - KEPT_FOR + 3600, now):
        store.journal.note(call(started=at))
        store.journal.note(sample(at=at))
        store.journal.note(StateChange("git", "i", at, "A", "B", "e"))
    await store.journal.flush()
    await prune(store.databases[1])
    assert [await count(store, table) for table in ("calls", "health", "states")] == [2, 2, 2]


async def test_above_the_largest_size_the_oldest_calls_go_first_and_their_room_is_used_again(home: Path) -> None:
    async with open_store(home, redact=str) as store:
        for number in range(3000):
            store.journal.note(call(started=time.time() - 3000 + number, result=b"x" * 10_000))
        store.journal.note(sample(at=time.time()))
        await store.journal.close()
        assert await count(store, "calls") == 3000
        newest = [one.id for one in await store.calls.recent(limit=200)]
        await prune(store.databases[1], largest=10_000_000)
        left = await count(store, "calls")
        assert 200 < left < 1000
        assert [one.id for one in await store.calls.recent(limit=200)] == newest
        assert await count(store, "health") == 1
        for _ in range(2000):
            store.journal.note(call(result=b"x" * 10_000))
        await store.journal.close()
    assert (home / MEASUREMENTS).stat().st_size < 40_000_000


def test_the_journal_knows_every_kind_of_measurement_and_no_other() -> None:
    with pytest.raises(ValueError, match="everything"):
        Journal(None, redact=str, log_payloads="everything")  # type: ignore[arg-type] # as from a settings file
