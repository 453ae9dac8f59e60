"""Where fronts and the house meet: places, versions, starting one house and no more, and giving up in time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse import __version__, rendezvous
from roundhouse.rendezvous import (
    CannotHouse,
    NoAnswer,
    Place,
    Refused,
    StartFailed,
    bind_socket,
    find,
    find_or_start,
    hold_house_lock,
    newer,
)
from tests.fronts import FakeHome, fake_home
from tests.house import living, until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHome]:
    with fake_home(tmp_path, monkeypatch) as home:
        yield home


def meet(home: FakeHome, *flags: str, version: str = __version__) -> dict[str, object]:
    """Find or start a house; what it said."""
    sock, said = find_or_start(home.place, "front", version, command=home.house(*flags))
    sock.close()
    return said


# -- the place


def test_the_runtime_folder_is_made_private_and_named_by_a_short_hash_of_the_home(home: FakeHome) -> None:
    folder = Path(home.place.folder)
    assert folder.parent == home.runtime
    assert folder.name.startswith("roundhouse-")
    assert len(folder.name) == len("roundhouse-") + 12
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_home_has_one_place_by_whatever_path_it_is_named(home: FakeHome, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert Place(str(tmp_path / "link" / "home")).folder == home.place.folder
    assert Place(str(tmp_path / "other")).folder != home.place.folder


def test_a_runtime_folder_open_to_others_is_refused_with_the_mend(home: FakeHome) -> None:
    os.chmod(home.place.folder, 0o755)
    with pytest.raises(CannotHouse, match=rf"mode 0755.*chmod 700 {home.place.folder}"):
        Place(str(home.path))


def test_a_runtime_folder_that_is_a_symbolic_link_is_refused(home: FakeHome) -> None:
    elsewhere = home.runtime / "elsewhere"
    os.rename(home.place.folder, elsewhere)
    os.symlink(elsewhere, home.place.folder)
    with pytest.raises(CannotHouse, match=rf"{home.place.folder} is a symbolic link"):
        Place(str(home.path))


def test_a_runtime_folder_of_another_user_is_refused(home: FakeHome) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(home.place.folder, 12345, -1)
    with pytest.raises(CannotHouse, match=r"belongs to user 12345, not to you \(0\)"):
        Place(str(home.path))


def test_a_runtime_folder_that_cannot_be_made_is_refused_with_the_mend(
    home: FakeHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    (home.runtime / f"roundhouse-{os.getuid()}-{Path(home.place.folder).name[11:]}").write_text("in the way")
    monkeypatch.setenv("TMPDIR", str(home.runtime))
    with pytest.raises(CannotHouse, match=r"is a file\. Remove it"):
        Place(str(home.path))


@pytest.mark.parametrize("runtime", ["", "relative", "/nowhere/at/all", "LONG"])
def test_without_a_usable_runtime_folder_of_the_system_the_place_is_in_the_temporary_one(
    home: FakeHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: str
) -> None:
    if runtime == "LONG":
        runtime = str(tmp_path / ("x" * 100))
        os.mkdir(runtime)
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("TMPDIR", str(home.runtime))
    place = Place(str(home.path))
    assert Path(place.folder).parent == home.runtime
    assert f"-{os.getuid()}-" in place.folder


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_socket_path_is_never_longer_than_a_socket_can_have(
    home: FakeHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    for length in range(1, 120, 7):
        folder = tmp_path / ("y" * length)
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
        place = Place(str(tmp_path / f"home{length}"))
        try:
            assert len(os.fsencode(place.socket)) <= 100
            bind_socket(place).close()
        finally:
            shutil.rmtree(place.folder)


def test_the_default_home_is_named_by_the_environment_or_is_where_programs_keep_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROUNDHOUSE_HOME", "/some/where")
    assert rendezvous.default_home() == "/some/where"
    monkeypatch.delenv("ROUNDHOUSE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr(sys, "platform", "linux")
    assert rendezvous.default_home() == "/data/roundhouse"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/me")
    assert rendezvous.default_home() == "/home/me/.local/share/roundhouse"


# -- finding


def test_where_nobody_listens_nobody_is_found(home: FakeHome) -> None:
    assert find(home.place, "cli", "1.0") is None


def test_a_house_is_started_once_and_then_found(home: FakeHome) -> None:
    first, second = meet(home), meet(home)
    assert first["pid"] == second["pid"] == home.lives()[0]["pid"]
    assert len(home.lives()) == 1


def test_the_hello_says_who_asks(home: FakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDHOUSE_MARK", "1:2:3:4")
    meet(home, version="0.2.0")
    assert home.hellos()[-1] == {
        "roundhouse": 1,
        "kind": "front",
        "version": "0.2.0",
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "inside": "1:2:3:4",
    }


def test_a_directory_too_deep_for_a_hello_is_left_out_of_it(
    home: FakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(12):
        (tmp_path / ("d" * 200)).mkdir()
        monkeypatch.chdir(tmp_path / ("d" * 200))
        tmp_path = Path.cwd()
    monkeypatch.setattr(os, "getcwd", lambda: "ü" * 2000)
    meet(home)
    assert home.hellos()[-1]["cwd"] is None


def test_what_follows_the_hello_is_left_for_who_listens_then(home: FakeHome) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"roundhouse":1,"version":"1"}\n{"jsonrpc":"2.0"}\n')
        assert rendezvous.hello(ours, "front", "1")["version"] == "1"
        assert ours.recv(100) == b'{"jsonrpc":"2.0"}\n'


def test_a_refusal_is_the_houses_own_words(home: FakeHome) -> None:
    home.start("--refuse", "no dogs")
    with pytest.raises(Refused, match="no dogs"):
        meet(home)


def test_a_house_of_another_hello_is_said_to_be_one(home: FakeHome) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b'{"roundhouse":2,"version":"9.9"}\n')
        with pytest.raises(Refused, match=r"speaks hello 2 \(Roundhouse 9\.9\)"):
            rendezvous.hello(ours, "front", "1")


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"[1]\n", b"x" * 10_000, b'{"version":"1"}\n'])
def test_something_else_at_the_socket_is_no_house(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        with pytest.raises(NoAnswer, match="no Roundhouse"):
            rendezvous.hello(ours, "front", "1")


def test_a_stopped_house_is_not_waited_for_without_end(home: FakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "HELLO_TIMEOUT", 0.3)
    meet(home)
    pid = home.kill_house(signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match=rf"process {pid}\) is there but has not answered.*kill -CONT {pid}"):
        meet(home)
    assert time.monotonic() - begun < 2
    os.kill(pid, signal.SIGCONT)
    assert meet(home)["pid"] == pid


def test_a_queue_that_is_full_is_not_waited_for_without_end(home: FakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "HELLO_TIMEOUT", 0.3)
    monkeypatch.setattr(rendezvous, "BACKLOG", 0)
    listening = bind_socket(home.place)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for sock in waiting:
        sock.setblocking(False)
        sock.connect_ex(home.place.socket)
    begun = time.monotonic()
    with pytest.raises(NoAnswer, match="hangs"):
        find(home.place, "front", "1.0")
    assert time.monotonic() - begun < 2
    for sock in (*waiting, listening):
        sock.close()


# -- starting


def test_many_who_come_at_the_same_moment_start_one_house(home: FakeHome) -> None:
    with ThreadPoolExecutor(8) as pool:
        met = list(pool.map(lambda _: meet(home, "--slow", "0.1"), range(8)))
    assert len({said["pid"] for said in met}) == 1
    assert len(home.lives()) == 1


def test_a_socket_whose_house_was_killed_is_no_obstacle(home: FakeHome) -> None:
    dead = meet(home)["pid"]
    home.kill_house()
    assert until(lambda: not home.living_houses())
    assert os.path.exists(home.place.socket)
    assert meet(home)["pid"] != dead
    assert len(home.lives()) == 2


def test_a_house_is_nobodys_child_and_inherits_nothing(home: FakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = {
        "CANARY": "1", "ROUNDHOUSE_MARK": "1:2:3:4", "UV_PUBLISH_TOKEN": "1", "PIP_PASSWORD": "1", "LD_PRELOAD": "",
        "npm_config__authToken": "1", "NPM_CONFIG__AUTH": "1", "PYTHONPATH": "/nowhere",
    }  # fmt: skip
    kept = {"LC_ALL": "C.UTF-8", "https_proxy": "http://proxy", "UV_INDEX": "x", "XDG_DATA_HOME": "/x", "TZ": "UTC"}
    for name, value in {**canaries, **kept}.items():
        monkeypatch.setenv(name, value)
    leaked = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        pid = meet(home)["pid"]
    finally:
        os.close(leaked)
    (life,) = home.lives()
    assert life["pid"] == pid
    assert life["parent"] == os.getpid()  # the subreaper here; elsewhere the system's first process
    assert life["session"] not in (os.getsid(0), 0)
    assert life["cwd"] == str(home.path)
    assert life["umask"] == 0o077
    assert not life["environment"].keys() & canaries.keys()
    assert kept.items() <= life["environment"].items()
    assert life["environment"]["XDG_RUNTIME_DIR"] == str(home.runtime)
    files = life["descriptors"]
    assert files.pop("0") == files.pop("1") == "/dev/null"
    assert files.pop("2") == home.place.log
    assert [name for name in files.values() if not name.startswith("/proc/")] == []
    assert [child.pid for child in psutil.Process().children()] == [pid]  # the one in between is buried


def test_the_log_is_private_and_begun_anew_when_it_is_long(home: FakeHome) -> None:
    log = Path(home.place.log)
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * (5 * 1024 * 1024 + 1))
    meet(home)
    assert log.stat().st_size < 1024
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert log.with_suffix(".log.1").stat().st_size == 5 * 1024 * 1024 + 1


def test_the_path_recorded_at_install_is_the_houses(home: FakeHome) -> None:
    home.path.mkdir()
    (home.path / "path").write_text("/recorded/bin:/bin\n")
    meet(home)
    assert home.lives()[0]["environment"]["PATH"] == "/recorded/bin:/bin"


def test_a_house_that_crashes_is_tried_three_times_and_then_not_for_a_minute(
    home: FakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StartFailed, match=r"roundhouse doctor.*the fake house crashes as it was told to"):
        meet(home, "--crash", "at start")
    assert len(home.lives()) == 3
    begun = time.monotonic()
    with pytest.raises(StartFailed, match="crashes as it was told to"):
        meet(home)
    assert time.monotonic() - begun < 0.5
    assert len(home.lives()) == 3
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert meet(home)["pid"] == home.lives()[3]["pid"]
    assert not os.path.exists(home.place.failed)


def test_a_house_that_does_not_answer_in_time_is_ended_and_not_tried_again_at_once(
    home: FakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendezvous, "START_LIMIT", 0.7)
    with pytest.raises(StartFailed, match=r"did not answer within 1 s"):
        meet(home, "--hang")
    assert len(home.lives()) == 1
    assert until(lambda: not home.living_houses())


def test_a_command_that_does_not_exist_is_said_at_once(home: FakeHome) -> None:
    with pytest.raises(StartFailed, match="/no/such/python: No such file"):
        find_or_start(home.place, "front", "1.0", command=["/no/such/python"])


def test_a_home_that_cannot_be_made_is_no_place(home: FakeHome) -> None:
    home.path.write_text("a file")
    with pytest.raises(CannotHouse, match=rf"The home {home.path} cannot be used.*--home"):
        meet(home)


def test_a_house_that_leaves_is_waited_for(home: FakeHome) -> None:
    first = home.start("--drains", "0.3")
    os.kill(first, signal.SIGTERM)
    assert until(lambda: not os.path.exists(home.place.socket))
    second = meet(home)["pid"]
    assert second != first
    assert [life["pid"] for life in home.lives()] == [first, second]  # and no attempt between


def test_a_house_survives_whoever_started_it(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        client.process.kill()
        client.process.wait()
        (pid,) = home.living_houses()
        assert meet(home)["pid"] == pid


# -- versions


@pytest.mark.parametrize(
    ("ours", "theirs", "is_newer"),
    [
        ("0.10.0", "0.9.3", True),
        ("0.9.3", "0.10.0", False),
        ("1.0", "1.0.0", False),
        ("1.0.1", "1.0", True),
        ("2", "1.9.9", True),
        ("1.0.0", "1.0.0", False),
        ("1.0rc1", "0.1", False),
        ("2.0", "1.0.dev3", False),
        ("", "0.1", False),
        ("1.²", "0.1", False),
        ("1..2", "0.1", False),
        ("9" * 5000, "0.1", False),
        ("1.0", None, False),
    ],
)
def test_versions_are_compared_number_by_number(ours: str, theirs: object, is_newer: bool) -> None:
    assert newer(ours, theirs) is is_newer


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_of_two_versions_at_most_one_is_newer(one: list[int], other: list[int]) -> None:
    first, second = (".".join(map(str, numbers)) for numbers in (one, other))
    width = max(len(one), len(other))
    padded = [numbers + [0] * (width - len(numbers)) for numbers in (one, other)]
    assert newer(first, second) is (padded[0] > padded[1])
    assert newer(second, first) is (padded[1] > padded[0])


def test_a_newer_one_replaces_an_older_house(home: FakeHome) -> None:
    old = home.start("--version", "0.9.3", "--drains", "0.2")
    said = meet(home, "--version", "0.10.0", version="0.10.0")
    assert said["version"] == "0.10.0"
    assert said["pid"] != old
    assert until(lambda: home.living_houses() == [said["pid"]])
    assert [hello["kind"] for hello in home.hellos()] == ["front", "front", "successor", "front"]


def test_many_newer_ones_replace_an_older_house_once(home: FakeHome) -> None:
    home.start("--version", "0.9.3", "--drains", "0.2")
    with ThreadPoolExecutor(6) as pool:
        met = list(pool.map(lambda _: meet(home, "--version", "0.10.0", version="0.10.0"), range(6)))
    assert {said["version"] for said in met} == {"0.10.0"}
    assert len(home.lives()) == 2


@pytest.mark.parametrize("version", ["0.9.3", "0.10.0", "0.11.0rc1", "unknown"])
def test_an_older_one_works_with_a_newer_house(home: FakeHome, version: str) -> None:
    pid = home.start("--version", "0.10.0")
    assert meet(home, version=version)["pid"] == pid
    assert len(home.lives()) == 1


def test_an_older_house_goes_on_where_the_newer_does_not_start(home: FakeHome) -> None:
    old = home.start("--version", "0.9.3")
    said = meet(home, "--crash", "at start", version="0.10.0")
    assert said["pid"] == old
    assert len(home.lives()) == 4
    assert meet(home, "--crash", "at start", version="0.10.0")["pid"] == old
    assert len(home.lives()) == 4


# -- the house's side


def test_one_house_at_a_time_holds_the_lock(home: FakeHome) -> None:
    held = hold_house_lock(home.place)
    assert held is not None
    assert hold_house_lock(home.place, 0.05) is None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hold_house_lock, home.place, 10.0)
        os.close(held)
        later = waiting.result()
    assert later is not None
    os.close(later)


def test_a_socket_is_private_replaces_a_stale_one_and_is_removed_only_by_its_owner(home: FakeHome) -> None:
    stale = bind_socket(home.place)
    its_address = rendezvous.address(home.place)
    stale.close()
    listening = bind_socket(home.place)
    assert stat.S_IMODE(os.stat(home.place.socket).st_mode) == 0o600
    rendezvous.remove_socket(home.place, its_address)
    assert os.path.exists(home.place.socket)
    rendezvous.remove_socket(home.place, rendezvous.address(home.place))
    assert not os.path.exists(home.place.socket)
    listening.close()


def test_nothing_is_left_behind(home: FakeHome) -> None:
    before = living()
    assert before == []
    meet(home)
    assert sorted(os.listdir(home.place.folder)) == ["house.lock", "pid", "socket", "start.lock"]


def test_the_usual_home_is_where_this_system_keeps_a_programs_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUNDHOUSE_HOME", raising=False)
    assert rendezvous.default_home() == platformdirs.user_data_dir("roundhouse", appauthor=False)
