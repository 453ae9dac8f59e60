"""Where the values of secrets are: in the operating system's keyring where there is one, else in a file of ours.

A value that is in the file is the one that counts: setting a secret in a keyring takes it out of the file, so what is
there was set while there was no keyring.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Literal

from roundhouse.vault.file import SecretsFile
from roundhouse.vault.keychain import Keychain, find
from roundhouse.vault.secret import Secret, check_name

FILE = "secrets.json"

Kind = Literal["keyring", "file"]


class Vault:
    """The values of one home. Several processes may have one on the same home.

    Every method raises `VaultTrouble` where the place cannot be read, written or reached, with the mend.

    Args:
        home: its folder, which is there already, and is its owner's alone.
    """

    def __init__(self, home: Path) -> None:
        self._file = SecretsFile(home / FILE)
        self._service = service_of(home)
        self._sought = False
        self._found: Keychain | None = None

    async def kind(self) -> Kind:
        """Where a value that is set now would go."""
        return "keyring" if await self._keychain() else "file"

    async def described(self) -> str:
        """The same for people, to stand after "kept in"."""
        keychain = await self._keychain()
        if keychain:
            return f"the keyring of this system ({keychain.name})"
        return f"the file {self._file.path}, readable by you only, not encrypted"

    async def set(self, name: str, value: Secret) -> Kind:
        """Keep a value, in place of the one there was. Returns where.

        Raises: also `BadSecret` for what is no name.
        """
        check_name(name)
        keychain = await self._keychain()
        if keychain is None:
            await asyncio.to_thread(self._file.set, name, value.reveal())
            return "file"
        await keychain.set(name, value.reveal())
        await asyncio.to_thread(self._file.remove, name)
        return "keyring"

    async def get(self, name: str) -> Secret | None:
        """The value, or nothing."""
        value = await asyncio.to_thread(self._file.get, name)
        if value is None:
            keychain = await self._keychain()
            value = await keychain.get(name) if keychain else None
        return Secret(value) if value else None

    async def remove(self, name: str) -> bool:
        """Forget a value. Returns whether there was one."""
        keychain = await self._keychain()
        in_keyring = await keychain.remove(name) if keychain else False
        in_file = await asyncio.to_thread(self._file.remove, name)
        return in_keyring or in_file

    async def _keychain(self) -> Keychain | None:
        if not self._sought:
            self._found = await find(self._service)
            self._sought = True
        return self._found


def service_of(home: Path) -> str:
    """The name under which a home's secrets stand in a keyring: two homes share none."""
    return f"roundhouse:{hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]}"
