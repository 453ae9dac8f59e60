"""What a model wants and a person has to see: proposals, and what may be done without one. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from roundhouse.model.servers import Sharing
from roundhouse.settings.entry import LAUNCH_KEYS
from roundhouse.supervise.launch import Launch, read_launch

if TYPE_CHECKING:  # a house that serves a file has no store, and does not load one
    from roundhouse.store.approvals import Approval

Entry = Mapping[str, Any]  # a server's entry, as JSON

_SHARING = [Sharing.PER_CLIENT, Sharing.AUTO, Sharing.SHARED]  # who was kept apart is not put together by a model
LIST_KEYS = ("allow", "deny")
# Besides what decides the launch: what shows a model more, or something else, than a person has agreed to.
SHOWN_KEYS = ("rename", "descriptions")
WIDENING_KEYS = (*LAUNCH_KEYS, *SHOWN_KEYS)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Something that waits for a person's yes.

    Attributes:
        kind: "add" or "change".
        wanted: keys of the entry and the values they are to have; None takes a key away.
        before: the values of these keys when it was asked.
        launch: what would run then.
        changes: what is different from before, in words.
    """

    id: str
    server: str
    asked_by: str
    asked_at: float  # seconds since the epoch
    kind: str
    wanted: Entry
    before: Entry
    launch: Launch
    changes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The same for proposals of the same."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def text(self) -> str:
        """What the store keeps of it."""
        asked = {"wanted": self.wanted, "before": self.before}
        kept = {"kind": self.kind, **asked, "launch": self.launch.facts(), "changes": self.changes}
        return json.dumps(kept, sort_keys=True)


def widens(key: str, entry: Entry, value: object) -> bool:
    """Whether giving a key this value lets a server do or show more than it may now. Pure."""
    before = entry.get(key)
    if value == before:
        return False
    if key in WIDENING_KEYS:
        return True
    if key == "instances":
        kept_apart, apart = (_SHARING.index(Sharing(str(one or Sharing.AUTO))) for one in (before, value))
        return apart > kept_apart
    if key not in LIST_KEYS:
        return False
    old, new = ({str(one) for one in each} if isinstance(each, list) else set() for each in (before, value))
    if key == "allow":
        return bool(old) and (not new or not new <= old)
    return not old <= new


def values_of(keys: Iterable[str], entry: Entry) -> Entry:
    """What these keys of an entry hold now; None where there is nothing."""
    return {key: entry.get(key) for key in keys}


def with_changes(entry: Entry, changes: Entry) -> Entry:
    """An entry with these keys changed; None takes one away."""
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def reworded(entry: Entry, wanted: Entry) -> list[str]:
    """What else a proposal changes than the launch, in words."""
    return [
        f"{key}: {json.dumps(value)}"
        if entry.get(key) in (None, value)
        else f"{key}: {json.dumps(entry.get(key))} becomes {json.dumps(value)}"
        for key, value in wanted.items()
        if key in (*SHOWN_KEYS, *LIST_KEYS, "instances")
    ]


def restore(approval: Approval) -> Proposal:
    """The proposal that was kept."""
    kept = json.loads(approval.proposal)
    return Proposal(
        approval.id,
        approval.server,
        approval.asked_by,
        approval.asked_at,
        kept["kind"],
        kept["wanted"],
        kept["before"],
        read_launch(kept["launch"]),
        tuple(kept["changes"]),
    )
