"""The servers of other clients in our form; what cannot be taken over is said with its place and without values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roundhouse.clients.imports import Imported, read
from roundhouse.clients.known import CLIENTS, Surroundings
from roundhouse.errors import BadConfiguration, NotFound
from roundhouse.settings.document import LONGEST_FILE
from roundhouse.settings.entry import KEYS, Names, read_entry

SAMPLES = Path(__file__).parent / "samples"
SECRET = "canary-5fd2"


class Home:
    """A home with clients' files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {"HOME": str(path), "DB_CONNECTION_STRING": SECRET, "NOTION_TOKEN": SECRET}

    def file(self, name: str) -> Path:
        return CLIENTS[name].file(Surroundings(self.env))

    def has(self, name: str, content: str | bytes | None = None) -> Home:
        """This client's own file: the sample, or this content."""
        sample = next(SAMPLES.glob(f"{name}.*"))
        return self.write(self.file(name), sample.read_text() if content is None else content)

    def write(self, file: str | Path, content: str | bytes) -> Home:
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def read(self, source: str | Path, reserved: frozenset[str] = frozenset()) -> Imported:
        return checked(read(source, self.env, reserved))

    def servers(self, client: str, **entries: Any) -> Imported:
        """What is read of these entries in the client's own file."""
        key = CLIENTS[client].container
        return self.has(client, json.dumps({key: entries})).read(client)

    def entry(self, client: str, **entry: Any) -> dict[str, Any]:
        (server,) = self.servers(client, a=entry).servers
        return dict(server.entry)

    def problems(self, client: str, **entry: Any) -> list[str]:
        return self.servers(client, a=entry).problems


def checked(imported: Imported) -> Imported:
    """Whatever was read: only our keys, no value in any message, and every problem says where and what next."""
    told = repr(imported) + "".join(imported.problems)
    assert "canary" not in told
    for entry in imported.entries.values():
        assert entry.keys() <= set(KEYS)
    for problem in imported.problems:
        assert re.match(r"\S+( \S+)*?[:; ]", problem)
        assert problem.endswith(".")
    return imported


def usable(entries: Mapping[str, Mapping[str, Any]], *, but: tuple[str, ...] = ()) -> bool:
    """Whether our own reader of entries finds nothing wrong with them."""
    names = Names(entries, ())
    return not any(read_entry(names, name, entry).problems for name, entry in entries.items() if name not in but)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# -- each client's own file


def test_claude_desktop(home: Home) -> None:
    imported = home.has("claude-desktop").read("claude-desktop")
    assert list(imported.entries) == ["filesystem", "brave-search", "Git-Hub"]
    assert imported.entries["filesystem"] == {
        "command": "npx",
        "args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/ada/Desktop", "/home/ada/Down{loads}"],
    }
    assert imported.entries["brave-search"]["env"] == {"BRAVE_API_KEY": "canary-brave-5d1f"}
    assert "TOKEN=${TOKEN}" in imported.entries["Git-Hub"]["args"]  # it fills in nothing
    assert imported.problems == ["mcpServers.Git Hub!: 'Git Hub!' cannot be its name here; it becomes 'Git-Hub'."]
    assert imported.servers[2].original == "Git Hub!"
    assert usable(imported.entries)


def test_claude_code(home: Home) -> None:
    imported = home.has("claude-code").read("claude-code")
    assert imported.entries == {
        "notion": {
            "type": "http",
            "url": "https://mcp.notion.com/mcp",
            "headers": {"Authorization": "Bearer ${env:NOTION_TOKEN}"},
            "call_timeout": 120,
        },
        "linear": {"type": "sse", "url": "https://mcp.linear.app/sse"},
        "database": {
            "command": "/home/ada/shop/tools/db-server",
            "args": ["--dsn", "sqlite:///shop.db"],
            "env": {},
            "cwd": "/home/ada/shop",
        },
        "playwright": {"command": "npx", "args": ["@playwright/mcp@latest"], "env": {}},
        "sentry": {"command": "uvx", "args": ["mcp-sentry"], "env": {}, "cwd": "/home/ada/shop", "disabled": True},
        "database-blog": {"command": "blog-db", "cwd": "/home/ada/blog"},
    }
    linear, default, renamed = imported.problems
    assert linear.startswith("mcpServers.linear.oauth means nothing to Roundhouse: ")
    assert default.startswith(
        "projects./home/ada/shop.mcpServers.database.args[1]: the variable SHOP_DSN is not set here"
    )
    assert renamed.endswith("'database' cannot be its name here; it becomes 'database-blog'.")
    assert usable(imported.entries)


def test_an_entry_that_several_projects_have_is_one_server_of_no_project(home: Home) -> None:
    (playwright,) = [s for s in home.has("claude-code").read("claude-code").servers if s.name == "playwright"]
    assert playwright.places == (
        ("projects", "/home/ada/shop", "mcpServers", "playwright"),
        ("projects", "/home/ada/blog", "mcpServers", "playwright"),
    )


def test_cursor(home: Home) -> None:
    home.write(".config/docs.env", "# mine\nexport A = 'x # y'\nDOCS_TOKEN=lost\nB=two # 2\nC=\"1\\n2\"\nno line\n")
    imported = home.has("cursor").read("cursor")
    assert imported.entries["docs"] == {
        "command": f"{home.path}/bin/docs-server",
        "args": ["--root", "${workspaceFolder}/docs", "--cache", f"{home.path}/.cache"],
        "env": {"A": "x # y", "DOCS_TOKEN": "${env:DOCS_TOKEN}", "B": "two", "C": "1\n2"},
    }
    assert imported.entries["figma"] == {
        "url": "http://127.0.0.1:3845/sse",
        "headers": {"X-Figma-Token": "canary-figma-19"},
    }
    assert imported.entries["my_server"] == {"command": "python", "args": ["server.py"], "disabled": True}
    window, renamed = imported.problems
    assert window.startswith("mcpServers.docs.args[1] depends on what is open in the editor (${workspaceFolder})")
    assert "'my__server' cannot be its name here; it becomes 'my_server'" in renamed
    assert not usable(imported.entries)  # a literal ${workspaceFolder} is found again
    assert usable(imported.entries, but=("docs",))


def test_vscode(home: Home) -> None:
    imported = home.has("vscode").read("vscode")
    assert imported.entries == {
        "perplexity": {
            "command": "npx",
            "args": ["-y", "server-perplexity-ask", f"{home.path}/notes"],
            "env": {"PERPLEXITY_API_KEY": "${secret:PERPLEXITY_KEY}", "PORT": "8080"},
        },
        "github-mcp": {"type": "http", "url": "https://api.githubcopilot.com/mcp/"},
    }
    secret, null, sandbox, renamed = imported.problems
    assert secret == (
        "servers.perplexity.env.PERPLEXITY_API_KEY needs the secret PERPLEXITY_KEY; set it with "
        "`roundhouse secret set PERPLEXITY_KEY`."
    )
    assert null.startswith("servers.perplexity.env.NO_COLOR is null")
    assert sandbox.startswith(
        "servers.perplexity.sandboxEnabled means nothing to Roundhouse: the server would run without"
    )
    assert "'github/mcp' cannot be its name here; it becomes 'github-mcp'" in renamed
    assert usable(imported.entries)


def test_gemini(home: Home) -> None:
    imported = home.has("gemini").read("gemini")
    assert imported.entries == {
        "pythonTools": {
            "command": "python",
            "args": ["-m", "my_mcp_server", "--port", "8080", "${env:HOST}", "cost: 5$each"],
            "cwd": "/srv/python",
            "env": {
                "DATABASE_URL": "${env:DB_CONNECTION_STRING}",
                "API_KEY": "${env:EXTERNAL_API_KEY}",
                "MODE": "fast",
            },
            "call_timeout": 15.5,
            "allow": ["safe_tool", "file_reader"],
            "deny": ["dangerous_tool"],
        },
        "remote": {
            "type": "http",
            "url": "https://mcp.example.com/mcp",
            "headers": {"Authorization": "Bearer canary-gemini-41"},
            "call_timeout": 5,
        },
        "drawing": {"command": "draw", "deny": ["*"], "disabled": True},
    }
    dollar, default = imported.problems
    assert dollar.startswith("mcpServers.pythonTools.args[5] has a '$' before what is no variable here")
    assert default.startswith("mcpServers.pythonTools.env.MODE: the variable MODE is not set here")
    assert usable(imported.entries)


def test_gemini_starts_only_what_it_is_allowed_to(home: Home) -> None:
    servers = {"a": {"command": "x"}, "b": {"command": "x"}, "c": {"command": "x"}}
    document = {"mcp": {"allowed": ["a", "b"], "excluded": ["b"]}, "mcpServers": servers}
    entries = home.has("gemini", json.dumps(document)).read("gemini").entries
    assert [entry.get("disabled", False) for entry in entries.values()] == [False, True, True]


def test_windsurf(home: Home) -> None:
    imported = home.has("windsurf").read("windsurf")
    assert imported.entries == {
        "remote-http-mcp": {
            "url": "https://mcp.example.com/mcp",
            "headers": {"API_KEY": "Bearer ${env:AUTH_TOKEN}", "X-Cert": "${secret:X_CERT}"},
        },
        "memory": {
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-memory"],
            "disabled": False,
            "deny": ["delete_entities"],
        },
    }
    assert imported.problems == [
        "mcpServers.remote-http-mcp.headers.X-Cert needs the secret X_CERT; set it with `roundhouse secret set X_CERT`."
    ]
    assert usable(imported.entries)


def test_codex(home: Home) -> None:
    imported = home.has("codex").read("codex")
    assert imported.entries == {
        "docs": {
            "command": "npx",
            "args": ["-y", "mcp-server]"],
            "start_timeout": 20,
            "call_timeout": 45.5,
            "allow": ["search"],
            "deny": ["crawl"],
            "env": {"DOCS_HOME": "${env:DOCS_HOME}", "DOCS_KEY": "${env:DOCS_KEY}", "DOCS_TOKEN": "canary-codex-88"},
        },
        "figma": {
            "url": "https://mcp.figma.com/mcp",
            "headers": {
                "X-Figma-Region": "us-east-1",
                "X-Org": "${env:FIGMA_ORG}",
                "Authorization": "Bearer ${env:FIGMA_OAUTH_TOKEN}",
            },
            "disabled": True,
        },
    }
    assert not imported.problems
    assert usable(imported.entries)


# -- files


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.json", "claude-desktop"), ("x.jsonc", "vscode"), ("x", "vscode"), ("x.toml", "codex"), ("x", "codex"),
        ("x", "claude-code"), ("claude_desktop_config.json", "claude-desktop"), ("mcp_config.json", "windsurf"),
    ],
)  # fmt: skip
def test_a_file_is_recognised_by_what_is_in_it(home: Home, name: str, kind: str) -> None:
    own = home.has(kind).read(kind)
    content = home.file(kind).read_bytes()
    there = home.write(f"elsewhere/{name}", content).read(home.path / "elsewhere" / name)
    if name == "x.json":  # whose it is cannot be known, so ${TOKEN} is taken for a variable
        assert "TOKEN=${env:TOKEN}" in there.entries["Git-Hub"]["args"]
    else:
        assert there.entries == own.entries
    assert there.file == home.path / "elsewhere" / name


def test_vscodes_servers_in_its_settings_are_read(home: Home) -> None:
    home.write("settings.json", '{"editor.x": 1, "mcp": {"servers": {"a": {"command": "x"}}}}')
    assert home.read("~/settings.json").servers[0].places == (("mcp", "servers", "a"),)


@pytest.mark.parametrize("file", [".mcp.json", ".cursor/mcp.json", ".vscode/mcp.json", ".gemini/settings.json"])
def test_the_servers_of_a_project_start_in_its_folder(home: Home, file: str) -> None:
    key = "servers" if "vscode" in file else "mcpServers"
    entries = {
        "a": {"command": "./run", "args": ["."]},
        "b": {"command": "npx", "cwd": "sub"},
        "c": {"url": "http://x"},
    }
    project = home.path / "project"
    imported = home.write(project / file, json.dumps({key: entries})).read(project / file)
    assert imported.entries == {
        "a": {"command": f"{project}/run", "args": ["."], "cwd": str(project)},
        "b": {"command": "npx", "cwd": f"{project}/sub"},
        "c": {"url": "http://x"},
    }


def test_the_folder_of_a_project_is_filled_in(home: Home) -> None:
    project = home.path / "project"
    home.write(project / ".env", "TOKEN=canary\nTEXT=a${secret:X}b\n")
    servers = {"a": {"command": "${workspaceFolder}/run", "args": ["${workspaceFolderBasename}"], "envFile": ".env"}}
    imported = home.write(project / ".vscode/mcp.json", json.dumps({"servers": servers})).read(
        project / ".vscode/mcp.json"
    )
    assert imported.entries["a"] == {
        "command": f"{project}/run",
        "args": ["project"],
        "env": {"TOKEN": "canary", "TEXT": "a$${secret:X}b"},
        "cwd": str(project),
    }
    assert not imported.problems


def test_the_clients_own_file_is_no_projects(home: Home) -> None:
    home.has("cursor", '{"mcpServers": {"a": {"command": "x"}}}')
    assert home.read(home.file("cursor")).entries == {"a": {"command": "x"}}


def test_a_configuration_of_our_own_is_taken_as_it_is(home: Home) -> None:
    entry = {"command": "x", "call_timeout": 5, "start": "always", "allow": [], "rename": {"a": "b"}, "tags": ["t"]}
    home.write("servers.json", json.dumps({"mcpServers": {"a": entry}}))
    assert home.read("~/servers.json").entries == {"a": entry}


# -- entries


@pytest.mark.parametrize(
    "ours",
    [
        {"command": "roundhouse", "args": ["serve"]},
        {"command": "/opt/x/mcp-roundhouse", "args": ["--home", "/h", "serve"]},
        {"command": "C:\\x\\Roundhouse.exe", "args": ["serve"]},
        {"command": "uvx", "args": ["mcp-roundhouse@latest", "serve"]},
        {"command": "uvx", "args": ["--from", "mcp-roundhouse==0.2", "roundhouse", "serve"]},
        {"command": "python", "args": ["-m", "roundhouse", "serve", "--standalone"]},
        {"command": "docker", "args": ["run", "-i", "ghcr.io/x/mcp-roundhouse:1", "serve"]},
    ],
)
def test_our_own_entry_is_left_out(home: Home, ours: dict[str, Any]) -> None:
    assert not home.servers("cursor", anything=ours).servers


@pytest.mark.parametrize(
    "other",
    [
        {"command": "roundhouse", "args": ["status"]},
        {"command": "serve", "args": ["roundhouse"]},
        {"command": "roundhouse-trains", "args": ["serve"]},
        {"command": "npx", "args": "roundhouse serve"},
        {"url": "http://roundhouse/serve"},
    ],
)
def test_an_entry_that_only_looks_like_ours_is_taken(home: Home, other: dict[str, Any]) -> None:
    assert len(home.servers("cursor", anything=other).servers) == 1


def test_names_that_cannot_be_get_others_that_are_free(home: Home) -> None:
    names = ["git", "Git", "git!", "a__b", "x" * 40, "Ünï", "日本", "list_servers", "-", "git-2"]
    home.has("cursor", json.dumps({"mcpServers": {name: {"command": "x"} for name in names}}))
    imported = home.read("cursor", frozenset({"list_servers"}))
    assert [server.name for server in imported.servers] == [
        "git", "Git-3", "git-4", "a_b", "x" * 32, "n", "server", "list_servers-2", "server-2", "git-2",
    ]  # fmt: skip
    assert [server.original for server in imported.servers] == names
    assert len(imported.problems) == 8
    assert usable(imported.entries)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({}, "mcpServers.a has neither a `command` nor a `url`, and was left out."),
        ({"command": "x", "surprise": "canary"}, "mcpServers.a.surprise means nothing to Roundhouse: it was left out"),
        ({"command": "x", "timeout": 5}, "mcpServers.a.timeout means nothing to Roundhouse: clients do not agree"),
        ({"command": "./x"}, "mcpServers.a.command depends on where the client was started; write the whole path."),
        ({"command": "x", "cwd": "canary"}, "mcpServers.a.cwd depends on where the client was started"),
        ({"command": "x", "env": {"A": None}}, "mcpServers.a.env.A is null, which takes a variable away"),
        ({"command": "x", "envFile": "/canary"}, "mcpServers.a.envFile names a file that cannot be read"),
        ({"command": "x", "envFile": "canary"}, "mcpServers.a.envFile depends on where the client was started"),
        (
            {"command": "x", "envFile": "${workspaceFolder}/e"},
            "mcpServers.a.envFile depends on what is open in the editor",
        ),
        ({"command": "x", "args": ["${command:canary}"]}, "mcpServers.a.args[0] depends on what is open in the editor"),
        ({"command": "x", "env": {"A": "${secret:X}"}}, "mcpServers.a.env.A needs the secret X; set it with"),
        ({"url": "http://x", "auth": {"CLIENT_ID": "canary"}}, "mcpServers.a.auth means nothing to Roundhouse: "),
    ],
)
def test_what_cannot_be_taken_is_said_once(home: Home, entry: dict[str, Any], problem: str) -> None:
    (said,) = home.problems("cursor", **entry)
    assert said.startswith(problem)


def test_what_clients_keep_for_themselves_is_passed_over(home: Home) -> None:
    entry = {"command": "x", "autoApprove": ["a"], "description": "d", "icon": "i", "trust": True, "args": None}
    assert home.entry("cursor", **entry) == {"command": "x"}


@pytest.mark.parametrize("value", [0, -5, True, "30", [], 1e400, 10**400])
def test_a_timeout_that_is_none_is_left_out(home: Home, value: Any) -> None:
    content = json.dumps({"mcpServers": {"a": {"command": "x", "timeout": value}}}).replace("Infinity", "1e400")
    imported = home.has("gemini", content).read("gemini")
    assert imported.entries == {"a": {"command": "x"}}
    assert imported.problems == [
        "mcpServers.a.timeout is no length of time, and was left out; expected a number above 0."
    ]


def test_values_of_the_wrong_kind_are_left_to_the_reader_of_entries(home: Home) -> None:
    entry = {"command": 5, "args": "x", "env": [], "cwd": 1, "type": ["stdio"]}
    assert home.entry("cursor", **entry) == entry


@pytest.mark.parametrize(
    ("client", "text", "filled"),
    [
        ("claude-desktop", "${HOME} $HOME ${x:-y} ${a:b} $${X}", "${HOME} $HOME ${x:-y} $${a:b} $$${X}"),
        ("claude-desktop", "${env:A} ${env:a-b}", "${env:A} ${env:a-b}"),
        (
            "claude-code",
            "${HOME} $HOME ${X:-} ${X:-a b:c} ${workspaceFolder}",
            "${env:HOME} $HOME  a b:c ${env:workspaceFolder}",
        ),
        (
            "cursor",
            "${HOME} ${env:X} ${pathSeparator} ${unknown:x} ${input:x}",
            "${HOME} ${env:X} / $${unknown:x} $${input:x}",
        ),
        ("vscode", "${input:apiKey}-${input:2nd key}", "${secret:API_KEY}-${secret:N2ND_KEY}"),
        ("gemini", "$HOME/$HOME_ ${UNSET} $1", "${env:HOME}/$HOME_ ${env:UNSET} $1"),
        ("windsurf", "${HOME} ${file:/x}", "${HOME} ${secret:A}"),
    ],
)
def test_what_each_client_fills_in_becomes_our_reference(home: Home, client: str, text: str, filled: str) -> None:
    assert home.entry(client, command="x", env={"A": text})["env"] == {"A": filled}


def test_a_folder_is_filled_in_at_once(home: Home) -> None:
    assert home.entry("claude-code", command="x", cwd="${HOME}/a")["cwd"] == f"{home.path}/a"


# -- files that are not as they should be


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"mcpServers": {"a": oops}}', ", line 1, column 22: no JSON: Expecting value."),
        (b'\xef\xbb\xbf{"mcpServers":\r\n {canary: 1}}', ", line 2, column 3: no JSON: "),
        (b'{"x": "canary\xff"}', ", line 1, column 14: byte 0xff is not UTF-8."),
        (b'\xef\xbb\xbf{"\xc3\xa4": "\xff"}', ", line 1, column 8: byte 0xff is not UTF-8."),
        (b"[]", ": the file holds a list; expected an object."),
        (b"[" * 100_000, ": it is nested too deep to be a configuration."),
        (b" " * LONGEST_FILE + b"{}", f" is larger than {LONGEST_FILE:,} bytes; that is no configuration."),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(home: Home, content: bytes, said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        home.has("cursor", content).read("cursor")
    assert str(caught.value).startswith(f"{home.file('cursor')}{said}")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_file_from_windows_is_read_the_same(home: Home, client: str, newline: str, mark: str) -> None:
    plain = home.has(client).read(client)
    content = mark + home.file(client).read_text().replace("\n", newline)
    assert home.has(client, content.encode()).read(client).entries == plain.entries


@pytest.mark.parametrize("client", [name for name in CLIENTS if name != "codex"])
@pytest.mark.parametrize("content", ["", " \n", "{}", '{"mcpServers": null, "servers": null}', "// only this\n"])
def test_a_file_without_servers_is_no_fault(home: Home, client: str, content: str) -> None:
    imported = home.has(client, content).read(client)
    assert not imported.servers
    assert not imported.problems


def test_a_client_without_a_file_is_said_to_have_none(home: Home) -> None:
    with pytest.raises(
        BadConfiguration, match=r"There is no .*/\.cursor/mcp\.json: Cursor has no servers of its own yet\."
    ):
        home.read("cursor")


def test_what_is_neither_client_nor_file_is_said(home: Home) -> None:
    with pytest.raises(NotFound, match="There is no client or file named 'curser': did you mean 'cursor'"):
        home.read("curser")


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", "{}"), ("a.toml", "x = 1"), ("a", ""), ("a.json", '{"mcp": 1}')]
)
def test_a_file_that_names_no_servers_is_refused(home: Home, name: str, content: str) -> None:
    with pytest.raises(BadConfiguration, match="there are no MCP servers"):
        home.write(name, content).read(home.path / name)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"mcpServers": []}', "mcpServers holds a list; expected an object of entries by name."),
        ('{"mcpServers": {"a": "x"}}', "mcpServers.a holds a string; expected an object."),
        ('{"mcpServers": {}, "mcpServers": {}}', "mcpServers is given twice, and only the last one counts"),
        ('{"mcpServers": {"a": {"command": "x", "command": "y"}}}', "mcpServers.a.command is given twice"),
    ],
)
def test_what_is_wrong_with_a_part_leaves_the_rest(home: Home, content: str, problem: str) -> None:
    (said,) = home.has("cursor", content).read("cursor").problems
    assert said.startswith(problem)
