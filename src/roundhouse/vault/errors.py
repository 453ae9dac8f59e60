"""What can go wrong with a secret. No message and no fact ever holds a value."""

from __future__ import annotations

from roundhouse.errors import INVALID_PARAMS, UNAVAILABLE, Refused, RoundhouseError


class BadSecret(RoundhouseError):
    """A name or a value that no secret can have."""

    code = "RH_BAD_SECRET"
    number = INVALID_PARAMS


class SecretMissing(Refused):
    """A server refers to a secret that has no value."""

    code = "RH_SECRET_MISSING"
    number = UNAVAILABLE

    def __init__(self, name: str, server: str) -> None:
        super().__init__(
            f"The server {server!r} needs the secret {name}, which has no value. "
            f"Give it one with `roundhouse secret set {name}`, then start the server again.",
            name=name,
            server=server,
        )
        self.name, self.server = name, server


class VariableMissing(Refused):
    """A server refers to a variable of our own environment that is not set there, or that is not to be passed on."""

    code = "RH_VARIABLE_MISSING"
    number = UNAVAILABLE

    def __init__(self, name: str, server: str) -> None:
        super().__init__(
            f"The server {server!r} refers to ${{env:{name}}}, which is not set for Roundhouse, or not among the "
            f"variables it may pass on. Keep the value as a secret instead: `roundhouse secret set {name.upper()}`, "
            f"and write ${{secret:{name.upper()}}}.",
            name=name,
            server=server,
        )
        self.name, self.server = name, server


class SecretBound(Refused):
    """A secret was given for another server, or for another place to send it to. `because` says which, and the mend."""

    code = "RH_SECRET_BOUND"
    number = UNAVAILABLE

    def __init__(self, because: str, *, name: str, server: str) -> None:
        super().__init__(because, name=name, server=server)
        self.name, self.server = name, server


class VaultTrouble(RoundhouseError):
    """The place where values are kept cannot be read or written, or does not answer."""

    code = "RH_VAULT"
