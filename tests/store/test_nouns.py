"""What is remembered of servers, their lists, approvals and secrets."""

from __future__ import annotations

import uuid
from dataclasses import FrozenInstanceError, replace

import anyio
import pytest

from roundhouse.errors import BadMessage, NotFound, TooLarge
from roundhouse.store.approvals import (
    CLOSED_KEPT,
    LARGEST_PROPOSAL,
    MOST_PENDING,
    AlreadyDecided,
    Approvals,
    TooManyPending,
)
from roundhouse.store.catalogues import PROFILES_KEPT, Catalogues
from roundhouse.store.ids import new_id
from roundhouse.store.secrets import Secrets
from roundhouse.store.servers import Servers
from roundhouse.store.store import Store

pytestmark = pytest.mark.anyio


def test_ids_are_uuids_of_version_seven_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert {uuid.UUID(one).version for one in ids} == {7}
    assert {uuid.UUID(one).variant for one in ids} == {uuid.RFC_4122}
    assert len(set(ids)) == 1000
    times = [one[:18] for one in ids]  # all before the random part
    assert times == sorted(times)


# -- servers


async def test_servers_come_back_in_the_order_in_which_they_were_added(store: Store) -> None:
    for name in ("b", "c", "a"):
        await store.servers.put(name, f'{{"command": "{name}"}}')
    await store.servers.remove("c")
    await store.servers.put("d", "{}")
    assert [(one.name, one.entry) for one in await store.servers.all()] == [
        ("b", '{"command": "b"}'),
        ("a", '{"command": "a"}'),
        ("d", "{}"),
    ]


async def test_a_server_that_is_changed_keeps_its_place_its_id_and_what_was_learned(store: Store) -> None:
    first = await store.servers.put("a", '{"command": "one"}')
    await store.servers.put("b", "{}")
    await store.servers.set_traits("a", '{"per_client": true}')
    changed = await store.servers.put("a", '{"command": "two"}')
    assert changed.updated >= first.created == changed.created
    assert changed == replace(first, entry='{"command": "two"}', traits='{"per_client": true}', updated=changed.updated)
    assert [one.name for one in await store.servers.all()] == ["a", "b"]
    assert await store.servers.get("a") == changed


async def test_a_server_that_is_not_there_is_none_removed_is_false_and_has_no_traits(store: Store) -> None:
    assert await store.servers.get("a") is None
    assert await store.servers.remove("a") is False
    with pytest.raises(NotFound, match="'a'"):
        await store.servers.set_traits("a", "{}")
    await store.servers.put("a", "{}")
    assert await store.servers.remove("a") is True
    assert await store.servers.all() == []


async def test_names_are_unique_in_a_tenant_and_nobody_sees_another_tenants_rows(store: Store) -> None:
    other = Servers(store.databases[0], tenant="other")
    await store.servers.put("a", '{"of": "local"}')
    await other.put("a", '{"of": "other"}', owner="somebody")
    assert [(one.tenant, one.owner, one.entry) for one in await store.servers.all()] == [
        ("local", "local", '{"of": "local"}')
    ]
    await other.remove("a")
    assert len(await store.servers.all()) == 1
    await Secrets(store.databases[0], tenant="other").put("S", kept_in="file")
    assert await store.secrets.all() == []
    await Approvals(store.databases[0], tenant="other").propose("a", "d", "{}", "x")
    assert await store.approvals.pending() == []
    await Catalogues(store.databases[0], tenant="other").put(
        "a", profile="", digest="", tools=b"", capabilities="", instructions=""
    )
    assert await store.catalogues.all() == []


@pytest.mark.parametrize("name", ["", "half\ud800"])
async def test_what_breaks_a_rule_is_refused_in_words_and_the_next_is_not(store: Store, name: str) -> None:
    with pytest.raises(BadMessage, match="cannot be kept"):
        await store.servers.put(name, "{}")
    await store.servers.put("good", "{}")
    assert [one.name for one in await store.servers.all()] == ["good"]


async def test_rows_are_frozen(store: Store) -> None:
    server = await store.servers.put("a", "{}")
    with pytest.raises(FrozenInstanceError):
        server.entry = "x"  # type: ignore[misc] # that is the point


# -- catalogues


async def keep_list(store: Store, server: str, profile: str, tools: bytes = b"[]", digest: str = "d") -> None:
    await store.catalogues.put(
        server, profile=profile, digest=digest, tools=tools, capabilities='{"tools":{}}', instructions="Be nice. ☃"
    )


async def test_a_list_comes_back_as_the_bytes_it_was(store: Store) -> None:
    tools = '[{"name":"ünï","x":1.0,  "y":"\\ud800"}]'.encode()
    await keep_list(store, "a", "p", tools)
    (kept,) = await store.catalogues.all()
    assert (kept.server, kept.profile, kept.digest, kept.tools) == ("a", "p", "d", tools)
    assert (kept.capabilities, kept.instructions) == ('{"tools":{}}', "Be nice. ☃")


async def test_there_is_one_list_for_each_profile_and_the_last_one_counts(store: Store) -> None:
    await keep_list(store, "a", "one", b"[1]")
    await keep_list(store, "a", "two", b"[2]")
    await keep_list(store, "b", "one", b"[3]")
    await keep_list(store, "a", "one", b"[4]", digest="other")
    kept = [(one.server, one.profile, one.tools, one.digest) for one in await store.catalogues.all()]
    assert kept == [("a", "two", b"[2]", "d"), ("a", "one", b"[4]", "other"), ("b", "one", b"[3]", "d")]


async def test_a_server_keeps_only_its_last_profiles_and_others_keep_theirs(store: Store) -> None:
    await keep_list(store, "other", "p")
    for number in range(PROFILES_KEPT + 3):
        await keep_list(store, "a", f"p{number}")
    kept = await store.catalogues.all()
    assert [one.profile for one in kept if one.server == "a"] == [f"p{n}" for n in range(3, PROFILES_KEPT + 3)]
    assert [one.profile for one in kept if one.server == "other"] == ["p"]


async def test_the_lists_of_a_removed_server_are_gone(store: Store) -> None:
    await keep_list(store, "a", "one")
    await keep_list(store, "a", "two")
    await keep_list(store, "b", "one")
    await store.catalogues.remove("a")
    assert [one.server for one in await store.catalogues.all()] == ["b"]


@pytest.mark.parametrize("column", ["tools", "capabilities", "instructions", "digest", "profile", "server"])
async def test_a_list_with_a_flipped_bit_is_not_given_out_until_it_is_listed_again(
    store: Store, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    await keep_list(store, "a", "p")
    await keep_list(store, "b", "p")
    await store.databases[0].write(f"UPDATE catalogues SET {column} = {column} || 'x' WHERE server = 'a'")
    assert [one.server for one in await store.catalogues.all()] == ["b"]
    assert "is damaged" in caplog.text


# -- approvals


async def approved(store: Store, server: str) -> frozenset[str]:
    standing = await store.approvals.standing()
    return frozenset(one.digest for one in standing if (one.server, one.state) == (server, "approved"))


async def test_what_is_proposed_is_pending_until_a_person_decides(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", '{"argv": ["git"]}', "claude")
    assert await store.approvals.pending() == [one]
    assert (one.state, one.decided_at, one.asked_by) == ("pending", None, "claude")
    assert await approved(store, "git") == frozenset()
    decided = await store.approvals.decide(one.id, approved=True, by="a person")
    assert (decided.state, decided.decided_by) == ("approved", "a person")
    assert decided.decided_at is not None
    assert await store.approvals.pending() == []
    assert await approved(store, "git") == {"digest"}
    assert await approved(store, "other") == frozenset()
    assert await store.approvals.standing() == [decided]


async def test_a_no_is_no(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", "{}", "claude")
    await store.approvals.decide(one.id, approved=False, by="a person")
    assert await approved(store, "git") == frozenset()
    (latest,) = await store.approvals.standing()
    assert latest.state == "denied"


async def test_what_a_person_asks_for_waits_for_nobody_and_takes_the_place_of_an_earlier_yes(store: Store) -> None:
    for number in range(100):
        await store.approvals.propose("other", str(number), "{}", "a model")
    first = await store.approvals.approve_now("git", "first", "{}", "a person")
    assert await approved(store, "git") == {"first"}
    await store.approvals.approve_now("git", "second", "{}", "a person")
    assert await approved(store, "git") == {"second"}
    assert first.state == "approved"


async def test_a_proposal_that_is_taken_back_does_not_wait(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", "{}", "claude")
    await store.approvals.retract(one.id)
    assert await store.approvals.standing() == []
    with pytest.raises(AlreadyDecided):
        await store.approvals.decide(one.id, approved=True, by="a person")


async def test_to_ask_again_for_what_is_pending_is_to_ask_once(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", '{"first": 1}', "claude")
    again = await store.approvals.propose("git", "digest", '{"second": 2}', "gemini")
    other = await store.approvals.propose("git", "another digest", "{}", "claude")
    assert again == one
    assert await store.approvals.pending() == [one, other]


async def test_to_ask_again_after_a_no_is_to_ask_anew(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", "{}", "claude")
    await store.approvals.decide(one.id, approved=False, by="a person")
    again = await store.approvals.propose("git", "digest", "{}", "claude")
    assert again.id != one.id
    assert await store.approvals.pending() == [again]


async def test_a_proposal_is_decided_once_also_by_two_persons_at_the_same_time(store: Store) -> None:
    one = await store.approvals.propose("git", "digest", "{}", "claude")
    said: list[str] = []

    async def decide(approved: bool) -> None:
        try:
            said.append((await store.approvals.decide(one.id, approved=approved, by="x")).state)
        except AlreadyDecided as error:
            said.append(f"already {error.facts['state']}")

    async with anyio.create_task_group() as persons:
        persons.start_soon(decide, False)
        persons.start_soon(decide, True)
    assert said == ["denied", "already denied"]
    with pytest.raises(AlreadyDecided, match="'git' is denied already"):
        await store.approvals.decide(one.id, approved=True, by="x")
    assert await approved(store, "git") == frozenset()


async def test_a_proposal_that_never_was_cannot_be_decided(store: Store) -> None:
    with pytest.raises(NotFound, match="list_approvals"):
        await store.approvals.decide("no such id", approved=True, by="x")


async def test_what_is_withdrawn_is_neither_approved_nor_pending_nor_to_be_decided(store: Store) -> None:
    yes = await store.approvals.propose("git", "one", "{}", "x")
    await store.approvals.decide(yes.id, approved=True, by="a person")
    pending = await store.approvals.propose("git", "two", "{}", "x")
    other = await store.approvals.propose("other", "one", "{}", "x")
    await store.approvals.withdraw("git")
    assert await approved(store, "git") == frozenset()
    assert await store.approvals.pending() == [other]
    with pytest.raises(AlreadyDecided, match="withdrawn"):
        await store.approvals.decide(pending.id, approved=True, by="x")
    again = await store.approvals.propose("git", "one", "{}", "x")
    assert again.state == "pending"


async def test_a_flood_of_proposals_is_refused_and_what_is_pending_can_still_be_asked_for(store: Store) -> None:
    kept = [await store.approvals.propose("a", f"d{number}", "{}", "x") for number in range(MOST_PENDING)]
    with pytest.raises(TooManyPending, match="roundhouse deny"):
        await store.approvals.propose("a", "one more", "{}", "x")
    assert await store.approvals.propose("a", "d7", "{}", "x") == kept[7]
    assert len(await store.approvals.pending()) == MOST_PENDING
    await store.approvals.decide(kept[0].id, approved=False, by="x")
    await store.approvals.propose("a", "one more", "{}", "x")


async def test_a_proposal_nobody_could_read_is_refused(store: Store) -> None:
    await store.approvals.propose("a", "d", "x" * LARGEST_PROPOSAL, "x")
    with pytest.raises(TooLarge, match="'a'"):
        await store.approvals.propose("a", "e", "x" * (LARGEST_PROPOSAL + 1), "x")


async def test_adding_and_removing_for_ever_does_not_fill_the_store_and_no_yes_is_lost(store: Store) -> None:
    yes = await store.approvals.propose("kept", "d", "{}", "x")
    await store.approvals.decide(yes.id, approved=True, by="x")
    for number in range(CLOSED_KEPT + 20):
        await store.approvals.propose("a", f"d{number}", "{}", "x")
        await store.approvals.withdraw("a")
    ((count,),) = await store.databases[0].read("SELECT count(*) FROM approvals")
    assert count == CLOSED_KEPT + 1
    assert await approved(store, "kept") == {"d"}


# -- secrets


async def test_a_secret_has_a_name_a_place_and_nothing_else(store: Store) -> None:
    await store.secrets.put("TOKEN", kept_in="keyring")
    await store.secrets.put("KEY", kept_in="file", server="git", origin="https://a.example")
    assert [(one.name, one.kept_in, one.server, one.origin) for one in await store.secrets.all()] == [
        ("KEY", "file", "git", "https://a.example"),
        ("TOKEN", "keyring", None, None),
    ]
    assert await store.secrets.remove("KEY") is True
    assert await store.secrets.remove("KEY") is False


async def test_a_new_value_does_not_loosen_what_a_secret_is_bound_to(store: Store) -> None:
    await store.secrets.put("TOKEN", kept_in="keyring", server="git", origin="https://a.example")
    again = await store.secrets.put("TOKEN", kept_in="file")
    assert (again.kept_in, again.server, again.origin) == ("file", "git", "https://a.example")
    moved = await store.secrets.put("TOKEN", kept_in="file", server="other")
    assert moved.server == "other"


async def test_the_first_that_asks_for_a_secret_is_bound_and_no_other_after_it(store: Store) -> None:
    await store.secrets.put("TOKEN", kept_in="file")
    bound = await store.secrets.bind("TOKEN", server="git")
    assert (bound.server, bound.origin) == ("git", None)
    stranger = await store.secrets.bind("TOKEN", server="evil", origin="https://evil.example")
    assert stranger == bound
    origin = await store.secrets.bind("TOKEN", server="git", origin="https://a.example")
    assert (origin.server, origin.origin) == ("git", "https://a.example")
    assert (await store.secrets.bind("TOKEN", server="git", origin="https://evil.example")) == origin


async def test_what_does_not_exist_cannot_be_bound(store: Store) -> None:
    await store.secrets.put("TOKEN", kept_in="file")
    with pytest.raises(NotFound, match="did you mean 'TOKEN'"):
        await store.secrets.bind("TOKEM", server="git")


async def test_a_place_we_do_not_know_is_refused(store: Store) -> None:
    with pytest.raises(BadMessage):
        await store.secrets.put("TOKEN", kept_in="memory")
