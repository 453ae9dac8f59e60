"""Our entry in other clients' files: there once, and every other byte as it was, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from roundhouse.clients import jsonc
from roundhouse.clients.files import NotInstalled, replace, snapshot
from roundhouse.clients.imports import find, read
from roundhouse.clients.install import Installed, install
from roundhouse.clients.known import CLIENTS, Surroundings
from roundhouse.errors import BadConfiguration, NotFound
from tests.clients.layouts import documents

SAMPLES = Path(__file__).parent / "samples"
ENTRY = {"command": "/opt/roundhouse/bin/roundhouse", "args": ["serve"]}
JSON_CLIENTS = [name for name in CLIENTS if name != "codex"]


class Home:
    """A home with clients' files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {"HOME": str(path)}

    def file(self, client: str) -> Path:
        return CLIENTS[client].file(Surroundings(self.env))

    def has(self, client: str, content: bytes | None = None) -> bytes:
        """Make the client's own file, by default the sample. Returns its content."""
        file = self.file(client)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(next(SAMPLES.glob(f"{client}.*")).read_bytes() if content is None else content)
        return file.read_bytes()

    def install(self, client: str, entry: dict[str, Any] = ENTRY, **options: Any) -> Installed:
        return install(client, entry, self.env, **options)

    def document(self, client: str) -> dict[str, Any]:
        text = self.file(client).read_text(encoding="utf-8-sig")
        return tomllib.loads(text) if client == "codex" else jsonc.parse(text)

    def beside(self, client: str) -> list[Path]:
        """Everything in the folder of the client's file."""
        return sorted(path for path in self.file(client).parent.iterdir() if not path.is_dir())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def entry_in(client: str) -> dict[str, Any]:
    return {"type": "stdio", **ENTRY} if client == "vscode" else ENTRY


Change = Callable[[str], str]
CHANGES: dict[str, Change] = {
    "as it is": lambda text: text,
    "windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "tabs": lambda text: text.replace("  ", "\t"),
    "no end of line": lambda text: text.rstrip(),
}


# -- what is written


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("client", CLIENTS)
def test_our_entry_is_added_and_every_other_byte_stays(home: Home, client: str, change: str) -> None:
    before = CHANGES[change](home.has(client).decode()).encode()
    home.has(client, before)
    expected = home.document(client)
    done = home.install(client)
    assert (done.client, done.file, done.changed, done.removed) == (client, home.file(client), True, ())
    expected[CLIENTS[client].container]["roundhouse"] = entry_in(client)
    assert home.document(client) == expected
    after = home.file(client).read_bytes()
    start = next(n for n in range(len(after)) if n >= len(before) or after[n] != before[n])
    kept = len(before) - start
    assert after[len(after) - kept :] == before[start:]  # one piece was put in
    assert (b"\r\n" in before) == (b"\r\n" in after)
    assert (
        after.count(b"\n") - after.count(b"\r\n") == before.count(b"\n") - before.count(b"\r\n") or b"\r" not in before
    )
    assert next(found for found in find(home.env) if found.client == client).installed


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_time_nothing_happens(home: Home, client: str) -> None:
    home.has(client)
    home.install(client)
    before = [(path, path.stat()) for path in home.beside(client)]
    done = home.install(client)
    assert (done.changed, done.backup) == (False, None)
    assert [(path, path.stat()) for path in home.beside(client)] == before


@pytest.mark.parametrize("client", CLIENTS)
def test_where_there_is_no_file_it_is_made_with_its_folders(home: Home, client: str) -> None:
    done = home.install(client)
    assert (done.changed, done.backup) == (True, None)
    assert home.document(client) == {CLIENTS[client].container: {"roundhouse": entry_in(client)}}
    assert home.file(client).stat().st_mode & 0o777 == 0o600
    assert home.beside(client) == [home.file(client)]


@pytest.mark.parametrize("client", JSON_CLIENTS)
@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xef\xbb\xbf{ }\r\n", b"// mine\n", b'{"x": 1, "KEY": null}', b'{"KEY": {}}', b'{"KEY":{},}'],
)
def test_a_file_with_nothing_in_it_gets_what_is_missing(home: Home, client: str, content: bytes) -> None:
    container = CLIENTS[client].container
    home.has(client, content.replace(b"KEY", container.encode()))
    home.install(client)
    assert home.document(client)[container] == {"roundhouse": entry_in(client)}
    assert home.file(client).read_bytes().startswith(content[: content.find(b"{")])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_changed_entry_is_changed_in_its_place(home: Home, client: str) -> None:
    home.has(client)
    home.install(client)
    before = home.file(client).read_bytes()
    newer = {"command": "/new/roundhouse", "args": ["serve"]}
    done = home.install(client, newer)
    assert home.file(client).read_bytes() == before.replace(b"/opt/roundhouse/bin/roundhouse", b"/new/roundhouse")
    assert done.backup is not None
    assert done.backup.read_bytes() == before
    assert len(home.beside(client)) == 3  # the file, and the backups of both


def test_what_somebody_added_to_our_entry_stays(home: Home) -> None:
    ours = '{"command": "roundhouse", "args": ["serve", "--standalone"], "timeout": 60000, "disabled": true}'
    home.has("cursor", f'{{\n  "mcpServers": {{\n    "roundhouse": {ours}\n  }}\n}}'.encode())
    home.install("cursor")
    assert home.document("cursor")["mcpServers"]["roundhouse"] == {**ENTRY, "timeout": 60000, "disabled": True}
    home.has(
        "codex", b"[mcp_servers.roundhouse]\ncommand = 'roundhouse'\nargs = ['serve']\ntool_timeout_sec = 600 # long\n"
    )
    home.install("codex")
    assert home.file("codex").read_text() == (
        "[mcp_servers.roundhouse]\ncommand = \"/opt/roundhouse/bin/roundhouse\"\nargs = ['serve']\n"
        "tool_timeout_sec = 600 # long\n"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(documents("mcpServers"))
def test_any_document_keeps_all_that_was_in_it(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.has("gemini", text.encode())
    before = home.document("gemini")
    home.install("gemini")
    after = home.document("gemini")
    assert after["mcpServers"].pop("roundhouse") == ENTRY
    assert after == {"mcpServers": {}, **before}
    assert not home.install("gemini").changed


# -- moving the other servers into the house


@pytest.mark.parametrize("client", CLIENTS)
def test_adopted_servers_leave_in_the_same_write(home: Home, client: str) -> None:
    before = home.has(client)
    expected = home.document(client)
    imported = read(client, home.env)
    done = home.install(client, adopted=imported.servers)
    assert done.removed == tuple(server.name for server in imported.servers)
    assert done.backup is not None
    assert done.backup.read_bytes() == before
    assert home.beside(client) == sorted([home.file(client), done.backup])
    expected[CLIENTS[client].container] = {"roundhouse": entry_in(client)}
    for project in expected.get("projects", {}).values():
        if "mcpServers" in project:
            project["mcpServers"] = {}
    assert home.document(client) == expected
    assert not read(client, home.env).servers


def test_only_what_was_adopted_leaves(home: Home) -> None:
    home.has("claude-desktop")
    _, brave, _ = read("claude-desktop", home.env).servers
    assert home.install("claude-desktop", adopted=[brave]).removed == ("brave-search",)
    assert list(home.document("claude-desktop")["mcpServers"]) == ["filesystem", "Git Hub!", "roundhouse"]


def test_an_adopted_server_that_is_gone_is_no_matter(home: Home) -> None:
    home.has("cursor")
    servers = read("cursor", home.env).servers
    home.install("cursor", adopted=servers)
    assert not home.install("cursor", adopted=servers).changed


def test_an_adopted_server_that_was_changed_meanwhile_stays(home: Home) -> None:
    before = home.has("cursor")
    servers = read("cursor", home.env).servers
    changed = home.has("cursor", before.replace(b"server.py", b"other.py"))
    with pytest.raises(NotInstalled, match=r"'my__server' was changed since it was read\. Nothing was written; import"):
        home.install("cursor", adopted=servers)
    assert home.file("cursor").read_bytes() == changed
    assert home.beside("cursor") == [home.file("cursor")]


@pytest.mark.parametrize("ours", ["", f', "mcpServers": {{"roundhouse": {json.dumps(ENTRY)}}}'])
def test_what_would_not_hold_what_it_should_is_not_written(home: Home, ours: str) -> None:
    other = '"/p": {"mcpServers": {"a": {"command": "x"}}}'
    before = home.has("claude-code", f'{{"projects": {{}}, "projects": {{{other}}}{ours}}}'.encode())
    with pytest.raises(NotInstalled, match="is written in a way Roundhouse cannot change safely"):
        home.install("claude-code", adopted=read("claude-code", home.env).servers)
    assert home.file("claude-code").read_bytes() == before
    assert home.beside("claude-code") == [home.file("claude-code")]


# -- what is left alone


@pytest.mark.parametrize(
    ("client", "content", "said"),
    [
        ("cursor", '{"mcpServers": {oops}}', ", line 1, column 17: no JSON: "),
        ("codex", "x = \n", ", line 1, column 5: no TOML: "),
        ("cursor", "[]", ": the file holds a list; expected an object."),
        ("cursor", '{"mcpServers": []}', ": `mcpServers` holds a list, expected an object."),
        ("codex", "mcp_servers = 1", ": `mcp_servers` holds a number, expected an object."),
        ("cursor", '{"mcpServers": {}, "mcpServers": {}}', ": `mcpServers` is given twice; make them one."),
        ("cursor", '{"mcpServers": {"roundhouse": {}, "roundhouse": null}}', ": `mcpServers.roundhouse` is given"),
        ("cursor", '{"mcpServers": {"roundhouse": {"command": "trains"}}}', ": another server is named"),
        ("codex", "mcp_servers.roundhouse.args = ['roundhouse', 'serve']", ": our entry or a server to be"),
    ],
)  # fmt: skip
def test_what_a_person_has_to_decide_is_left_alone(home: Home, client: str, content: str, said: str) -> None:
    before = home.has(client, content.encode())
    with pytest.raises((BadConfiguration, NotInstalled)) as caught:
        home.install(client)
    assert f"{home.file(client)}{said}" in str(caught.value)
    assert home.file(client).read_bytes() == before
    assert home.beside(client) == [home.file(client)]


def test_an_unknown_client_is_refused(home: Home) -> None:
    with pytest.raises(NotFound):
        home.install("emacs")


def test_a_file_that_changes_meanwhile_is_left_alone(home: Home) -> None:
    home.has("cursor")
    old = snapshot(home.file("cursor"))
    newer = home.has("cursor", b'{"newer": true}')
    with pytest.raises(NotInstalled, match="was changed by somebody else at this moment, and was left alone"):
        replace(old, b"{}")
    assert home.file("cursor").read_bytes() == newer
    home.file("cursor").unlink()
    with pytest.raises(NotInstalled, match="cannot be written: No such file"):
        replace(old, b"{}")
    assert home.beside("cursor") == []


# -- the file itself


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o400])
def test_mode_and_owner_stay_and_the_backup_is_private(home: Home, mode: int) -> None:
    home.has("cursor")
    file = home.file("cursor")
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 12345, 54321)
    before = file.stat()
    backup = home.install("cursor").backup
    assert backup is not None
    assert backup.name.startswith("mcp.json.roundhouse-backup-20")
    for path, right in ((file, mode), (backup, 0o600)):
        after = path.stat()
        assert (after.st_uid, after.st_gid, after.st_mode & 0o7777) == (before.st_uid, before.st_gid, right)


def test_a_link_stays_a_link_and_what_it_names_is_replaced(home: Home) -> None:
    real = home.path / "dotfiles/cursor.json"
    real.parent.mkdir()
    real.write_text("{}")
    link = home.file("cursor")
    link.parent.mkdir()
    link.symlink_to("../dotfiles/cursor.json")
    backup = home.install("cursor").backup
    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"mcpServers": {"roundhouse": ENTRY}}
    assert {*real.parent.iterdir()} == {real, backup}
    assert list(link.parent.iterdir()) == [link]


def test_a_link_to_nothing_makes_what_it_names(home: Home) -> None:
    link = home.file("cursor")
    link.parent.mkdir()
    link.symlink_to(home.path / "dotfiles/new/cursor.json")
    home.install("cursor")
    assert link.is_symlink()
    assert json.loads((home.path / "dotfiles/new/cursor.json").read_text()) == {"mcpServers": {"roundhouse": ENTRY}}


def in_a_process(home: Home, script: str) -> str:
    """Run this in a process of its own, with `go()` to install into Cursor. Returns what it prints."""
    start = (
        "import ctypes, os, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from roundhouse.clients import files\n"
        "from roundhouse.clients.install import install\n"
        f"ENTRY, ENV, FILE = {ENTRY!r}, {home.env!r}, Path({str(home.file('cursor'))!r})\n"
        "def go(): install('cursor', ENTRY, ENV)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


KILLED_AT_EVERY_LINE = """
old, outcomes, line = FILE.read_bytes(), [], 0
while True:
    line += 1
    child = os.fork()
    if not child:
        left = [line]
        def trace(frame, event, argument):
            if frame.f_code.co_filename != files.__file__:
                return None
            if event == "line":
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        go()
        sys.settrace(None)
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        break
    outcomes.append(FILE.read_bytes() == old)
    if not outcomes[-1]:
        assert b"roundhouse" in FILE.read_bytes() and FILE.read_bytes().startswith(old[:15])
        from roundhouse.clients import jsonc
        jsonc.parse(FILE.read_text())
    for other in FILE.parent.iterdir():
        if other != FILE:
            assert other.stat().st_mode & 0o777 in ([0o600] if "backup" in other.name else [0o600, 0o644]), other
            other.unlink()
    FILE.write_bytes(old)
print(outcomes.count(True), outcomes.count(False))
"""


def test_killed_at_any_line_the_file_is_the_old_one_or_the_new_one(home: Home) -> None:
    home.has("cursor")
    home.file("cursor").chmod(0o644)
    old, new = map(int, in_a_process(home, KILLED_AT_EVERY_LINE).split())
    assert old > 20
    assert new > 3


TRIED = """\
try: go()
except files.NotInstalled as bad: print(bad)
"""


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(home: Home) -> None:
    before = home.has("cursor")
    said = in_a_process(home, "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n" + TRIED)
    assert (
        said == f"{home.file('cursor')} cannot be written: File too large. It is as it was; mend that and try again.\n"
    )
    assert home.file("cursor").read_bytes() == before
    assert home.beside("cursor") == [home.file("cursor")]


# Root may write everywhere, until it gives up its capabilities.
WITHOUT_CAPABILITIES = """\
head, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(head, none) == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_folder_that_cannot_be_written_is_said(home: Home) -> None:
    before = home.has("cursor")
    home.file("cursor").parent.chmod(0o500)
    said = in_a_process(home, WITHOUT_CAPABILITIES + TRIED)
    home.file("cursor").parent.chmod(0o700)
    assert (
        said
        == f"{home.file('cursor')} cannot be written: Permission denied. It is as it was; mend that and try again.\n"
    )
    assert home.file("cursor").read_bytes() == before
