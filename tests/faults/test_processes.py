"""Nobody outlives us (FAULTS.md, B): whatever ends the house, and whatever its servers are like, nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import Start
from tests.house import GONE_WITHIN, House, house, living, raw, until, wait_until_nobody_is_left

CHARACTERS = {
    "polite": raw(),
    "ignores_eof": raw("--ignore", "eof"),
    "ignores_term": raw("--ignore", "term"),
    "hangs": raw("--init", "hang"),
    "has_a_grandchild": raw("--leave", "child"),
    "has_a_stubborn_grandchild": raw("--leave", "stubborn child"),
    "daemonizes": raw("--leave", "daemon"),
    "daemonizes_stubbornly": raw("--ignore", "term", "--leave", "stubborn daemon"),
    "closes_stdin": raw("--close-stdin"),
}


def all_up(running: House) -> None:
    """Every character is on stage, with what it left beside itself."""
    for name in CHARACTERS:
        if name not in ("hangs", "closes_stdin"):
            running.tools_with(f"{name}__echo")
    assert len(living()) >= 2 + len(CHARACTERS) - 1 + 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("whom", ["the process", "the house in it", "its group"])
def test_17_whatever_signal_ends_it_nobody_is_left_after_five_seconds(
    tmp_path: Path, number: signal.Signals, whom: str
) -> None:
    with house(tmp_path, CHARACTERS) as running:
        all_up(running)
        begun = time.monotonic()
        if whom == "its group":
            os.killpg(running.process.pid, number)
        else:
            os.kill(running.process.pid if whom == "the process" else running.house_pid(), number)
        assert wait_until_nobody_is_left() == []
        assert time.monotonic() - begun < GONE_WITHIN
        code = running.process.wait(1)
    if number is not signal.SIGKILL:
        assert code == 0
    else:
        assert code == (128 + number if whom == "the house in it" else -number)


def test_17_a_client_that_hangs_up_leaves_nobody(tmp_path: Path) -> None:
    with house(tmp_path, CHARACTERS) as running:
        all_up(running)
        call = running.ask_tool("polite__sleep", {"seconds": 60})
        begun = time.monotonic()
        assert running.hang_up() == 0
        assert wait_until_nobody_is_left() == []
        assert time.monotonic() - begun < GONE_WITHIN
        assert len(running.answers(call)) <= 1


@pytest.mark.parametrize("after", [0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_17_a_signal_at_any_moment_of_the_start_leaves_nobody(
    tmp_path: Path, number: signal.Signals, after: float
) -> None:
    with house(tmp_path, CHARACTERS, opened=False) as running:
        running.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {}})
        running.process.poll()
        time.sleep(after)
        os.kill(running.process.pid, number)
        assert wait_until_nobody_is_left() == []
        if after >= 0.3:  # before that it may be the interpreter that is interrupted, not us
            assert "Traceback" not in "".join(running.log)


def test_17_a_second_signal_does_not_wait_for_the_polite_part(tmp_path: Path) -> None:
    with house(tmp_path, {"deaf": raw("--ignore", "term")}) as running:
        running.tools_with("deaf__echo")
        begun = time.monotonic()
        os.kill(running.process.pid, signal.SIGTERM)
        running.logged("stopping")
        os.kill(running.process.pid, signal.SIGTERM)
        assert wait_until_nobody_is_left() == []
        assert time.monotonic() - begun < 1.0


@pytest.mark.parametrize("whom", ["the process", "the house in it"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_17_a_daemon_that_lost_our_mark_and_its_session_goes_with_the_house(
    tmp_path: Path, number: signal.Signals, whom: str
) -> None:
    entry = raw()
    script = f"env -i setsid sleep 61 & exec {entry['command']} {' '.join(entry['args'])}"
    with house(tmp_path, {"a": {"command": "sh", "args": ["-c", script]}}) as running:
        running.tools_with("a__echo")
        os.kill(running.process.pid if whom == "the process" else running.house_pid(), number)
        assert wait_until_nobody_is_left() == []


def test_17_our_own_mark_in_our_environment_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    namespace = os.stat("/proc/self/ns/pid").st_ino
    with house(tmp_path, {"a": raw()}, env={"ROUNDHOUSE_MARK": f"{namespace}:999999:1:1"}) as running:
        running.tools_with("a__echo")
        assert running.call("a__echo")["result"]


@pytest.mark.parametrize("kind", ["child", "stubborn child", "daemon", "stubborn daemon"])
def test_18_a_stopped_server_leaves_no_grandchildren(start: Start, kind: str) -> None:
    running = start({"one": raw(), "other": raw()})
    running.tools_with("one__echo")
    running.tools_with("other__echo")
    before = len(living())
    for _ in range(3):
        running.call("one__spawn", {"kind": kind})
    assert until(lambda: len(living()) == before + 3)
    running.manage("stop_server", name="one")
    assert len(living()) == before - 1
    assert running.call("other__echo")["result"]


def test_18_a_crashed_server_leaves_no_grandchildren(start: Start) -> None:
    running = start({"one": raw()})
    running.tools_with("one__echo")
    before = len(living())
    for kind in ("child", "stubborn daemon"):
        running.call("one__spawn", {"kind": kind})
    assert until(lambda: len(living()) == before + 2)
    running.call("one__die")
    running.status_until("one", lambda s: s["state"] == "ready" and s["restarts"] == 1)
    assert len(living()) == before


def test_19_what_house_and_reaper_left_when_both_were_killed_is_swept_at_the_next_start(tmp_path: Path) -> None:
    with house(tmp_path, {"a": raw("--ignore", "term", "--leave", "stubborn daemon")}) as killed:
        killed.tools_with("a__echo")
        inside = killed.house_pid()
        os.kill(inside, signal.SIGSTOP)  # so that it cannot notice the reaper's death before its own
        os.kill(killed.process.pid, signal.SIGKILL)
        os.kill(inside, signal.SIGKILL)
        killed.process.wait()
        assert until(lambda: len(living()) == 2)
        left = living()
        (tmp_path / "next").mkdir()
        with house(tmp_path / "next", {"b": raw()}) as following:
            following.tools_with("b__echo")
            following.logged("2 processes that an earlier house left behind")
            assert until(lambda: not set(left) & set(living()), GONE_WITHIN)
            assert following.call("b__echo")["result"]


def test_19_what_carries_the_mark_of_another_container_is_left_alone(tmp_path: Path) -> None:
    marks = {"other": "1:999999:1:1", "nonsense": "x", "older": "999999:1:1"}
    sleepers = {
        name: subprocess.Popen(["sleep", "60"], env={**os.environ, "ROUNDHOUSE_MARK": mark})
        for name, mark in marks.items()
    }
    try:
        with house(tmp_path, {"b": raw()}) as following:
            following.tools_with("b__echo")
            assert following.call("b__echo")["result"]
            assert [name for name, sleeper in sleepers.items() if sleeper.poll() is not None] == []
    finally:
        for sleeper in sleepers.values():
            sleeper.kill()
            sleeper.wait()


def test_19_a_house_beside_a_living_house_sweeps_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    with house(tmp_path, {"a": raw()}) as first:
        first.tools_with("a__echo")
        pid = first.status("a")["pid"]
        with house(tmp_path / "next", {"b": raw()}) as second:
            second.tools_with("b__echo")
            assert first.call("a__echo")["result"]
            assert psutil.pid_exists(pid)
            second.hang_up()
