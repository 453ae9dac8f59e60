"""What measurements mean. Pure: no clock, no process, no await; every judgement comes with its reason in words.

A rule looks at the history of one instance and finds one thing, or nothing. The worst finding is the level, all of them
are the reasons. A tool's own error is no finding: whoever answers that is well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from roundhouse.model.health import Change, Level, Sample, Verdict

# States, as `supervise` names them.
STOPPED, STARTING, READY, DEGRADED, BACKOFF = "stopped", "starting", "ready", "degraded", "backoff"
LIVE = (READY, DEGRADED)  # there is a process that can be asked

GAP = 5.0  # seconds that the loop stood still: the machine slept, and nothing measured across it means anything
FAILURES = 3  # probes in a row without an answer before calls fail fast; one may be a hiccup
LONG_START = 60.0  # seconds; a package runner downloads in that time, a server only starts
LONG_STOP = 30.0  # seconds; the ladder that ends a process takes ten
SLOW = 1_000.0  # ms of a probe's answer; who waits longer notices
SLOWER = 5.0  # times as long as usual
LONG_ANSWER = 2_500.0  # ms that are too long whatever is usual: half of what a probe waits
RECENT = 3  # samples that say how it is now; their median forgives one
USUAL = 5  # samples before them that say how it usually is
LEAK = 200 * 2**20  # bytes of growth that matter to a machine
LEAK_FACTOR = 2.0  # times what it was; a large server may breathe
LEAK_TIME = 300.0  # seconds; a cache fills in less
WARM_UP = 60.0  # seconds of life in which memory grows because it starts
BUSY = 90.0  # percent of a core
BUSY_TIME = 300.0  # seconds; work on one call is done by then
FEW_DESCRIPTORS = 0.8  # of its limit
NO_DESCRIPTORS = 0.95
MANY_CHILDREN = 20
MORE_CHILDREN = 4.0  # times as many as there were
ENDS_WINDOW = 600.0  # seconds
SOME_ENDS = 2  # in the window
MANY_ENDS = 4

Finding = tuple[Level, str]


@dataclass(frozen=True, slots=True)
class History:
    """What is known of one instance.

    Attributes:
        since: when it came into its state, seconds since the epoch.
        reason: why it is in it.
        samples: oldest first.
        changes: of its state, oldest first.
        trusted: failures before this moment (seconds since the epoch) do not count: the machine slept.
    """

    server: str
    state: str
    since: float
    reason: str = ""
    samples: Sequence[Sample] = ()
    changes: Sequence[Change] = ()
    trusted: float = 0.0


def judge(history: History, now: float, suspended: str = "") -> Verdict:
    """How an instance is.

    Args:
        now: seconds since the epoch.
        suspended: why nothing can be said of a running instance just now.
    """
    if suspended and history.state in (*LIVE, STARTING):
        return Verdict(Level.UNKNOWN, (suspended,))
    found = [finding for rule in RULES.values() if (finding := rule(history, now))]
    level = min((level for level, _ in found), key=_WORST.index, default=Level.HEALTHY)
    return Verdict(level, tuple(reason for one in _WORST for level, reason in found if level is one))


def stood_still(clock: float, wall: float, meant: float) -> str:
    """Why measurements of just now mean nothing, where the loop stood still; empty where it did not.

    Args:
        clock: seconds that passed on the loop's clock, which stops while the machine sleeps.
        wall: seconds that passed on the wall.
        meant: seconds that should have passed.
    """
    lost = max(clock, wall) - meant
    return f"the house stood still for {_span(lost)} (the machine slept, or was busy)" if lost > GAP else ""


def failures(history: History) -> int:
    """How many probes in a row got no answer, in the state it is in now."""
    count = 0
    for sample in reversed(history.samples):
        if sample.at < max(history.since, history.trusted) or not sample.error:
            break
        count += 1
    return count


def troubled(history: History) -> str:
    """Why its calls had better fail at once; empty where they had not."""
    failed = failures(history)
    return f"{failed} probes in a row got no answer" if history.state == READY and failed >= FAILURES else ""


# -- the rules


def _state(history: History, now: float) -> Finding | None:
    because = f": {history.reason.removesuffix('.')}" if history.reason else ""
    lasted = now - history.since
    match history.state:
        case "stopped":
            return Level.STOPPED, f"It is stopped{because}."
        case "stopping":
            if lasted > LONG_STOP:
                return Level.WATCH, f"It has been stopping for {_span(lasted)}{because}. What it started does not end."
            return Level.STOPPED, f"It is stopping{because}."
        case "starting":
            if lasted > LONG_START:
                return Level.WATCH, f"It has been starting for {_span(lasted)}. {_logs(history, 'what it waits for')}"
            return Level.UNKNOWN, f"It has been starting for {_span(lasted)}."
        case "backoff":
            return Level.WATCH, f"It is down and will be started again{because}."
        case "degraded":
            return Level.SICK, f"Its calls fail at once{because}. It comes back by itself as soon as it answers probes."
        case "failed":
            return Level.SICK, f"It has failed{because}. {_logs(history, 'its output')} Mend it, then restart_server."
    return None


def _answers(history: History, now: float) -> Finding | None:
    failed = failures(history)
    if not failed:
        return None
    last = history.samples[-1].error.removesuffix(".")
    if failed >= FAILURES:
        return Level.SICK, (
            f"{failed} probes in a row without an answer: {last}. {_logs(history, 'what it does')} "
            "If it hangs, restart_server."
        )
    return Level.WATCH, f"The last {'probe' if failed == 1 else 'two probes'} got no answer: {last}."


def _speed(history: History, now: float) -> Finding | None:
    if history.state != READY:
        return None
    pings = [sample.ping_ms for sample in _life(history) if sample.ping_ms is not None]
    if len(pings) < RECENT:
        return None
    recent, before = median(pings[-RECENT:]), pings[:-RECENT]
    usual = median(before) if len(before) >= USUAL else None
    if usual is not None and recent >= max(SLOW, SLOWER * usual):
        return Level.WATCH, f"Answers take {_seconds(recent)}, usually {_seconds(usual)}. It may have too much to do."
    if recent >= LONG_ANSWER:
        return Level.WATCH, f"Answers take {_seconds(recent)}. It may have too much to do."
    return None


def _memory(history: History, now: float) -> Finding | None:
    grown = [one for one in _life(history) if one.rss is not None and (one.uptime or 0.0) >= WARM_UP]
    if len(grown) < 3 * RECENT or grown[-1].at - grown[0].at < LEAK_TIME:
        return None
    middle = len(grown) // 2
    then, halfway, lately = (
        median(one.rss or 0 for one in some)
        for some in (grown[:RECENT], grown[middle - 1 : middle + 2], grown[-RECENT:])
    )
    growth = lately - then
    if growth < LEAK or lately < LEAK_FACTOR * then or lately - halfway < growth / 4:  # it grew once, and stays
        return None
    span = _span(grown[-1].at - grown[0].at)
    return Level.WATCH, (
        f"Memory grew from {_megabytes(then)} to {_megabytes(lately)} MB in {span} and still grows. "
        "If that goes on, restart_server frees it."
    )


def _processor(history: History, now: float) -> Finding | None:
    life = _life(history)
    lately = [one.cpu for one in life if one.cpu is not None and one.at > now - BUSY_TIME]
    if len(lately) < 2 * RECENT or life[0].at > now - BUSY_TIME or min(lately) < BUSY:
        return None
    mean = sum(lately) / len(lately)
    return Level.WATCH, (
        f"It has used {mean:.0f} % of a core for {_span(BUSY_TIME)}. If it has nothing to do, restart_server."
    )


def _descriptors(history: History, now: float) -> Finding | None:
    life = _life(history)
    if not life or not life[-1].fds or not life[-1].fd_limit:
        return None
    fds, limit = life[-1].fds, life[-1].fd_limit
    if fds < FEW_DESCRIPTORS * limit:
        return None
    level = Level.SICK if fds >= NO_DESCRIPTORS * limit else Level.WATCH
    return level, (
        f"{fds:,} of {limit:,} descriptors are open; without one it can open no file and no connection. "
        "restart_server closes them."
    )


def _children(history: History, now: float) -> Finding | None:
    counts = [one.children for one in _life(history) if one.children is not None]
    if len(counts) < 2 * RECENT:
        return None
    then, lately = median(counts[:RECENT]), median(counts[-RECENT:])
    if lately < MANY_CHILDREN or lately < MORE_CHILDREN * then:
        return None
    return Level.WATCH, f"It has {lately:.0f} processes below it, before {then:.0f}. restart_server ends all of them."


def _restarts(history: History, now: float) -> Finding | None:
    ends = [one for one in history.changes if _unasked(one) and one.at > now - ENDS_WINDOW]
    if len(ends) < SOME_ENDS:
        return None
    level = Level.SICK if len(ends) >= MANY_ENDS else Level.WATCH
    last = f"; the last time {ends[-1].reason.removesuffix('.')}" if ends[-1].reason else ""
    return level, f"It ended by itself {len(ends)} times in {_span(ENDS_WINDOW)}{last}. {_logs(history, 'its output')}"


RULES: dict[str, Callable[[History, float], Finding | None]] = {
    "state": _state,
    "answers": _answers,
    "speed": _speed,
    "memory": _memory,
    "processor": _processor,
    "descriptors": _descriptors,
    "children": _children,
    "restarts": _restarts,
}
_WORST = (Level.SICK, Level.WATCH, Level.UNKNOWN, Level.STOPPED, Level.HEALTHY)


# -- small things


def _life(history: History) -> list[Sample]:
    """The samples of the process that runs now."""
    if not history.samples or history.state not in LIVE:
        return []
    last = history.samples[-1]
    begun = last.at - last.uptime if last.uptime is not None else history.since
    return [sample for sample in history.samples if sample.at >= begun]


def _unasked(change: Change) -> bool:
    """Whether it is an end that nobody wanted."""
    return change.after == BACKOFF or (change.after == STOPPED and change.before in LIVE)


def _logs(history: History, what: str) -> str:
    return f'read_logs {{"name": "{history.server}"}} shows {what}.'


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 100 else f"{milliseconds:.0f} ms"


def _megabytes(size: float) -> str:
    return f"{size / 2**20:,.0f}"
