"""A quota: a burst, then a rate, whatever the clock does in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roundhouse.wire.quota import Quota


def test_a_burst_passes_and_the_next_does_not() -> None:
    quota = Quota(burst=3, rate=1.0, now=10.0)
    assert [quota.take(10.0) for _ in range(5)] == [True, True, True, False, False]


def test_it_regains_with_time_and_never_more_than_the_burst() -> None:
    quota = Quota(burst=2, rate=10.0, now=0.0)
    assert [quota.take(0.0) for _ in range(3)] == [True, True, False]
    assert [quota.take(0.1), quota.take(0.1)] == [True, False]
    assert [quota.take(1_000.0) for _ in range(3)] == [True, True, False]


@given(st.lists(st.floats(min_value=0, max_value=0.01), min_size=50, max_size=300))
def test_in_any_stretch_no_more_pass_than_burst_and_rate_allow(steps: list[float]) -> None:
    quota, now, passed = Quota(burst=10, rate=100.0, now=0.0), 0.0, 0
    for step in steps:
        now += step
        passed += quota.take(now)
        assert passed <= 10 + 100.0 * now + 1e-6
