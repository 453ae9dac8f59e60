"""Nobody outlives us. The process a client starts is this small parent; the house runs in its child.

    client ── reaper ── house ── servers, each in a session of its own

Both are child subreapers (Linux), so whatever a server starts, daemons included, stays below the house and falls to the
reaper when the house dies. House dies, even by SIGKILL: the reaper ends what is left. Reaper dies, even by SIGKILL: the
house sees its lifeline close and leaves as on SIGTERM. Both die: the next start sweeps up what carries our mark.

Standard library only, and little of it: this process waits for as long as the house lives.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable

from roundhouse.process.table import MARK, Process, descendants, kill, kill_groups, left_behind

LEAVE_GRACE = 3.5  # seconds a house gets after a signal; its own ladder is done by then, or it hangs
EOF_GRACE = 0.3  # seconds for servers whose house died: their stdin has closed, and polite ones leave
TERM_GRACE = 0.7  # seconds after SIGTERM; with the graces above, nobody is left after five seconds
HOPELESS = (
    10.0  # seconds after which a process that even SIGKILL does not end (stuck in the kernel) is left to the system
)
SWEEP_GRACE = 1.0  # seconds between asking and killing what an earlier house left

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_CHILD_SUBREAPER = 36


def guard(house: Callable[[int], int], *, sweep: bool) -> int:
    """Run `house(lifeline)` in a child process and stay behind as its reaper.

    Args:
        sweep: whether to end what an earlier house left behind.
        house: its argument is a descriptor that reads end-of-file when the reaper has gone; its result, the exit code.

    Returns: the exit code for this process, 128 + N for a house killed by signal N. In the child it never returns.
    """
    _fill_standard_descriptors()
    wake_out, wake_in = os.pipe()
    for end in (wake_out, wake_in):
        os.set_blocking(end, False)
    become_subreaper()
    os.environ.pop(MARK, None)  # of a house whose server we are ourselves
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, *_FORWARDED))
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    asked: list[int] = []
    for number in _FORWARDED:
        signal.signal(number, lambda n, _: asked.append(n))
    signal.signal(signal.SIGCHLD, lambda n, _: None)
    lifeline, held = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    pid = os.fork()
    if pid == 0:
        os.close(held)
        _run_house(house, lifeline, (wake_out, wake_in))
    os.close(lifeline)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    _let_go_of_the_client()
    status = _wait_for(pid, wake_out, asked, left_behind() if sweep else [])
    _end_everybody(wake_out)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def become_subreaper() -> None:
    """Make this process the parent of its orphaned descendants. Without effect where the system has no such thing."""
    if sys.platform == "linux":
        import ctypes  # only here: it costs the reaper a quarter of a megabyte

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _run_house(house: Callable[[int], int], lifeline: int, wake: tuple[int, int]) -> None:
    """The child's side: a session of its own, so that signals to the client's group come through the reaper only."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for end in wake:
            os.close(end)
        os.setsid()
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        become_subreaper()
        code = house(lifeline)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # a fault of ours: there is nobody above who could say it
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
        os._exit(code)


def _fill_standard_descriptors() -> None:
    """Where one of 0, 1 and 2 is closed, a pipe of ours would take its number and be mistaken for the client's."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _let_go_of_the_client() -> None:
    """Leave the client's pipes to the house: their ends must close when it leaves, not when we do."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)


def _wait_for(house: int, wake: int, asked: list[int], swept: list[Process]) -> int:
    """Forward signals, bury orphans and sweep until the house has ended. Returns its wait status."""
    kill(swept, signal.SIGTERM)
    if swept:
        _say(f"roundhouse: ending {len(swept)} processes that an earlier house left behind\n")
    sweep_at = time.monotonic() + SWEEP_GRACE if swept else None
    give_up_at: float | None = None
    while True:
        if (status := _bury(house)) is not None:
            kill(swept, signal.SIGKILL)
            return status
        if asked:
            give_up_at = give_up_at or time.monotonic() + LEAVE_GRACE
            asked.clear()
            os.kill(house, signal.SIGTERM)
        if give_up_at and time.monotonic() >= give_up_at:
            os.kill(house, signal.SIGKILL)
            give_up_at = None
        if sweep_at and time.monotonic() >= sweep_at:
            kill(swept, signal.SIGKILL)
            sweep_at = None
        _sleep(wake, min((at for at in (give_up_at, sweep_at) if at), default=None))


def _end_everybody(wake: int) -> None:
    """End every process below us: first by what the house's death told them, then by SIGTERM, then by SIGKILL."""
    asked: set[Process] = set()
    begun = time.monotonic()
    while _has_children():
        left = descendants(os.getpid())
        waited = time.monotonic() - begun
        if waited >= HOPELESS:
            break
        if waited >= EOF_GRACE + TERM_GRACE:
            kill_groups(left)
        elif waited >= EOF_GRACE:
            kill((process for process in left if process not in asked), signal.SIGTERM)
            asked.update(left)
        _sleep(wake, time.monotonic() + 0.05)


def _bury(house: int = 0) -> int | None:
    """Collect every dead child. Returns the wait status of `house` if it was among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == house:
            found = status


def _has_children() -> bool:
    """Whether anybody is left below us, once the dead are buried. The kernel knows; a look at /proc could miss some."""
    _bury()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


def _sleep(wake: int, until: float | None) -> None:
    """Until a signal arrives or the time comes."""
    timeout = None if until is None else max(0.0, until - time.monotonic())
    ready, _, _ = select.select([wake], [], [], timeout)
    if ready:
        os.read(wake, 512)
