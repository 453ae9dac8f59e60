"""Values in the operating system's keyring: macOS Keychain, Secret Service (GNOME, KeePassXC), KWallet.

The library that speaks to them is asked in a thread of its own, and for a limited time: behind it stand D-Bus, which
can hang, and windows that ask a person. The thread is a daemon, so that one that hangs keeps nobody from leaving.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from roundhouse.model.text import shorten
from roundhouse.vault.errors import VaultTrouble
from roundhouse.vault.secret import SHOWN

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

PATIENCE = 5.0  # seconds; a keyring that is open answers in milliseconds

# These keep nothing, keep plain text, or ask for a password at a terminal, which a house has not.
_NO_KEYRINGS = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer", "keyrings.")
_one_at_a_time = threading.Lock()  # held by a call that hangs, so that those after it do not hang as well

T = TypeVar("T")


async def find(service: str) -> Keychain | None:
    """The keyring, if there is one that keeps secrets. Raises `VaultTrouble` where that cannot be found out in time."""
    backend = await _ask(_backend, "be found")
    return Keychain(service, backend) if backend else None


class Keychain:
    """The entries of one service in a keyring.

    Its methods raise `VaultTrouble` where it is locked, refuses, or does not answer within `PATIENCE`; what was to be
    set or removed may then still be so.
    """

    def __init__(self, service: str, backend: KeyringBackend) -> None:
        self._service = service
        self._backend = backend
        self.name = str(backend.name)

    async def get(self, name: str) -> str | None:
        return await _ask(lambda: self._backend.get_password(self._service, name), f"give {name}")

    async def set(self, name: str, value: str) -> None:
        await _ask(lambda: self._backend.set_password(self._service, name, value), f"keep {name}", hide=value)

    async def remove(self, name: str) -> bool:
        """Returns whether it was there."""
        return await _ask(lambda: self._remove(name), f"remove {name}")

    def _remove(self, name: str) -> bool:
        there = self._backend.get_password(self._service, name) is not None
        if there:
            self._backend.delete_password(self._service, name)
        return there


def _backend() -> KeyringBackend | None:
    import keyring  # here: it costs 60 ms, and only who has secrets needs it
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    candidates = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    return next((one for one in candidates if not type(one).__module__.startswith(_NO_KEYRINGS)), None)


async def _ask(call: Callable[[], T], wanted: str, *, hide: str = "") -> T:
    """The result of a blocking call.

    Args:
        wanted: what the keyring was to do, for the error.
        hide: what the library might repeat in an error of its own.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Callable[[], T]] = loop.create_future()

    def tell(outcome: Callable[[], T]) -> None:
        if not answer.done():  # somebody still waits
            answer.set_result(outcome)

    def run() -> None:
        if not _one_at_a_time.acquire(timeout=PATIENCE):
            return
        try:
            outcome = _outcome(call)
        finally:
            _one_at_a_time.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, outcome)

    threading.Thread(target=run, daemon=True, name="keyring").start()
    try:
        return (await asyncio.wait_for(answer, PATIENCE))()
    except TimeoutError:
        raise VaultTrouble(
            f"The keyring did not {wanted} within {PATIENCE:g} s. Unlock it if it asks for that, and try again; or do "
            "without it: start Roundhouse with PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring."
        ) from None
    except Exception as bad:
        said = shorten(str(bad).replace(hide, SHOWN) if hide else str(bad))
        raise VaultTrouble(
            f"The keyring could not {wanted}: {type(bad).__name__}: {said}. Unlock it, and try again."
        ) from None


def _outcome(call: Callable[[], T]) -> Callable[[], T]:
    """What the call returns or raises, to be had in another thread."""
    try:
        result = call()
    except Exception as bad:
        raised = bad
    except BaseException as bad:  # a panic of a library in Rust, an exit: not ours
        raised = RuntimeError(type(bad).__name__)
    else:
        return lambda: result

    def fail() -> T:
        raise raised

    return fail
