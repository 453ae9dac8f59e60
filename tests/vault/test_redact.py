"""No value in use is left in any text, however it was written and cut, and what is no secret stays as it is."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.vault.redact import Redactor
from roundhouse.vault.secret import Secret
from tests.pace import slowness
from tests.vault.canaries import LETTERS, canaries

CANARIES = canaries()
MARK = re.compile(r"\[secret:[A-Z0-9_]+\]|\[redacted\]")


def knowing(**values: str) -> Redactor:
    redactor = Redactor()
    for name, value in values.items():
        redactor.add(name, Secret(value))
    return redactor


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return knowing(**CANARIES)


# -- canaries


def per_cent(value: str, kept: str) -> str:
    return "".join(c if c in kept else "".join(f"%{byte:02x}" for byte in c.encode()) for c in value)


ENCODERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON, not ASCII": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON, its slashes escaped": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON, hexadecimal capitals": lambda value: (
        re.sub(r"\\u....", lambda m: "\\u" + m[0][2:].upper(), json.dumps(value))
        if "\\" not in value
        else json.dumps(value)
    ),
    "JSON in JSON": lambda value: json.dumps({"text": json.dumps({"key": value})}),
    "JSON, each character": lambda value: "".join(
        f"\\u{unit:04x}" for unit in memoryview(value.encode("utf-16-le")).cast("H")
    ),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda value: repr(value.encode()),
    "URL": lambda value: urllib.parse.quote(value, safe=""),
    "URL, a path": urllib.parse.quote,
    "URL, small letters": lambda value: per_cent(value, LETTERS + "_.-~"),
    "URL, like a browser": lambda value: urllib.parse.quote(value, safe="!'()*~"),
    "URL, each character": lambda value: per_cent(value, ""),
    "form": lambda value: urllib.parse.urlencode({"key": value}),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 in a URL": lambda value: urllib.parse.quote(base64.b64encode(value.encode()).decode(), safe=""),
    "shell": lambda value: "x " + shlex.quote(value) + " y",
    "shell, escaped": lambda value: re.sub(r"([^A-Za-z0-9_@%+=:,./\n-])", r"\\\1", value),
    "shell, in double quotes": lambda value: '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"',
    "a command as JSON": lambda value: json.dumps(["sh", "-c", f"serve --key {shlex.quote(value)}"]),
}
FRAMES = ("{}", 'prefix "{}" suffix', "a log line: key={} and more", '{{"a": [1, "{}"]}}', "/{}/")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_canary_survives_in_any_encoding(redactor: Redactor, encoder: str) -> None:
    for name, value in CANARIES.items():
        encoded = ENCODERS[encoder](value)
        for frame in FRAMES:
            text = frame.format(encoded)
            for shown in (redactor.text(text), redactor.data(text.encode()).decode()):
                assert encoded not in shown, (name, frame)
                assert value not in shown, (name, frame)
                assert f"[secret:{name}]" in shown, (name, frame)
                assert all(line not in shown for line in value.splitlines() if len(line.strip()) >= 12)


def test_no_canary_survives_in_base64_of_something_around_it(redactor: Redactor) -> None:
    for name, value in CANARIES.items():
        if len(value.encode()) < 6:
            continue
        for user in ("", "u", "me", "you", "user"):
            for after in ("", ":", "::", ":::"):
                encoded = base64.b64encode(f"{user}:{value}{after}".encode()).decode()
                assert f"[secret:{name}]" in redactor.text(f"Basic {encoded}"), (name, user)
                left = MARK.sub("", redactor.text(encoded))
                assert len(left) <= len(user) * 2 + 12


def test_all_canaries_at_once_in_one_text(redactor: Redactor) -> None:
    shown = redactor.text(" ".join(CANARIES.values()))
    assert not [name for name, value in CANARIES.items() if value in shown]
    shown = redactor.text(json.dumps(CANARIES))
    assert not [name for name, value in CANARIES.items() if json.dumps(value)[1:-1] in shown]
    assert json.loads(shown).keys() == CANARIES.keys()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_no_canary_survives_what_a_shell_traces(redactor: Redactor) -> None:
    values = {name: value for name, value in CANARIES.items() if value.isprintable() and value.isascii()}
    assert len(values) > 100
    for quoted in ("printf '%q\\n' \"$v\"", 'set -x; true "$v"', "declare -p v"):
        script = "".join(f"v={shlex.quote(value)}\n{quoted}\n" for value in values.values())
        traced = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        said = traced.stdout + traced.stderr
        shown = redactor.text(said)
        missing = [name for name in values if f"[secret:{name}]" not in shown]
        assert not missing


@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_no_canary_survives_what_node_writes(redactor: Redactor) -> None:
    script = (
        "const vs = JSON.parse(require('fs').readFileSync(0));"
        "for (const v of vs) console.log(JSON.stringify({v}), encodeURIComponent(v), encodeURI(v), "
        "new URLSearchParams({v}).toString(), Buffer.from(v).toString('base64url'))"
    )
    ran = subprocess.run(
        ["node", "-e", script], input=json.dumps(list(CANARIES.values())), capture_output=True, text=True
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == len(CANARIES)
    for (name, value), line in zip(CANARIES.items(), lines, strict=True):
        assert redactor.text(line).count(f"[secret:{name}]") >= 5, (name, value, redactor.text(line))


# -- what is replaced, and what is not


def test_the_name_stands_where_the_value_stood() -> None:
    redactor = knowing(GIT_TOKEN="hunter2hunter2", OTHER="opensesame")
    assert redactor.text("a hunter2hunter2, b opensesame!") == "a [secret:GIT_TOKEN], b [secret:OTHER]!"
    assert redactor.data(b"\xff\xfehunter2hunter2\x00") == b"\xff\xfe[secret:GIT_TOKEN]\x00"


def test_a_text_without_secrets_is_the_same_object() -> None:
    redactor = knowing(GIT_TOKEN="hunter2hunter2")
    for text in ("", "abc", "nothing to see: half \ud800 a pair, ünïcödé"):
        assert redactor.text(text) is text
    data = b"\xff\x00 nothing"
    assert redactor.data(data) is data


def test_half_a_surrogate_pair_beside_a_secret_comes_through() -> None:
    assert knowing(A="hunter2hunter2").text("\ud800hunter2hunter2") == "\ud800[secret:A]"


def test_what_was_redacted_is_not_redacted_again() -> None:
    redactor = knowing(GIT_TOKEN="hunter2hunter2")
    for text in (
        '{"token": "hunter2hunter2"}',
        "Authorization: Bearer hunter2hunter2",
        "https://u:hunter2hunter2@h/",
        "password=hunter3",
    ):
        once = redactor.text(text)
        assert once != text
        assert redactor.text(once) == once
    assert redactor.text('{"token": "hunter2hunter2"}') == '{"token": "[secret:GIT_TOKEN]"}'


def test_references_are_no_secrets() -> None:
    text = '{"env": {"TOKEN": "${secret:GIT_TOKEN}"}, "token": "${env:T}", "url": "https://u:${secret:PW}@h/"}'
    assert Redactor().text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pin 47a1", "pin [secret:PIN]"),
        ("47a1", "[secret:PIN]"),
        ('{"pin":"47a1"}', '{"pin":"[secret:PIN]"}'),
        ("147a1 47a12 a47a1 _47a1 47a1ä", "147a1 47a12 a47a1 _47a1 47a1ä"),
    ],
)
def test_a_short_value_is_replaced_only_as_a_word(text: str, shown: str) -> None:
    assert knowing(PIN="47a1").text(text) == shown


@pytest.mark.parametrize(
    "value",
    [
        *("4711", "000000", "-32602", " 4711 ", "....", '":{}', "------------", " \t \n ", "____"),
        *("code", "Server", "approve", "true", "null", '"code"', '"message":', ',"data":{', "RH_NOT_FOUND", '":"RH_'),
    ],
)
def test_what_stands_everywhere_and_what_could_be_guessed_is_not_learned(value: str) -> None:
    redactor = knowing(A=value)
    text = f'{{"code":-32602,"message":"{value!r} server","data":{{"code":"RH_NOT_FOUND"}}}} {value}'
    assert redactor.text(text) is text


def test_seven_digits_and_other_words_are_learned() -> None:
    assert knowing(A="1234567", B="opensesame").text("1234567 opensesame") == "[secret:A] [secret:B]"


def test_a_value_of_three_characters_is_not_looked_for() -> None:
    assert knowing(TINY="abc").text("abc") == "abc"


def test_six_characters_are_found_inside_a_word_wherever_they_begin() -> None:
    redactor = knowing(SIX="s3cr3t", SEVEN="s3v3n77")
    for before in range(9):
        assert redactor.text("x" * before + "s3cr3t" + "y") == "x" * before + "[secret:SIX]y"
        assert redactor.text("x" * before + "s3v3n77") == "x" * before + "[secret:SEVEN]"


def test_of_secrets_in_one_another_nothing_is_left_and_the_longest_is_named() -> None:
    redactor = knowing(SHORT="abcdefgh", LONG="abcdefgh12345678", RIGHT="5678wxyz")
    assert redactor.text("abcdefgh12345678") == "[secret:LONG]"
    assert redactor.text("abcdefgh12345678wxyz") == "[secret:LONG]"
    assert redactor.text("abcdefgh abcdefgh12345678 5678wxyz") == "[secret:SHORT] [secret:LONG] [secret:RIGHT]"
    repeated = knowing(A="aaaaaaaa")
    assert repeated.text("a" * 1000 + "b") == "[secret:A]b"
    assert repeated.text("a" * 7) == "a" * 7


def test_the_lines_of_a_long_secret_are_secrets_and_its_labels_are_not() -> None:
    key = "-----BEGIN KEY-----\nMIIEvgIBADANBgkqhk\n  G9w0BAQEFAASCBKgw  \nshort\n-----END KEY-----"
    redactor = knowing(KEY=key)
    assert redactor.text(f"it is {key}!") == "it is [secret:KEY]!"
    assert redactor.text("> MIIEvgIBADANBgkqhk") == "> [secret:KEY]"
    assert redactor.text("G9w0BAQEFAASCBKgw\r") == "[secret:KEY]\r"
    assert redactor.text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"
    assert redactor.text("short") == "short"


def test_a_value_that_came_out_of_a_url_or_of_json_is_also_known_as_what_it_means() -> None:
    redactor = knowing(PW="p%40ss%2Fword", QUOTED='pa\\"ss\\u0021word')
    assert redactor.text("login with p@ss/word") == "login with [secret:PW]"
    assert redactor.text("p%40ss%2Fword p%40ss%2fword") == "[secret:PW] [secret:PW]"
    assert redactor.text('login with pa"ss!word') == "login with [secret:QUOTED]"


def test_a_new_value_of_a_name_is_known_as_well_as_the_old() -> None:
    redactor = knowing(TOKEN="first-value")
    redactor.add("TOKEN", Secret("second-value"))
    assert redactor.text("first-value second-value") == "[secret:TOKEN] [secret:TOKEN]"


# -- what only looks like a secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("> authorization: Basic dTpw\r\n", "> authorization: Basic [redacted]\r\n"),
        ("Authorization: abc", "Authorization: [redacted]"),
        ('{"Authorization": "Bearer abc"}', '{"Authorization": "Bearer [redacted]"}'),
        ("sent Bearer 0123456789abcdef", "sent Bearer [redacted]"),
        ('{"token": "x"}', '{"token": "[redacted]"}'),
        ('{"access_token":"a\\"b","n":1}', '{"access_token":"[redacted]","n":1}'),
        ('{"text": "{\\"apiKey\\": \\"abc\\"}"}', '{"text": "{\\"apiKey\\": \\"[redacted]\\"}"}'),
        ("{'password': 'hunter2'}", "{'password': '[redacted]'}"),
        ("client_secret=abcdef&x=1", "client_secret=[redacted]&x=1"),
        ("GET /x?api_key=abcdef12 HTTP/1.1", "GET /x?api_key=[redacted] HTTP/1.1"),
        ("API_TOKEN=abcdef12 npx server", "API_TOKEN=[redacted] npx server"),
        ("secret: a1b2c3d4e5f6g7", "secret: [redacted]"),
        ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: [redacted]"),
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:[redacted]@db:5432/x"),
        ("using sk-0123456789abcdefghij now", "using [redacted] now"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted]"),
        ("key:AKIAIOSFODNN7EXAMPLE.", "key:[redacted]."),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln!", "[redacted]!"),
        ("bot 123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "bot [redacted]"),
        ("ya29.a0AfH6SMBabcdefghijklmnop", "[redacted]"),
        ("a -----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- b", "a [redacted] b"),
    ],
)
def test_what_looks_like_a_secret_is_redacted_though_nobody_knows_it(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Invalid token: expected a string",
        "the password must have 12 characters",
        '{"max_tokens": 4096, "tokens": "many", "tokenizer": "bpe"}',
        '{"nextPageToken": "abc", "progressToken": "1", "page_token": "x"}',
        '{"token": {"type": "string"}, "secret": null, "password": ""}',
        "monkey=business keyboard=us sort_key=name primary key: x1234567890123",
        "https://example.com:8080/path@x https://me@example.com/",
        "2026-11-20T12:00:00.123456Z ListToolsRequest mcp.server.lowlevel.server /usr/lib/python3.11/site-packages",
        "123e4567-e89b-12d3-a456-426614174000 sha256:0123456789abcdef0123456789abcdef",
        "task-management-of-a-long-name risk-0123456789-abcdefghij",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert knowing(**CANARIES).text(text) == text


# -- JSON


IN_JSON = {
    f"K{number}": value
    for number, value in enumerate(
        [
            "hunter2hunter2",
            "n1234567",
            "u0041bcd",
            "12345678",
            "true",
            "  1234567",
            "ü漢字abcdefg",
            "a'b'c$d%e",
            "s3cr3t",
        ]
    )
}
IN_JSON_KNOWN = knowing(**IN_JSON)
JSON_PIECES = st.sampled_from(
    [
        *IN_JSON.values(),
        *(
            "password: '",
            '"password":"x',
            "secret='",
            "token:",
            'token="',
            '"token":"abc"',
            "authorization: x",
            "cookie:",
        ),
        *("authorization:", "Cookie: a", "bearer 0123456789abcdef", "api_key=", "sk-0123456789abcdefghij", "u://u:p@h"),
        *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", '{"token": "abc", "x": "\\"}'),
        *("{", "}", "[", "]", ",", ":", '"', "\\", "\n", "'", "é"),
    ]
)
JSON_STRINGS = st.one_of(st.text(max_size=8), st.lists(JSON_PIECES, max_size=5).map("".join))
DOCUMENTS = st.recursive(
    st.one_of(
        JSON_STRINGS, st.none(), st.booleans(), st.integers(), st.sampled_from([12345678, -12345678, 1.12345678e5])
    ),
    lambda one: st.one_of(st.lists(one, max_size=4), st.dictionaries(JSON_STRINGS, one, max_size=4)),
    max_leaves=12,
).map(lambda one: [one])


def frame(text: bytes) -> object:
    """What is left of a document without its keys, strings and numbers. A key that comes twice counts twice."""

    def bare(one: object) -> object:
        return [bare(each) for each in one] if isinstance(one, list | tuple) else None

    return bare(json.loads(text, object_pairs_hook=lambda pairs: tuple(value for _, value in pairs)))


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_json_stays_the_same_json(document: object, ensure_ascii: bool, separators: tuple[str, str]) -> None:
    text = json.dumps(document, ensure_ascii=ensure_ascii, separators=separators).encode(errors="surrogatepass")
    for redact in (IN_JSON_KNOWN.data, IN_JSON_KNOWN.known, Redactor().data):
        assert frame(redact(text)) == frame(text)
    shown = json.dumps(json.loads(IN_JSON_KNOWN.data(text)), ensure_ascii=False)
    assert "hunter2hunter2" not in shown
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a":"token=\'","b":"x\'y"}', '{"a":"token=\'","b":"x\'y"}'),
        ('{"a":"token:","b":"c"}', '{"a":"token:","b":"c"}'),
        ('{"a":"password:\\"x","b":"\\"c"}', '{"a":"password:\\"[redacted]","b":"\\"c"}'),
        ('{"a":"password: \'abc","b":1}', '{"a":"password: \'[redacted]","b":1}'),
        ('{"authorization":12345678,"token":null}', '{"authorization":"[secret:A]","token":null}'),
        ('{"authorization":null,"cookie":[1,2]}', '{"authorization":null,"cookie":[1,2]}'),
        ('{"a":"\\n1234567x"}', '{"a":"[secret:B]x"}'),
        ('{"a":"\\\\n1234567x"}', '{"a":"\\\\[secret:B]x"}'),
    ],
)
def test_nothing_is_replaced_across_the_end_of_a_string_of_json(text: str, shown: str) -> None:
    assert knowing(A="12345678", B="n1234567").text(text) == shown
    json.loads(shown)


def test_the_strings_of_a_value_are_redacted_and_its_keys_and_numbers_stay() -> None:
    redactor = knowing(TOKEN="hunter2hunter2")
    value = {"hunter2hunter2": ["a hunter2hunter2", 1.5, None, True, {"x": ("password=hunter3",)}], "n": 12}
    assert redactor.strings(value) == {
        "hunter2hunter2": ["a [secret:TOKEN]", 1.5, None, True, {"x": ["password=[redacted]"]}],
        "n": 12,
    }


def test_a_value_that_is_nested_without_an_end_is_cut() -> None:
    endless: list[object] = ["hunter2hunter2"]
    endless.append(endless)
    assert "hunter2" not in json.dumps(knowing(TOKEN="hunter2hunter2").strings(endless))


# -- speed


ORDINARY = {
    "a log": "2026-11-20 12:00:01,123 INFO mcp.server.lowlevel.server: Processing request of type ListToolsRequest ",
    "JSON": '{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"git__log","arguments":{"n":10}}} ',
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_a_line_of_4_kib_is_searched_for_200_secrets_in_microseconds(redactor: Redactor, kind: str) -> None:
    line = (ORDINARY[kind] * 50)[:4096]

    def seconds() -> float:
        begun = time.perf_counter()
        for _ in range(20):
            redactor.text(line)
        return (time.perf_counter() - begun) / 20

    assert redactor.text(line) is line
    assert min(seconds() for _ in range(20)) < 250e-6  # measured 52 µs; one alternation of all forms takes 5,000


@pytest.mark.parametrize(
    "piece",
    [
        *("token=", "token:", "token='", '"token": "', 'token="\\', "authorization: ", "bearer ", "key:", "pass  "),
        *("a", "://:@", "eyJ-", "SG.", "-----BEGIN PRIVATE KEY-----", "\\", "hunter2hunter2"),
    ],
)
def test_a_long_hostile_line_is_searched_in_linear_time(piece: str) -> None:
    redactor = knowing(A="aaaaaaaa", B="token=token=", C="hunter2hunter2")
    begun = time.process_time()
    redactor.text(piece * (100_000 // len(piece)))
    assert time.process_time() - begun < 3 * slowness()  # measured 0.5 s and less; a quadratic search takes ten


def test_a_new_value_is_known_in_milliseconds() -> None:
    begun = time.process_time()
    knowing(**{f"T{number}": LETTERS[number % 30 :] + str(number) for number in range(50)})
    assert (time.process_time() - begun) / 50 < 0.01 * slowness()


@pytest.mark.parametrize(
    "value",
    [
        "x\"'\\" * 16_384,
        "abcdefghijkl\n" * 5_000,
        "\n".join(f"{number:05}'\"abcdef" for number in range(4_600)),
        "x\"'\\<é" * 9_000,
    ],
)
def test_a_long_value_is_known_soon_in_few_forms_and_with_its_lines(value: str) -> None:
    begun = time.process_time()
    redactor = knowing(LONG=value)
    assert time.process_time() - begun < 0.1 * slowness()  # measured 0.03; all its forms take seconds
    for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], value.splitlines()[0]):
        assert redactor.text(f"x {written} y") == "x [secret:LONG] y"
