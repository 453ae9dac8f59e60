"""What servers were last seen to offer: kept when it is new, given to whoever may be shown it, forgotten at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from roundhouse.supervise.listing import Listing
from roundhouse.supervise.remembered import Remembered

Kept = list[tuple[str, str, Listing]]


def of(*names: str, notes: tuple[str, ...] = (), instructions: str = "") -> Listing:
    """A list of tools, made anew each time, as a server's answer is."""
    return Listing(tuple(Raw(f'{{"name":"{name}"}}'.encode()) for name in names), notes, instructions)


@pytest.fixture
def kept() -> Kept:
    return []


@pytest.fixture
def remembered(kept: Kept) -> Remembered:
    return Remembered(lambda server, profile, listing: kept.append((server, profile, listing)))


def test_nothing_is_known_of_a_server_that_was_never_seen(remembered: Remembered) -> None:
    remembered.note("b", "p", of("x"))
    assert remembered.listing("a", "p") is None


def test_what_was_seen_is_known_and_kept(remembered: Remembered, kept: Kept) -> None:
    remembered.note("a", "p", of("x"))
    assert remembered.listing("a", "p") == of("x")
    assert kept == [("a", "p", of("x"))]


def test_what_was_seen_before_is_not_kept_again(remembered: Remembered, kept: Kept) -> None:
    remembered.note("a", "p", of("x", "y"))
    remembered.note("a", "p", of("x", "y"))
    assert len(kept) == 1


@pytest.mark.parametrize(
    "changed", [of("x"), of("y", "x"), of(), of("x", "y", notes=("cut",)), of("x", "y", instructions="Ask x first.")]
)
def test_what_is_different_takes_the_place_of_what_was(remembered: Remembered, kept: Kept, changed: Listing) -> None:
    remembered.note("a", "p", of("x", "y"))
    remembered.note("a", "p", changed)
    assert remembered.listing("a", "p") == changed
    assert [listing for _, _, listing in kept] == [of("x", "y"), changed]


def test_the_same_of_another_profile_or_another_server_is_news(remembered: Remembered, kept: Kept) -> None:
    for server, profile in (("a", "p"), ("a", "q"), ("b", "p")):
        remembered.note(server, profile, of("x"))
    assert [(server, profile) for server, profile, _ in kept] == [("a", "p"), ("a", "q"), ("b", "p")]


def test_a_server_that_offers_nothing_is_known_to_offer_nothing(remembered: Remembered, kept: Kept) -> None:
    remembered.note("a", "p", of("x"))
    remembered.note("a", "q", of())
    assert remembered.listing("a", "q") == of()
    assert len(kept) == 2


def test_each_profile_is_shown_its_own(remembered: Remembered) -> None:
    remembered.note("a", "p", of("x"))
    remembered.note("a", "q", of("y"))
    assert (remembered.listing("a", "p"), remembered.listing("a", "q")) == (of("x"), of("y"))


def test_an_unknown_profile_is_shown_what_is_newest_of_the_others(remembered: Remembered) -> None:
    remembered.note("a", "p", of("x"))
    remembered.note("a", "q", of("y"))
    assert remembered.listing("a", "unknown") == of("y")
    remembered.note("a", "p", of("z"))
    assert remembered.listing("a", "unknown") == of("z")


def test_what_was_kept_is_restored_without_being_kept_again(remembered: Remembered, kept: Kept) -> None:
    remembered.restore("a", "p", of("x"))
    remembered.restore("a", "q", of("y"))
    assert (remembered.listing("a", "p"), remembered.listing("a", "unknown")) == (of("x"), of("y"))
    remembered.note("a", "p", of("x"))
    assert kept == []
    remembered.note("a", "p", of("z"))
    assert kept == [("a", "p", of("z"))]


def test_what_is_forgotten_is_gone_for_every_profile_and_of_no_other_server(remembered: Remembered) -> None:
    for server, profile in (("a", "p"), ("a", "q"), ("b", "p")):
        remembered.note(server, profile, of("x"))
    remembered.forget("a")
    remembered.forget("never seen")
    assert remembered.listing("a", "p") is remembered.listing("a", "q") is None
    assert remembered.listing("b", "p") == of("x")


def test_what_is_seen_again_after_it_was_forgotten_is_news(remembered: Remembered, kept: Kept) -> None:
    remembered.note("a", "p", of("x"))
    remembered.forget("a")
    remembered.note("a", "p", of("x"))
    assert len(kept) == 2


STEPS = st.tuples(st.sampled_from("ab"), st.sampled_from("pqr"), st.none() | st.sampled_from([of(), of("x"), of("y")]))


@settings(deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_a_house_that_restores_what_was_kept_knows_what_the_one_before_knew(
    steps: list[tuple[str, str, Listing | None]],
) -> None:
    kept: dict[tuple[str, str], Listing] = {}

    def keep(server: str, profile: str, listing: Listing) -> None:
        kept.pop((server, profile), None)  # the newest is the last, as in the store
        kept[server, profile] = listing

    before, after = Remembered(keep), Remembered(lambda server, profile, listing: None)
    for server, profile, listing in steps:
        if listing is None:
            before.forget(server)
            kept = {at: one for at, one in kept.items() if at[0] != server}
        else:
            before.note(server, profile, listing)
    for (server, profile), listing in kept.items():
        after.restore(server, profile, listing)
    for server in "ab":
        for profile in (*"pqr", "unknown"):
            assert after.listing(server, profile) == before.listing(server, profile)
