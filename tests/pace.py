"""How fast this machine is now, so that a bound on work holds on a slow or busy one as well.

Such a bound catches what grows with the square of its input, tens of times above it. It is no measurement: those are
the bench's.
"""

from __future__ import annotations

import json
import time

REFERENCE = 0.010  # seconds the same work took where the bounds were measured, with nothing else running
SPARE = 3.0  # times: another process may take half the machine in the middle of it


def slowness() -> float:
    """What to multiply a bound with."""
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        for number in range(1000):
            json.loads(json.dumps({"a": [number] * 8, "b": {"c": "text " * 4}}))
        took.append(time.perf_counter() - begun)
    return SPARE * max(1.0, min(took) / REFERENCE)
