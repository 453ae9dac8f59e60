"""One client, well-behaved or not: its opening, the order of what it hears, and exactly one answer to everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Start
from tests.house import House, raw


@pytest.fixture
def house(start: Start) -> House:
    house = start({"a": raw()})
    house.tools_with("a__echo")
    return house


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_version_of_the_handshake_era_is_answered_with_itself_and_asked_of_the_servers(
    start: Start, version: str
) -> None:
    house = start({"a": raw()}, opened=False)
    opened = house.open(version)["result"]
    assert opened["protocolVersion"] == version
    assert opened["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
    assert opened["serverInfo"]["name"] == "roundhouse"
    assert "search_tools" in opened["instructions"]
    house.tools_with("a__echo")
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    assert heard[0]["params"]["protocolVersion"] == version


@pytest.mark.parametrize("asked", ["1999-01-01", "2026-07-28", 7, None])
def test_a_version_we_do_not_speak_is_answered_with_our_latest(start: Start, asked: Any) -> None:
    house = start({}, opened=False)
    answer = house.request("initialize", {"protocolVersion": asked, "capabilities": {}, "clientInfo": {}})
    assert answer["result"]["protocolVersion"] == "2025-11-25"


def test_a_server_of_an_older_version_is_as_good(start: Start) -> None:
    house = start({"a": raw("--version", "2024-11-05")}, opened=False)
    house.open("2025-11-25")
    house.tools_with("a__echo")
    assert house.call("a__echo", {"x": 1})["result"]["content"][0]["text"] == '{"x": 1}'


def test_a_client_of_the_other_era_is_told_how_to_open(start: Start) -> None:
    house = start({"a": raw()}, opened=False)
    error = house.request("server/discover", {"_meta": {}})["error"]
    assert error["code"] == -32601
    assert "2025-11-25" in error["data"]["supported"]
    house.open()
    house.tools_with("a__echo")


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "logging/setLevel"])
def test_a_request_before_initialize_is_refused_and_the_connection_lives(start: Start, method: str) -> None:
    house = start({"a": raw()}, opened=False)
    early = house.request(method, {"name": "a__echo"})["error"]
    assert "initialize" in early["message"]
    assert house.request("ping")["result"] == {}
    house.open()
    house.tools_with("a__echo")


def test_a_second_initialize_is_refused(house: House) -> None:
    assert "already" in house.request("initialize", {"protocolVersion": "2025-06-18"})["error"]["message"]
    assert house.call("a__echo")["result"]


def test_nothing_comes_before_the_answer_to_initialize(start: Start) -> None:
    house = start({"a": raw("--leave", "child")}, opened=False)
    house.open()
    house.tools_with("a__echo")
    assert "protocolVersion" in house.messages[0]["result"]


def test_a_client_that_never_confirms_is_served_all_the_same(start: Start) -> None:
    house = start({"a": raw()}, opened=False)
    house.request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {}})
    house.tools_with("a__echo")
    house.ask_tool("a__ask", {"method": "roots/list"})
    assert house.wait(lambda m: m.get("method") == "roots/list")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"hello\n", -32700),
        (b'{"jsonrpc":"2.0","id":1,\n', -32700),
        (b"\xff\xfe\x00\n", -32700),
        (b'"a string"\n', -32700),
        (b"7\n", -32700),
        (b"[]\n", -32600),
        (b"{}\n", -32700),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}\n', -32600),
        (b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}\n', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}\n', -32600),
        (b'{"x":' + b"[" * 300 + b"]" * 300 + b"}\n", -32700),
    ],
)
def test_garbage_is_answered_once_without_an_id_and_harms_nothing(house: House, line: bytes, number: int) -> None:
    house.send_bytes(line)
    answer = house.answer(None)
    assert answer["error"]["code"] == number
    assert answer["error"]["data"]["code"] == "RH_BAD_MESSAGE"
    assert house.call("a__echo")["result"]
    assert len(house.answers(None)) == 1


@pytest.mark.parametrize(
    "line", [b"\n", b"  \r\n", b'{"jsonrpc":"2.0","method":"notifications/unheard_of","params":[1]}\n']
)
def test_what_needs_no_answer_gets_none(house: House, line: bytes) -> None:
    before = len(house.messages)
    house.send_bytes(line)
    house.call("a__echo")
    assert len(house.messages) == before + 1


def test_a_method_nobody_knows_is_an_error_that_names_those_we_know(house: House) -> None:
    error = house.request("resources/list")["error"]
    assert error["code"] == -32601
    assert "tools/call" in error["message"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ([1, 2], "params"),
        (None, "`params.name` is missing"),
        ({"name": 7}, "`params.name` is missing"),
        ({"name": ""}, "no tool named"),
        ({"name": "a__nope", "arguments": {}}, "no tool named"),
        ({"name": "x" * 100_000}, "no tool named"),
    ],
)
def test_a_call_that_makes_no_sense_is_invalid_and_says_why(house: House, params: Any, said: str) -> None:
    key = house.ask("tools/call", params)
    error = house.answer(key)["error"]
    assert error["code"] == -32602
    assert said in error["message"]
    assert len(error["message"]) < 2_000


def test_a_list_has_one_page(house: House) -> None:
    assert house.request("tools/list", {"cursor": "2"})["error"]["code"] == -32602
    assert house.request("tools/list", {"cursor": None})["result"]["tools"]


def test_a_frame_above_the_limit_is_answered_with_its_id_and_harms_nothing(house: House) -> None:
    house.ask_tool("a__sleep", {"seconds": 0.1})
    key = house.ask_tool("a__echo", {"blob": "x" * (9 << 20)})
    error = house.answer(key)["error"]
    assert error["data"]["code"] == "RH_MESSAGE_TOO_LARGE"
    assert house.call("a__echo")["result"]
    assert len(house.answers(key)) == 1


def test_a_request_that_cannot_be_read_is_answered_with_its_id_where_it_can_be_found(house: House) -> None:
    house.send_bytes(b'{"jsonrpc":"2.0","id":"here","method":"tools/call","params":{"name":"caf\xe9"}}\n')
    assert house.answer("here")["error"]["code"] == -32700


def test_a_batch_is_answered_message_by_message(house: House) -> None:
    call = {"jsonrpc": "2.0", "id": 901, "method": "tools/call", "params": {"name": "a__echo", "arguments": {}}}
    house.send_bytes(json.dumps([call, {"jsonrpc": "2.0", "id": 902, "method": "ping"}, 7]).encode() + b"\n")
    assert house.answer(901)["result"]
    assert house.answer(902)["result"] == {}
    assert house.answer(None)["error"]["code"] == -32700


def test_an_answer_to_nothing_is_ignored(house: House) -> None:
    house.send({"id": "rh-77", "result": {}})
    house.send({"id": 5, "error": {"code": 1, "message": "x"}})
    assert house.call("a__echo")["result"]


def test_many_requests_in_one_write_and_one_request_in_many(house: House) -> None:
    calls = [
        json.dumps({"jsonrpc": "2.0", "id": f"w{n}", "method": "tools/call", "params": {"name": "a__echo"}}).encode()
        for n in range(50)
    ]
    house.send_bytes(b"\n".join(calls[:-1]) + b"\n" + calls[-1][:10])
    for at in range(10, len(calls[-1])):
        house.send_bytes(calls[-1][at : at + 1])
    house.send_bytes(b"\n")
    for n in range(50):
        assert house.answer(f"w{n}")["result"]
