"""The door of the house: who is let in, who is not, and that neither can hold it up."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from roundhouse.doors import socket as door
from roundhouse.doors.socket import Hello, SocketDoor, Visitor
from roundhouse.rendezvous import MARK, Place, Refused, address, bind_socket, connect, find
from roundhouse.wire.stdio import Turn
from tests.fronts import fake_home
from tests.house import until
from tests.pace import slowness

PATIENCE = 10.0  # seconds
HELLO = {"roundhouse": 1, "kind": "front", "version": "0.2.0", "pid": 7, "cwd": "/x", "inside": None}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with fake_home(tmp_path, monkeypatch) as home:
        yield home.place


class House:
    """A house that is nothing but its door: it keeps what it hears and answers nothing."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.visitors: list[Visitor] = []
        self.hellos: list[Hello] = []
        self.callers: list[Caller] = []
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.left: asyncio.Queue[Visitor] = asyncio.Queue()
        self.refusal: str | None = None
        self.listens = True
        self.door = SocketDoor(place, Turn(), version="1.2.3", accepted=self.accepted, refuse=self.refuse)

    def refuse(self, hello: Hello) -> str | None:
        self.hellos.append(hello)
        return self.refusal

    def accepted(self, visitor: Visitor) -> None:
        self.visitors.append(visitor)
        if self.listens:
            visitor.listen(
                lambda frame: self.heard.put_nowait(frame if isinstance(frame, bytes) else frame.head),
                lambda: self.left.put_nowait(visitor),
            )

    async def hears(self) -> bytes:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def loses(self) -> Visitor:
        return await asyncio.wait_for(self.left.get(), PATIENCE)

    async def come(self, first: bytes | dict[str, Any] = HELLO) -> Caller:
        """Somebody connects and says this first."""
        caller = Caller(*await asyncio.open_unix_connection(self.place.socket))
        self.callers.append(caller)
        caller.say(first if isinstance(first, bytes) else json.dumps(first).encode() + b"\n")
        return caller

    async def enter(self) -> Caller:
        """Somebody is let in."""
        caller = await self.come()
        assert "refused" not in await caller.hears()
        return caller


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hears(self) -> dict[str, Any]:
        return dict(json.loads(await asyncio.wait_for(self.reader.readline(), PATIENCE)))

    async def is_hung_up_on(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        except ConnectionResetError:
            return True

    async def go(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def with_house(place: Place, scene: Callable[[House], Awaitable[None]]) -> None:
    """Play a scene at a door that is open meanwhile."""

    async def play() -> None:
        house = House(place)
        try:
            await scene(house)
        finally:
            house.door.close()
            for visitor in house.visitors:
                visitor.close()
            for caller in house.callers:
                await caller.go()

    asyncio.run(play())


def test_a_visitor_is_greeted_heard_and_answered(place: Place) -> None:
    async def scene(house: House) -> None:
        caller = await house.enter()
        (visitor,) = house.visitors
        assert (visitor.kind, visitor.version, visitor.pid, visitor.cwd) == ("front", "0.2.0", 7, "/x")
        caller.say(b'{"a":1}\n{"b":2}\n')
        assert [await house.hears(), await house.hears()] == [b'{"a":1}', b'{"b":2}']
        visitor.writer.write([b'{"c":', b"3}\n"], 8)
        assert await caller.hears() == {"c": 3}
        await caller.go()
        assert await house.loses() is visitor

    with_house(place, scene)


def test_our_side_of_the_hello_is_understood_by_the_other(place: Place) -> None:
    async def scene(house: House) -> None:
        met = await asyncio.to_thread(find, place, "cli", "0.2.0")
        assert met
        sock, said = met
        with sock:
            assert said == {"roundhouse": 1, "version": "1.2.3", "pid": os.getpid()}
            assert house.hellos[0].kind == "cli"
            assert house.hellos[0].cwd == os.getcwd()

    with_house(place, scene)


def test_what_comes_with_the_hello_is_heard_after_it(place: Place) -> None:
    async def scene(house: House) -> None:
        await house.come(json.dumps(HELLO).encode() + b'\n{"a":1}\n')
        assert await house.hears() == b'{"a":1}'

    with_house(place, scene)


def test_a_hello_may_come_in_pieces(place: Place) -> None:
    async def scene(house: House) -> None:
        line = json.dumps(HELLO).encode() + b"\n"
        caller = await house.come(line[:1])
        for at in range(1, len(line)):
            caller.say(line[at : at + 1])
            await asyncio.sleep(0)
        assert (await caller.hears())["version"] == "1.2.3"

    with_house(place, scene)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "no JSON"),
        (b"[" * 3000 + b"\n", "no JSON"),
        (b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n', "no hello"),
        (b"\xff\n", "no JSON"),
        (b"x" * 5000, "longer than 4096 bytes"),
        ({**HELLO, "roundhouse": 2}, "speaks hello 2, this house 1"),
        ({**HELLO, "kind": "burglar"}, "kind"),
        ({**HELLO, "version": None}, "version"),
        ({**HELLO, "pid": "7"}, "pid"),
    ],
)
def test_a_bad_hello_is_refused_in_one_line(place: Place, first: bytes | dict[str, Any], why: str) -> None:
    async def scene(house: House) -> None:
        caller = await house.come(first)
        answer = await caller.hears()
        assert answer["roundhouse"] == 1
        assert answer["version"] == "1.2.3"
        assert why in answer["refused"]
        assert await caller.is_hung_up_on()
        assert house.visitors == []

    with_house(place, scene)


def test_who_says_nothing_is_sent_away_in_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HELLO_TIMEOUT", 0.2)

    async def scene(house: House) -> None:
        silent, slow = await house.come(b""), await house.come(b'{"roundhouse":')
        for caller in (silent, slow):
            assert "no hello came" in (await caller.hears())["refused"]
            assert await caller.is_hung_up_on()

    with_house(place, scene)


def test_the_house_decides_whom_it_refuses(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "1:2:3:4")

    async def scene(house: House) -> None:
        house.refusal = "You are inside of me."
        caller = await house.come({**HELLO, "inside": "1:2:3:4"})
        assert (await caller.hears())["refused"] == "You are inside of me."
        assert house.hellos[0].inside == "1:2:3:4"
        assert house.visitors == []
        house.refusal = None
        await house.enter()

    with_house(place, scene)


def test_there_is_room_for_so_many_and_again_when_one_has_gone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "VISITORS", 3)

    async def scene(house: House) -> None:
        for _ in range(3):
            await house.enter()
        for _ in range(20):  # whether the reason comes before or after the hello was sent
            with pytest.raises(Refused, match="3 clients are connected already"):
                await asyncio.to_thread(find, place, "front", "0.2.0")
        house.visitors[0].close()
        await house.enter()

    with_house(place, scene)


def test_a_process_without_descriptors_waits_for_some_without_spinning(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "ACCEPT_PAUSE", 0.2)

    async def scene(house: House) -> None:
        callers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        filled = []
        try:
            while True:  # gaps below the limit
                filled.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            for caller in callers:
                caller.connect(place.socket)
                caller.sendall(json.dumps(HELLO).encode() + b"\n")
            before = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - before < 0.1 * slowness()
            assert house.visitors == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in filled:
                os.close(fd)
        for caller in callers:
            caller.settimeout(PATIENCE)
            assert b'"version"' in await asyncio.to_thread(caller.recv, 1000)
            caller.close()

    with_house(place, scene)


def test_another_user_is_not_let_in(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    os.chmod(place.folder, 0o711)
    os.chmod(Path(place.folder).parent, 0o711)

    async def scene(house: House) -> None:
        os.chmod(place.socket, 0o666)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setuid(12345)
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(place.socket)
                    code = 0 if sock.recv(100) == b"" else 2
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        assert f"process {child} of user 12345 was not let in" in caplog.text
        assert house.hellos == []

    with caplog.at_level(logging.INFO):
        with_house(place, scene)


def test_a_house_of_another_user_is_not_entered(place: Place) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    os.chmod(place.folder, 0o777)
    os.chmod(Path(place.folder).parent, 0o711)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(12345)
            listening = bind_socket(place)
            os.write(into, b"!")
            signal.pause()
            listening.close()
        finally:
            os._exit(0)
    os.close(into)  # so that a child that fails ends the wait for it
    try:
        assert os.read(out, 1) == b"!"
        with pytest.raises(Exception, match="belongs to a process of user 12345"):
            connect(place)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(out)


def test_who_has_closed_its_side_still_hears_what_is_finished(place: Place) -> None:
    async def scene(house: House) -> None:
        caller = await house.enter()
        (visitor,) = house.visitors
        caller.writer.write_eof()
        assert await house.loses() is visitor
        line = b'"' + b"x" * 3_000_000 + b'"\n'
        visitor.writer.write([line], len(line))
        visitor.finish(PATIENCE)
        assert await asyncio.wait_for(caller.reader.read(), PATIENCE) == line
        assert house.left.empty()

    with_house(place, scene)


def test_a_visitor_that_does_not_read_is_let_go_in_time(place: Place) -> None:
    async def scene(house: House) -> None:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(place.socket)
            caller.sendall(json.dumps(HELLO).encode() + b"\n")
            assert await asyncio.to_thread(until, lambda: bool(house.visitors))
            (visitor,) = house.visitors
            visitor.writer.write([b"x" * 3_000_000], 3_000_000)
            before = len(os.listdir("/proc/self/fd"))
            begun = time.monotonic()
            visitor.finish(0.1)
            assert await asyncio.to_thread(until, lambda: len(os.listdir("/proc/self/fd")) < before)
            assert 0.1 <= time.monotonic() - begun < 2

    with_house(place, scene)


def test_left_is_told_once_also_to_who_listens_late(place: Place) -> None:
    async def scene(house: House) -> None:
        house.listens = False
        caller = await house.enter()
        (visitor,) = house.visitors
        await caller.go()
        line = b"x" * 1_000_000
        visitor.writer.write([line], len(line))
        await asyncio.sleep(0.05)
        visitor.listen(house.heard.put_nowait, lambda: house.left.put_nowait(visitor))  # type: ignore[arg-type] # hears nothing
        assert await house.loses() is visitor
        await asyncio.sleep(0.05)
        assert house.left.empty()

    with_house(place, scene)


def test_who_cannot_be_served_is_hung_up_on(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(house: House) -> None:
        house.visitors = None  # type: ignore[assignment] # the house is broken
        caller = await house.come()
        assert (await caller.hears())["version"] == "1.2.3"
        assert await caller.is_hung_up_on()
        assert "could not be served" in caplog.text
        house.visitors = []

    with_house(place, scene)


def test_ids_of_our_own_requests_differ_from_visitor_to_visitor(place: Place) -> None:
    async def scene(house: House) -> None:
        for _ in range(3):
            await house.enter()
        prefixes = [visitor.prefix for visitor in house.visitors]
        assert len(set(prefixes)) == 3
        assert all(prefix.startswith("rh-") for prefix in prefixes)
        assert not any(one != other and one.startswith(other) for one in prefixes for other in prefixes)

    with_house(place, scene)


def test_the_socket_is_private_and_gone_after_closing_while_visitors_stay(place: Place) -> None:
    async def scene(house: House) -> None:
        assert stat.S_IMODE(os.stat(place.socket).st_mode) == 0o600
        caller = await house.enter()
        not_greeted = await house.come(b"")
        await asyncio.sleep(0.05)
        house.door.close()
        assert address(place) is None
        assert await not_greeted.is_hung_up_on()
        caller.say(b'{"a":1}\n')
        assert await house.hears() == b'{"a":1}'
        house.door.close()

    with_house(place, scene)


def test_the_socket_of_a_successor_is_not_removed(place: Place) -> None:
    async def scene(house: House) -> None:
        successor = bind_socket(place)
        house.door.close()
        assert address(place)
        successor.close()

    with_house(place, scene)
