"""The watch over all instances: probes them in turn, keeps what it saw for a while, and says so when one hangs.

Only what runs is probed, each with one question at a time. One that answered calls just before is not asked as well.
Where the loop stood still (the machine slept), nothing is held against anybody for one period.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio

from roundhouse.health.judge import LIVE, READY, History, judge, stood_still, troubled
from roundhouse.health.probe import LIST, PING, Facts, Probed, Processes, Reply, ask
from roundhouse.model.health import Change, Sample, Verdict

logger = logging.getLogger(__name__)

PROBE_EVERY = 15.0  # seconds
ASK_AGAIN = 5.0  # seconds after a failure: so three fit into three periods, however long ago it began to hang
ANSWERED_LATELY = PROBE_EVERY / 2  # seconds since an answer that is as good as a probe
TICK = 1.0  # seconds between two looks at whose turn it is; what notices that the machine slept
REST = 60.0  # seconds between two looks while nothing runs and nothing is told
KEPT = 120  # samples of an instance: half an hour
KEPT_CHANGES = 40  # of its state: more than a server that crashes makes in ten minutes
GOLDEN = 0.618  # of a period between two first probes: however many there are, they are spread evenly

Look = Callable[[int], Awaitable[Facts | None]]


@dataclass(slots=True)
class _Record:
    """What is known of one instance."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT))
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=KEPT_CHANGES))
    due: float = math.inf  # when it is probed next; never, while it does not run
    probing: bool = False
    method: str = PING


class Watch:
    """Sees how the instances are.

    Args:
        note: takes each sample, with what it came to be judged as.
        look: what a process uses, None where it has gone.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        note: Callable[[Sample, Verdict], None],
        *,
        look: Look | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._note = note
        self._look = look or Processes().look
        self._wall = wall
        self._records: dict[tuple[str, str], _Record] = {}
        self._news = anyio.Event()
        self._spread = 0.0
        self._ticked: tuple[float, float] | None = None  # clock and wall at the last tick; None after a rest
        self._woke = (-math.inf, -math.inf)  # clock and wall when the loop went on after it had stood still
        self._why = ""

    # -- what others ask

    def samples(self, instance: Probed) -> tuple[Sample, ...]:
        """The last ones of an instance, oldest first."""
        record = self._records.get((instance.name, instance.key))
        return tuple(record.samples) if record else ()

    def verdict(self, instance: Probed) -> Verdict:
        """How an instance is now."""
        return judge(self._history(instance), self._wall(), self._suspended())

    def moved(self, instance: Probed, before: str) -> None:
        """An instance has come from another state into the one it is in now."""
        record = self._record(instance)
        record.changes.append(Change(self._wall(), before, instance.state, instance.reason))
        if instance.state == READY and before not in LIVE:
            record.due, record.method = math.inf, PING
        self._news.set()

    # -- the loop

    async def run(self, instances: Callable[[], Iterable[Probed]]) -> None:
        """Watch until cancelled.

        Args:
            instances: all there are at a moment, whatever their state.
        """
        async with anyio.create_task_group() as tasks:
            while True:
                self._tick()
                running = False
                there = list(instances())
                for instance in there:
                    if self._is_due(instance):
                        self._record(instance).probing = True
                        tasks.start_soon(self._probe, instance, name=f"probe of {instance.name}")
                    running = running or instance.state in LIVE
                self._forget_all_but(there)
                await self._pause(running)

    def _is_due(self, instance: Probed) -> bool:
        record, now = self._record(instance), anyio.current_time()
        if instance.state not in LIVE:
            record.due = math.inf
        elif math.isinf(record.due):
            self._spread = (self._spread + GOLDEN) % 1
            record.due = now + PROBE_EVERY * self._spread
        return now >= record.due and not record.probing

    async def _pause(self, running: bool) -> None:
        if running:
            await anyio.sleep(TICK)
            return
        self._news = anyio.Event()
        self._ticked = None
        with anyio.move_on_after(REST):
            await self._news.wait()

    async def _probe(self, instance: Probed) -> None:
        record = self._record(instance)
        try:
            await self._take_sample(instance, record)
        except Exception:
            logger.exception("%s could not be probed, in a way nobody foresaw", instance.name)
            record.due = anyio.current_time() + PROBE_EVERY
        finally:
            record.probing = False

    async def _take_sample(self, instance: Probed, record: _Record) -> None:
        began, life = anyio.current_time(), (instance.pid, instance.state)
        by, reply = "", Reply()
        record.due = began + PROBE_EVERY
        if instance.state != READY:
            pass  # it is being probed by its owner, more often than here
        elif began - instance.answered <= ANSWERED_LATELY:
            by = "calls"
            record.due = instance.answered + PROBE_EVERY
        else:
            by, reply = record.method, await ask(instance, record.method)
        facts = await self._look(instance.pid) if instance.pid is not None else None
        if (instance.pid, instance.state) != life or (reply.error and self._suspended()):
            return
        if reply.unknown:
            record.method = LIST
        if reply.error:
            record.due = anyio.current_time() + ASK_AGAIN
        sample = self._sample(instance, by, reply, facts)
        record.samples.append(sample)
        self._note(sample, self.verdict(instance))
        if why := troubled(self._history(instance)):
            instance.trouble(why)

    def _sample(self, instance: Probed, by: str, reply: Reply, facts: Facts | None) -> Sample:
        asked = by in (PING, LIST) and not reply.error
        return Sample(
            server=instance.name,
            instance=instance.key,
            at=self._wall(),
            state=str(instance.state),
            by=by,
            ping_ms=round(1000 * reply.took, 3) if asked else None,
            error=reply.error,
            rss=facts.rss if facts else None,
            cpu=facts.cpu if facts else None,
            fds=facts.fds if facts else None,
            fd_limit=facts.fd_limit if facts else None,
            children=facts.children if facts else None,
            uptime=facts.uptime if facts else None,
        )

    def _history(self, instance: Probed) -> History:
        record = self._records.get((instance.name, instance.key)) or _Record()
        return History(
            server=instance.name,
            state=str(instance.state),
            since=self._wall() - (anyio.current_time() - instance.since),
            reason=instance.reason,
            samples=tuple(record.samples),
            changes=tuple(record.changes),
            trusted=self._woke[1],
        )

    def _record(self, instance: Probed) -> _Record:
        return self._records.setdefault((instance.name, instance.key), _Record())

    def _forget_all_but(self, there: Iterable[Probed]) -> None:
        keys = {(instance.name, instance.key) for instance in there}
        self._records = {key: record for key, record in self._records.items() if key in keys}

    # -- sleep

    def _tick(self) -> None:
        """Notice when more time has passed since the last tick than should have."""
        now = (anyio.current_time(), self._wall())
        if self._ticked:
            clock, wall = self._ticked
            if why := stood_still(now[0] - clock, now[1] - wall, TICK):
                self._woke, self._why = now, why
                logger.info("health is not judged for %.0f s: %s", PROBE_EVERY, why)
        self._ticked = now

    def _suspended(self) -> str:
        """Why nothing is judged just now; empty when it is."""
        left = self._woke[0] + PROBE_EVERY - anyio.current_time()
        return f"Not judged for the next {left:.0f} s: {self._why}." if left > 0 else ""
