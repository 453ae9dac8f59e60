"""What the handlers of operations work on. Imports nothing, so that the house can make it before the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roundhouse.gateway.catalogue import Catalogue
    from roundhouse.gateway.search import Found
    from roundhouse.health.watch import Watch
    from roundhouse.model.calls import Caller
    from roundhouse.settings.house import Settings
    from roundhouse.store.store import Store
    from roundhouse.supervise.remembered import Remembered
    from roundhouse.supervise.roster import Roster
    from roundhouse.supervise.supervisor import Supervisor
    from roundhouse.vault.keep import Vault
    from roundhouse.vault.redact import Redactor
    from roundhouse.wire.eras import Profile


@dataclass(frozen=True, slots=True)
class Rooms:
    """The house, for one caller.

    Attributes:
        profile: what the caller can do.
        catalogue: what the caller sees now.
        store, vault: None where a file is served and no home.
        search: tools by what they do; takes a moment, so call it in a thread.
        facts: what can be said of the house itself.
        leave: asks the house to leave.
    """

    caller: Caller
    profile: Profile
    settings: Settings
    supervisor: Supervisor
    roster: Roster
    remembered: Remembered
    catalogue: Callable[[], Catalogue]
    search: Callable[[str, int], Found]
    redactor: Redactor
    watch: Watch
    store: Store | None
    vault: Vault | None
    facts: Callable[[], Mapping[str, Any]]
    leave: Callable[[], None]
