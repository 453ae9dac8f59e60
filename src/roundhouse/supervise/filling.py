"""The values of references, at the moment of a start: secrets from the vault, variables from an allow-list.

A value goes only to the server its secret was given for, and only where a person has seen it named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from roundhouse.errors import Refused
from roundhouse.model.servers import ServerSpec
from roundhouse.vault.binding import Binding, may_use, origin_of
from roundhouse.vault.errors import SecretBound, SecretMissing, VariableMissing
from roundhouse.vault.redact import Redactor
from roundhouse.vault.references import fill, references
from roundhouse.vault.secret import Secret
from roundhouse.vault.shapes import is_telling

if TYPE_CHECKING:
    from roundhouse.store.store import Store
    from roundhouse.vault.keep import Vault


class Filling:
    """Makes what fills in the texts of one server's launch.

    Args:
        store, vault: None where a file is served and no home: then there are no secrets.
        redactor: learns every value that is given out.
        passed_on: variables of our own environment that entries may name; None: all of them.
    """

    def __init__(
        self, store: Store | None, vault: Vault | None, redactor: Redactor, passed_on: Collection[str] | None
    ) -> None:
        self._store = store
        self._vault = vault
        self._redactor = redactor
        self._passed_on = passed_on

    async def __call__(self, spec: ServerSpec) -> Callable[[str], str]:
        """What puts the values into a text of this server's launch.

        Raises: `SecretMissing`, `SecretBound`, `VariableMissing`, and what the vault raises.
        """
        entry = {
            "args": list(spec.args),
            "env": dict(spec.env),
            "url": spec.url,
            "headers": dict(spec.headers),
        }
        values: dict[str, Secret] = {}
        for name in sorted(references(entry, passed_on=os.environ).secrets):
            values[name] = await self._secret(name, spec)

        def variable(name: str) -> str:
            if name not in os.environ or (self._passed_on is not None and name not in self._passed_on):
                raise VariableMissing(name, spec.name)
            if is_telling(name):
                self._redactor.add(name, Secret(os.environ[name]))
            return os.environ[name]

        return lambda text: fill(text, secret=lambda name: values[name].reveal(), env=variable)

    async def _secret(self, name: str, spec: ServerSpec) -> Secret:
        if self._store is None or self._vault is None:
            raise Refused(
                f"it refers to the secret {name}, and the servers of a file have none. Write ${{env:{name}}} and set "
                "the variable, or keep the server in the house: `roundhouse import FILE`."
            )
        row = next((one for one in await self._store.secrets.all() if one.name == name), None)
        if row is None:
            raise SecretMissing(name, spec.name)
        origin = origin_of(spec.url) if spec.url else None
        if because := may_use(Binding(name, row.server, row.origin), spec.name, origin):
            raise SecretBound(because, name=name, server=spec.name)
        value = await self._vault.get(name)
        if value is None:
            raise SecretMissing(name, spec.name)
        self._redactor.add(name, value)
        return value
