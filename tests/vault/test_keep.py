"""Values are kept in a keyring where there is one, else in a file that is whole, private, and shared by processes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked

from roundhouse.vault import file as file_module
from roundhouse.vault import keychain
from roundhouse.vault.errors import BadSecret, VaultTrouble
from roundhouse.vault.keep import FILE, Vault, service_of
from roundhouse.vault.secret import Secret
from tests.vault.canaries import canaries

VALUE = "hunter2-canary"
NO_KEYRING = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class InMemory(KeyringBackend):
    """A keyring as real ones are, but for its walls."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's, here and below
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class Locked(InMemory):
    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"cannot store {password!r}")


class Hanging(InMemory):
    """Answers when `released`, as D-Bus may never."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        self.released.wait(20)
        return super().get_password(service, username)


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """Whatever this machine has, each test begins without."""
    before = keyring.get_keyring()
    keyring.set_keyring(nothing())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def in_memory() -> InMemory:
    backend = InMemory()
    keyring.set_keyring(backend)
    return backend


def nothing() -> KeyringBackend:
    return fail.Keyring()  # type: ignore[no-untyped-call]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def kept_in(home: Path) -> dict[str, str]:
    document = json.loads((home / FILE).read_text())
    assert document.pop("version") == 1
    return dict(document.pop("secrets"))


# -- the file


async def test_without_a_keyring_values_are_in_a_file_that_says_what_it_is(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert await vault.set("GIT_TOKEN", Secret(VALUE)) == "file"
    assert await vault.kind() == "file"
    assert await vault.described() == f"the file {tmp_path / FILE}, readable by you only, not encrypted"
    found = await Vault(tmp_path).get("GIT_TOKEN")
    assert found
    assert found.reveal() == VALUE
    assert kept_in(tmp_path) == {"GIT_TOKEN": VALUE}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_only_the_owner_can_read_what_is_written_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        await Vault(tmp_path).set("GIT_TOKEN", Secret(VALUE))
    finally:
        os.umask(before)
    assert modes_in(tmp_path) == {FILE: 0o600, "secrets.lock": 0o600}


async def test_a_value_can_be_replaced_removed_and_asked_for_in_vain(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert await vault.get("GIT_TOKEN") is None
    assert not await vault.remove("GIT_TOKEN")
    assert names_in(tmp_path) == []
    await vault.set("GIT_TOKEN", Secret("first"))
    await vault.set("GIT_TOKEN", Secret("second"))
    found = await vault.get("GIT_TOKEN")
    assert found
    assert found.reveal() == "second"
    assert await vault.remove("GIT_TOKEN")
    assert not await vault.remove("GIT_TOKEN")
    assert await vault.get("GIT_TOKEN") is None


@pytest.mark.parametrize("backend", [nothing, InMemory])
async def test_every_shape_of_value_comes_back_as_it_was(tmp_path: Path, backend: Callable[[], KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    vault = Vault(tmp_path)
    for name, value in canaries().items():
        await vault.set(name, Secret(value))
    for name, value in canaries().items():
        found = await vault.get(name)
        assert found
        assert found.reveal() == value


async def test_what_is_no_name_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(BadSecret, match="GIT_TOKEN"):
        await Vault(tmp_path).set("git-token", Secret(VALUE))
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o620, 0o666])
async def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends(tmp_path: Path, wrong: int) -> None:
    vault = Vault(tmp_path)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    (tmp_path / FILE).chmod(wrong)
    for attempt in (vault.get("GIT_TOKEN"), vault.set("OTHER", Secret("other")), vault.remove("GIT_TOKEN")):
        with pytest.raises(VaultTrouble, match=f"`chmod 600 {tmp_path / FILE}`") as caught:
            await attempt
        assert f"{wrong:04o}" in str(caught.value)
    (tmp_path / FILE).chmod(0o600)
    assert await vault.get("GIT_TOKEN")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    os.chown(tmp_path / FILE, 65534, 65534)
    with pytest.raises(VaultTrouble, match="belongs to the user 65534"):
        await vault.get("GIT_TOKEN")


async def test_a_link_a_folder_and_a_pipe_are_no_file_of_secrets(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"version": 1, "secrets": {"GIT_TOKEN": "planted"}}')
    elsewhere.chmod(0o600)
    (tmp_path / FILE).symlink_to(elsewhere)
    with pytest.raises(VaultTrouble, match="symbolic link"):
        await vault.get("GIT_TOKEN")
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE, 0o600)
    with pytest.raises(VaultTrouble, match="no file"):
        await asyncio.wait_for(vault.get("GIT_TOKEN"), 5)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir(0o700)
    with pytest.raises(VaultTrouble, match="no file"):
        await vault.get("GIT_TOKEN")


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"secrets": {}}', '{"version": 1, "secrets": {"A": 1}}', "\xff"]
)
async def test_a_damaged_file_is_neither_read_nor_written_over(tmp_path: Path, damage: str) -> None:
    path = tmp_path / FILE
    path.write_text(damage, encoding="latin-1")
    path.chmod(0o600)
    for attempt in (Vault(tmp_path).get("A"), Vault(tmp_path).set("B", Secret("b")), Vault(tmp_path).remove("A")):
        with pytest.raises(VaultTrouble, match="damaged"):
            await attempt
    assert path.read_text(encoding="latin-1") == damage


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 2, "secrets": {}}')
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(VaultTrouble, match="another version"):
        await Vault(tmp_path).set("GIT_TOKEN", Secret(VALUE))


async def test_what_a_killed_writer_left_is_thrown_away_and_never_believed(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    (tmp_path / "secrets.json.tmp").write_text('{"version": 1, "secr')
    found = await vault.get("GIT_TOKEN")
    assert found
    assert found.reveal() == VALUE
    await vault.set("OTHER", Secret("other"))
    assert names_in(tmp_path) == [FILE, "secrets.lock"]


async def test_a_home_that_is_not_there_and_a_full_disk_are_said_and_harm_nothing(tmp_path: Path) -> None:
    with pytest.raises(VaultTrouble, match="No such file"):
        await Vault(tmp_path / "nowhere").set("GIT_TOKEN", Secret(VALUE))
    vault = Vault(tmp_path)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    limited = (
        "import asyncio, pathlib, resource, signal, sys\n"
        "from roundhouse.vault.keep import Vault\n"
        "from roundhouse.vault.secret import Secret\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "asyncio.run(Vault(pathlib.Path(sys.argv[1])).set('LONG', Secret('canary' * 1000)))\n"
    )
    argv = [sys.executable, "-c", limited, str(tmp_path)]
    ended = await asyncio.to_thread(subprocess.run, argv, env=NO_KEYRING, capture_output=True, text=True, check=False)
    assert "cannot be written: File too large. What it held before is unharmed." in ended.stderr
    assert "canarycanary" not in ended.stderr
    found = await vault.get("GIT_TOKEN")
    assert found
    assert found.reveal() == VALUE
    assert names_in(tmp_path) == [FILE, "secrets.lock"]


WRITER = """
import asyncio, pathlib, sys
from roundhouse.vault.keep import Vault
from roundhouse.vault.secret import Secret
async def write(vault, writer):
    for number in range(20):
        await vault.set(f"W{writer}_{number}", Secret(f"value {writer} {number}"))
asyncio.run(write(Vault(pathlib.Path(sys.argv[1])), sys.argv[2]))
"""


async def test_four_processes_that_write_at_once_lose_nothing_and_readers_see_whole_files(tmp_path: Path) -> None:
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(tmp_path), str(writer), env=NO_KEYRING)
        for writer in range(4)
    ]
    ended = asyncio.gather(*(writer.wait() for writer in writers))
    vault = Vault(tmp_path)
    while not ended.done():
        await vault.get("W0_0")  # raises for a file that is half written
    assert await ended == [0] * 4
    assert kept_in(tmp_path) == {
        f"W{writer}_{number}": f"value {writer} {number}" for writer in range(4) for number in range(20)
    }


async def test_a_lock_that_is_held_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "LOCK_PATIENCE", 0.05)
    vault = Vault(tmp_path)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    with (tmp_path / "secrets.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(VaultTrouble, match=r"secrets\.lock"):
            await vault.set("OTHER", Secret("other"))
        assert await vault.get("GIT_TOKEN")
    await vault.set("OTHER", Secret("other"))


# -- the keyring


async def test_with_a_keyring_values_are_there_and_nowhere_else(tmp_path: Path, in_memory: InMemory) -> None:
    vault = Vault(tmp_path)
    assert await vault.set("GIT_TOKEN", Secret(VALUE)) == "keyring"
    assert in_memory.entries == {(service_of(tmp_path), "GIT_TOKEN"): VALUE}
    assert await vault.described() == f"the keyring of this system ({in_memory.name})"
    found = await Vault(tmp_path).get("GIT_TOKEN")
    assert found
    assert found.reveal() == VALUE
    assert await vault.remove("GIT_TOKEN")
    assert not await vault.remove("GIT_TOKEN")
    assert await vault.get("GIT_TOKEN") is None
    assert names_in(tmp_path) == []


async def test_two_homes_share_nothing_in_one_keyring_and_a_link_to_a_home_is_that_home(
    tmp_path: Path, in_memory: InMemory
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    await Vault(one).set("GIT_TOKEN", Secret("of one"))
    assert await Vault(other).get("GIT_TOKEN") is None
    (tmp_path / "link").symlink_to(one)
    found = await Vault(tmp_path / "link").get("GIT_TOKEN")
    assert found
    assert found.reveal() == "of one"
    assert len(in_memory.entries) == 1


async def test_the_value_that_was_set_last_counts_when_a_keyring_comes_and_goes(tmp_path: Path) -> None:
    backend = InMemory()
    for present in (True, False, True, False):
        keyring.set_keyring(backend if present else nothing())
        value = f"set with a keyring: {present}"
        await Vault(tmp_path).set("GIT_TOKEN", Secret(value))
        for now in (True, False) if not present else (True,):
            keyring.set_keyring(backend if now else nothing())
            found = await Vault(tmp_path).get("GIT_TOKEN")
            assert found
            assert found.reveal() == value
    keyring.set_keyring(backend)
    assert await Vault(tmp_path).remove("GIT_TOKEN")
    assert not backend.entries
    assert await Vault(tmp_path).get("GIT_TOKEN") is None


class PlaintextKeyring(InMemory):
    __module__ = "keyrings.alt.file"


class TwoInAChain(chainer.ChainerBackend):
    backends = (PlaintextKeyring(), InMemory())


@pytest.mark.parametrize("backend", [fail.Keyring, null.Keyring, PlaintextKeyring])
async def test_what_keeps_nothing_or_plain_text_is_no_keyring(tmp_path: Path, backend: type[KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    assert await Vault(tmp_path).kind() == "file"


async def test_of_a_chain_of_keyrings_the_first_that_is_one_is_used(tmp_path: Path) -> None:
    keyring.set_keyring(TwoInAChain())  # type: ignore[no-untyped-call]
    await Vault(tmp_path).set("GIT_TOKEN", Secret(VALUE))
    plaintext, good = TwoInAChain.backends
    assert not plaintext.entries
    assert list(good.entries.values()) == [VALUE]


async def test_a_locked_keyring_is_said_without_the_value_and_nothing_goes_to_a_file_instead(tmp_path: Path) -> None:
    keyring.set_keyring(Locked())
    with pytest.raises(VaultTrouble, match=r"could not keep GIT_TOKEN: KeyringLocked: .*Unlock it") as caught:
        await Vault(tmp_path).set("GIT_TOKEN", Secret(VALUE))
    assert VALUE not in str(caught.value)
    assert caught.value.__suppress_context__
    assert names_in(tmp_path) == []


async def test_a_keyring_that_hangs_keeps_nobody_waiting_and_takes_one_thread_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keychain, "PATIENCE", 0.2)
    hanging = Hanging()
    keyring.set_keyring(hanging)
    vault = Vault(tmp_path)
    try:
        for _ in range(3):
            with pytest.raises(VaultTrouble, match=r"did not give GIT_TOKEN within 0\.2 s"):
                await vault.get("GIT_TOKEN")
        assert hanging.asked == 1
    finally:
        hanging.released.set()
    monkeypatch.setattr(keychain, "PATIENCE", 5.0)
    await vault.set("GIT_TOKEN", Secret(VALUE))
    found = await vault.get("GIT_TOKEN")
    assert found
    assert found.reveal() == VALUE


def test_a_keyring_that_hangs_keeps_no_process_from_ending(tmp_path: Path) -> None:
    hangs = (
        "import asyncio, pathlib, sys, time, keyring\n"
        "from keyring.backend import KeyringBackend\n"
        "from roundhouse.vault import keychain\n"
        "from roundhouse.vault.keep import Vault\n"
        "class Hanging(KeyringBackend):\n"
        "    priority = 5\n"
        "    def get_password(self, service, username): time.sleep(60)\n"
        "    def set_password(self, service, username, password): pass\n"
        "keyring.set_keyring(Hanging())\n"
        "keychain.PATIENCE = 0.1\n"
        "try: asyncio.run(Vault(pathlib.Path(sys.argv[1])).get('GIT_TOKEN'))\n"
        "except Exception as bad: print(bad)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", hangs, str(tmp_path)], capture_output=True, text=True, timeout=20, check=True
    )
    assert "did not give GIT_TOKEN" in ended.stdout
    assert ended.stderr == ""


def test_the_library_is_loaded_only_when_a_value_is_wanted() -> None:
    script = "import sys, roundhouse.vault.keep; print('keyring' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
