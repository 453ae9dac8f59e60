"""What can still be said of a message that cannot be parsed: never more than it says plainly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundhouse.wire.framing import TAIL
from roundhouse.wire.salvage import answers, asks, find_id
from tests.wire.test_envelope import MEMBERS, an_object

IDS = [b"0", b"7", b"-1", b"123456789012345678901", b'"rh-7"', b'""', rb'"a\"b\\"', '"é"'.encode(), b'"id"']


def find(line: bytes) -> bytes | None:
    return find_id(line[:4096], line[-TAIL:])


@pytest.mark.parametrize("key", IDS)
@pytest.mark.parametrize(
    "form",
    [
        b'{"jsonrpc":"2.0","id":%b,"result":{"x":"\xff"}}',
        b'{"jsonrpc": "2.0", "id": %b, "result": {}}',
        b' { "jsonrpc" : "2.0" , "id" : %b , "error" : {} }',
        b'{"id":%b,"jsonrpc":"2.0","result":',
        b'{"id":%b,"result":{},"jsonrpc":"2.0"}',
        b'50%%{"jsonrpc":"2.0","id":%b,"result":{}}',
        b'{"result":{"x":"\xff"},"jsonrpc":"2.0","id":%b}',
        b'{"result":{"content":[]},"id":%b,"jsonrpc":"2.0"}\r',
        b'{"result": [], "jsonrpc": "2.0", "id": %b}',
    ],
)
def test_an_id_is_found_where_servers_put_it(form: bytes, key: bytes) -> None:
    assert find(form % key) == key


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"{",
        b'{"jsonrpc":"2.0","id":null,"error":{}}',
        b'{"jsonrpc":"2.0","id":1.5,"result":{}}',
        b'{"jsonrpc":"2.0","id":"open',
        b'{"jsonrpc":"2.0","id":12',
        b'{"jsonrpc":"2.0","method":"x","params":{"a":1}}',
        rb'{"result":{"text":"{\"jsonrpc\":\"2.0\",\"id\":5,\"x\":1}"',
        rb'{"result":{"text":"{\"id\":5,\"x\":1},\"jsonrpc\":\"2.0\",\"id\":5}"',
        b'{"result":{"x":[1],"jsonrpc":"2.0","id":5}}',
    ],
)
def test_no_id_is_found_where_there_is_none(line: bytes) -> None:
    assert find(line) is None


@pytest.mark.parametrize(
    "inner", [b'{"id":5,"name":"x"}', b'[{"jsonrpc":"2.0","id":5,"result":1}]', b'{"x":{"id":5,"y":1}}']
)
@pytest.mark.parametrize("size", [0, 10_000])
def test_an_id_inside_the_result_is_not_taken_for_the_id_of_the_answer(inner: bytes, size: int) -> None:
    payload = b'{"result":{"structuredContent":%b,"text":"%b\xff"},"jsonrpc":"2.0","id":3}' % (inner, b"y" * size)
    assert find(payload) == b"3"
    assert find_id(payload[:4096], b"") is None  # what is known when an overlong line crosses the limit


@pytest.mark.parametrize("form", [b'{"jsonrpc":"2.0","id":%d,"result":%b}', b'{"result":%b,"jsonrpc":"2.0","id":%d}'])
@settings(deadline=None)
@given(MEMBERS, st.integers(100, 199), st.integers(0, 200))
def test_a_cut_message_never_gives_an_id_that_is_not_its_own(
    form: bytes, sent: list[tuple[bytes, bytes, bytes]], key: int, cut: int
) -> None:
    result = an_object([(b'"id"', b"5", b""), *sent])
    line = form % ((key, result) if form.endswith(b"%b}") else (result, key))
    assert find(line[: len(line) - cut % len(line)]) in (b"%d" % key, None)


@pytest.mark.parametrize(
    "head", [b'{"id":' * 700, b"{" + b" " * 4000, b'{"id":"' + b"\\\\" * 2000, b'{"jsonrpc":"2.0",' * 240]
)
def test_looking_for_an_id_is_quick_in_a_head_made_to_be_slow(head: bytes) -> None:
    for _ in range(100):
        assert find_id(head, head[-TAIL:]) is None


# -- what a message that cannot be parsed is


@pytest.mark.parametrize(
    "begin", [b'"method":"x"', b'"jsonrpc":"2.0","method":"x"', b'"jsonrpc":"2.0","id":1,"method":"x"']
)
def test_a_message_that_begins_with_a_method_asks(begin: bytes) -> None:
    head = b"{" + begin + b',"params":{"error":{"result":{"error":1}},"list":[{"result":1}]},"x":"\xff'
    assert asks(head)
    assert not answers(head)


@pytest.mark.parametrize("begin", [b'"result":{', b'"jsonrpc":"2.0","result":{', b'"error":{'])
def test_a_message_that_begins_with_a_result_answers(begin: bytes) -> None:
    head = b"{" + begin + b'"method":1,"inner":{"method":"x"},"list":[{"jsonrpc":"2.0","id":1,"method":"x"}],"x":"\xff'
    assert answers(head)
    assert not asks(head)
