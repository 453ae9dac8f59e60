"""Facts of real processes, and what counts as an answer."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from roundhouse.errors import CallTimeout
from roundhouse.health.probe import PROBE_TIMEOUT, Facts, Processes, Reply, ask
from tests.health.clock import World, on_a_clock

# Does one thing after the other, each when told to by a line, and says when it is done.
OBEDIENT = """
import os, subprocess, sys, time
kept = []
for line in sys.stdin:
    what, amount = line.split()
    if what == "grow":
        kept.append(b"x" * int(amount))
    elif what == "open":
        kept += [open(os.devnull) for _ in range(int(amount))]
    elif what == "limit":
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(amount), int(amount)))
    elif what == "bear":
        for _ in range(int(amount)):
            kept.append(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
    elif what == "burn":
        until = time.process_time() + float(amount)
        while time.process_time() < until:
            pass
    print("done", flush=True)
"""


class Obedient:
    def __init__(self) -> None:
        command = [sys.executable, "-c", OBEDIENT]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.process.pid
        self.do("grow", 0)  # it is up

    def do(self, what: str, amount: float) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what} {amount}\n")
        assert self.process.stdout.readline() == "done\n"


@contextmanager
def obedient() -> Iterator[Obedient]:
    made = Obedient()
    try:
        yield made
    finally:
        for pipe in (made.process.stdin, made.process.stdout):
            if pipe:
                pipe.close()  # its end is the end of its children, who read from it
        made.process.kill()
        made.process.wait()


def look(processes: Processes, pid: int) -> Facts | None:
    return anyio.run(processes.look, pid)


def see(pid: int) -> Facts:
    """What somebody sees who looks for the first time."""
    found = look(Processes(), pid)
    assert found
    return found


def test_memory_is_that_of_the_process_and_of_all_below_it() -> None:
    with obedient() as process:
        before = see(process.pid)
        assert before.rss > 2**20
        assert before.children == 0
        process.do("grow", 50 * 2**20)
        grown = see(process.pid)
        assert 45 * 2**20 < grown.rss - before.rss < 60 * 2**20
        process.do("bear", 2)
        family = see(process.pid)
        assert family.children == 2
        assert family.rss > grown.rss + 2 * 2**20


def test_uptime_is_how_long_it_has_lived() -> None:
    with obedient() as process:
        assert 0 <= see(process.pid).uptime < 60
    assert see(os.getpid()).uptime > 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell the limit of another process")
def test_descriptors_are_counted_against_the_limit_of_the_process() -> None:
    with obedient() as process:
        process.do("limit", 256)
        before = see(process.pid)
        process.do("open", 100)
        after = see(process.pid)
        assert (before.fd_limit, after.fd_limit) == (256, 256)
        assert before.fds is not None
        assert after.fds == before.fds + 100


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell the limit of another process")
def test_descriptors_are_those_of_the_one_that_is_nearest_to_its_limit() -> None:
    with obedient() as process:
        process.do("open", 100)
        process.do("bear", 1)
        alone = see(process.pid)
        assert alone.fds is not None
        assert alone.fds > 100  # its child has fewer


def test_processor_time_is_measured_between_two_looks() -> None:
    with obedient() as process:
        processes = Processes()
        first = look(processes, process.pid)
        process.do("burn", 0.3)
        busy = look(processes, process.pid)
        assert first
        assert first.cpu is None
        assert busy
        assert busy.cpu is not None
        assert busy.cpu > 10
        assert busy.cpu < 150


def test_a_process_that_does_nothing_uses_nothing() -> None:
    with obedient() as process:
        processes = Processes()
        look(processes, process.pid)
        with obedient() as other:
            other.do("burn", 0.2)
        still = look(processes, process.pid)
        assert still
        assert still.cpu == 0.0


def test_a_process_that_has_gone_is_no_error() -> None:
    with obedient() as process:
        processes = Processes()
        assert look(processes, process.pid)
        process.process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie, whom nobody has buried
        assert look(processes, process.pid) is None
        process.process.wait()
        assert look(processes, process.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the child is found and waited for by Linux's means")
def test_a_child_that_goes_between_two_looks_is_no_error() -> None:
    with obedient() as process:
        process.do("bear", 1)
        processes = Processes()
        with_child = look(processes, process.pid)
        assert with_child
        assert with_child.children == 1
        os.kill(_child_of(process.pid), signal.SIGKILL)
        _wait_until_childless(process.pid)
        without = look(processes, process.pid)  # its list of processes still has the child
        assert without
        assert without.children == 0
        assert without.cpu is not None


def test_a_stopped_process_is_seen_as_any_other() -> None:
    with obedient() as process:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            assert see(process.pid).rss > 2**20
        finally:
            os.kill(process.pid, signal.SIGCONT)


def _child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def _wait_until_childless(pid: int) -> None:
    """Its child is a zombie at most: it has ended, and its parent has not looked."""
    child = _child_of(pid)
    handle = os.pidfd_open(child)
    assert select.select([handle], [], [], 10)[0]
    os.close(handle)


# -- asking


def reply(**how: str) -> Reply:
    found: list[Reply] = []

    async def scene(world: World) -> None:
        instance = world.add(state="stopped")
        instance.answers = getattr(instance, how["does"])
        found.append(await ask(instance, "ping"))

    on_a_clock(scene)
    return found[0]


def test_an_answer_is_timed() -> None:
    found = reply(does="promptly")
    assert (found.error, found.unknown) == ("", False)
    assert found.took == pytest.approx(0.01)


def test_no_answer_is_given_up_after_five_seconds() -> None:
    assert reply(does="never").error == "it did not answer ping within 5 s"
    assert PROBE_TIMEOUT == 5.0


def test_a_reason_why_there_is_no_answer_is_kept() -> None:
    assert reply(does="refusing").error == "it does not read what it is sent"


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        ({"result": b"{}"}, False),
        ({"error": b'{"code":-32601,"message":"?"}'}, True),
        ({"error": b'{"code": -32601}'}, True),
        ({"error": b'{"code":-32600}'}, False),
        ({"error": b'{"code":"-32601"}'}, False),
        ({"error": b"null", "result": b"{}"}, False),
        ({"error": b"7"}, False),
        ({"error": b'{"message":"-32601"}'}, False),
    ],
)
def test_only_one_error_means_that_the_question_is_not_known(answer: dict[str, bytes], unknown: bool) -> None:
    async def scene(world: World) -> None:
        instance = world.add(state="stopped")

        async def answers(method: str) -> dict[str, bytes]:
            return answer

        instance.answers = answers
        found = await ask(instance, "ping")
        assert (found.error, found.unknown) == ("", unknown)

    on_a_clock(scene)


def test_a_timeout_of_the_conversation_itself_is_a_reason_too() -> None:
    async def scene(world: World) -> None:
        instance = world.add(state="stopped")

        async def answers(method: str) -> dict[str, bytes]:
            raise CallTimeout("a did not answer ping within 10 s", server="a", sent="unknown")

        instance.answers = answers
        assert "within 10 s" in (await ask(instance, "ping")).error

    on_a_clock(scene)
