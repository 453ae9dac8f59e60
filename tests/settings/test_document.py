"""A JSON document that cannot be read says where, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roundhouse.errors import BadConfiguration
from roundhouse.settings.document import LONGEST_FILE
from roundhouse.settings.file import load_servers
from tests.settings.files import RESERVED, File, with_timeout

# -- a file that cannot be read


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"There is no file .*nowhere\.json\. Create it, or correct --config\."):
        load_servers(tmp_path / "nowhere.json", RESERVED)


def test_a_folder_in_place_of_the_file_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="cannot be read: Is a directory"):
        load_servers(tmp_path, RESERVED)


def test_the_home_of_nobody_is_bad_configuration() -> None:
    with pytest.raises(BadConfiguration):
        load_servers(Path("~nobody-of-this-name/servers.json"), RESERVED)


def test_a_file_beyond_what_people_write_is_refused_with_its_size(file: File) -> None:
    content = b'{"mcpServers":{}}'
    assert file.load(content.ljust(LONGEST_FILE)) == []
    assert f"larger than {LONGEST_FILE:,} bytes" in file.refusal(content.ljust(LONGEST_FILE + 1))


# -- a file that is no JSON


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        ("", 1, 1),
        ("\n", 2, 1),
        (" \n\t", 2, 2),
        ("{", 1, 2),
        ("{\n", 2, 1),
        ("hello", 1, 1),
        ('{"mcpServers": {}} x', 1, 20),
        ('{"mcpServers":\n  {"a" {}}}', 2, 8),
        ('{"mcpServers": {\n  "a": {"command": "x"}\n', 3, 1),
        ("{'mcpServers': {}}", 1, 2),
        ('{"a":\r\n\r\n  oops}', 3, 3),
        ('{"a": "line\nbreak"}', 1, 12),
        ('{"a": "\u2028\x85", oops}', 1, 13),
        ('\ufeff{"a": oops}', 1, 7),
    ],
)
def test_what_is_no_json_is_named_with_line_and_column(file: File, content: str, line: int, column: int) -> None:
    assert f", line {line}, column {column}: no JSON: " in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        '{\n  "mcpServers": {} // all of them\n}',
        '{\n  // all of them\n  "mcpServers": {}\n}',
        '{\n  /* all of them */\n  "mcpServers": {}\n}',
        '// first\n{"mcpServers": {}}',
        '# first\n{"mcpServers": {}}',
        '{"mcpServers": {}}\n// last',
    ],
)
def test_a_comment_is_called_a_comment(file: File, content: str) -> None:
    assert "JSON has no comments" in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        '{"mcpServers": {"a": {"command": "x", "args": ["https://example.org"] "env": {}}}}',
        '{"mcpServers": {"a": {"command": "x", "args": ["https://example.org", ]}}}',
    ],
)
def test_an_address_is_not_taken_for_a_comment(file: File, content: str) -> None:
    assert "comments" not in file.refusal(content)


@pytest.mark.parametrize(
    "content",
    ['{"mcpServers": {},}', '{"mcpServers": {\n  "a": {},\n\n}}', '{"a": [1,]}', '{"a": ["x",\r\n]}', '{"a": [1, ]}'],
)
def test_a_comma_too_much_is_called_so(file: File, content: str) -> None:
    assert re.search("Remove the comma before it|[Ii]llegal trailing comma", file.refusal(content))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_only_looks_like_a_number_of_json_is_refused(file: File, number: str) -> None:
    assert f"{number} is no JSON value" in file.refusal(with_timeout(number))


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_nesting_without_end_is_refused(file: File, content: str) -> None:
    assert "nested too deep" in file.refusal(content)


@pytest.mark.parametrize("length", [30, 4_000, 10_000])
def test_a_number_of_any_length_is_a_problem_of_its_server(file: File, length: int) -> None:
    (spec,) = file.load(with_timeout("9" * length))
    (problem,) = spec.problems
    assert "expected seconds" in problem


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
def test_a_byte_that_is_not_utf_8_is_named_with_its_line(file: File, mark: bytes) -> None:
    said = file.refusal(mark + b'{"mcpServers":\n{"caf\xe9": {}}}')
    assert said == f"{file.path}, line 2: byte 0xe9 is not UTF-8."
    assert "line 1: byte 0xe9" in file.refusal(mark + b'"\xe9\n"')


def test_a_file_in_utf_16_is_not_utf_8(file: File) -> None:
    assert "line 1: byte 0xff is not UTF-8" in file.refusal('{"mcpServers":{}}'.encode("utf-16"))
