"""What one client, server or file does must not reach the others: each of these once did."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.home import Home
from tests.house import House as Client
from tests.house import raw, until


def answered_in_time(client: Client, within: float = 2.0) -> None:
    """The house answers this client at once."""
    begun = time.monotonic()
    assert client.request("ping", within=within + 1)["result"] == {}
    assert time.monotonic() - begun < within


@pytest.mark.parametrize(
    "capabilities",
    [
        b'{"experimental":{"a":' + b"9" * 5_000 + b"}}",
        b'{"experimental":' + b"[" * 150 + b"]" * 150 + b"}",
        b"7",
        b"null",
    ],
)
def test_a_client_that_says_odd_things_of_itself_ends_nobody(at_home: Home, capabilities: bytes) -> None:
    other = at_home.front()
    odd = at_home.front(opened=False)
    opening = (
        b'{"jsonrpc":"2.0","id":"o","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":%b}}'
    )
    odd.send_bytes(opening % capabilities + b"\n")
    assert odd.answer("o")["result"]["serverInfo"]["name"] == "roundhouse"
    assert odd.tools()
    house = at_home.pid()
    odd.hang_up()
    assert until(lambda: len(at_home.ask("status")["clients"]) == 1)
    answered_in_time(other)
    assert at_home.pid() == house


@pytest.mark.parametrize("said", ["connecting with password: '", '"password":"x', "secret='", '{"token": "'])
def test_whatever_a_server_says_last_its_callers_get_a_whole_answer(at_home: Home, said: str) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo")
    client.call("a__stderr", {"line": said, "lines": 1})
    refused = client.call("a__die")["error"]  # the harness parses every line, as clients do
    assert refused["data"]["code"] == "RH_SERVER_UNAVAILABLE"
    assert refused["data"]["stderr"]
    assert client.call(said)["error"]["data"]["code"] == "RH_NOT_FOUND"
    assert client.call(f"a__{said}")["error"]["data"]["code"] in ("RH_NOT_FOUND", "RH_SERVER_UNAVAILABLE")


def test_words_of_ours_are_no_secrets(at_home: Home) -> None:
    client = at_home.front()
    for number, word in enumerate(("code", "-32602", ',"data":{', "RH_NOT_FOUND", "approve", "server")):
        client.call("add_server", {"name": f"w{number}", "command": "true", "env": {"MY_TOKEN": word}})
    refused = client.call("no_such_tool")["error"]
    assert (refused["code"], refused["data"]["code"]) == (-32602, "RH_NOT_FOUND")
    assert "There is no tool named" in refused["message"]


def test_an_operation_that_is_cancelled_is_done_or_not_done(at_home: Home) -> None:
    client = at_home.front()
    for number in range(30):
        key = client.ask_tool("add_server", {"name": f"s{number}", "command": "true"})
        client.notify("notifications/cancelled", {"requestId": key})
    client.manage("list_servers")
    listed = {server["name"] for server in client.manage("list_servers")["servers"]}
    waiting = {one["server"] for one in client.manage("list_approvals")["approvals"]}
    assert listed == waiting
    at_home.down()
    again = at_home.front()
    assert {server["name"] for server in again.manage("list_servers")["servers"]} == listed


def test_a_proposal_nobody_could_read_leaves_nothing(at_home: Home) -> None:
    client = at_home.front()
    refused = client.call("add_server", {"name": "large", "command": "true", "args": ["x" * 100_000]})["result"]
    assert refused["isError"]
    assert client.manage("list_servers")["servers"] == []
    assert client.manage("add_server", name="large", command="true")["approval"] == "pending"


def test_a_model_that_proposes_without_end_is_stopped_and_stops_no_person(at_home: Home) -> None:
    client = at_home.front()
    answers = [client.call("add_server", {"name": f"s{n}", "command": "true"})["result"] for n in range(102)]
    refused = [answer for answer in answers if answer.get("isError")]
    assert len(refused) == 2
    assert "RH_TOO_MANY_PENDING" in refused[0]["content"][0]["text"]
    at_home.add("mine", raw())
    assert client.call("mine__echo")["result"]


def test_a_file_that_never_ends_costs_nobody_else_a_thread(at_home: Home, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    client, other = at_home.front(), at_home.front()
    keys = [client.ask_tool("import_servers", {"source": str(source)}) for source in [pipe, "/dev/zero", tmp_path] * 15]
    for key in keys:
        assert client.answer(key)["result"]["isError"]
    assert other.call("search_tools", {"query": "x"})["result"]


def test_a_client_that_does_not_read_delays_no_other_client_of_its_server(at_home: Home) -> None:
    at_home.add("a", raw())
    slow, other = at_home.front(), at_home.front()
    slow.call("a__echo"), other.call("a__echo")
    with slow.not_reading():
        for _ in range(6):
            slow.ask_tool("a__big", {"bytes": 1_500_000})
        begun = time.monotonic()
        for number in range(20):
            assert other.call("a__echo", {"n": number}, within=10)["result"]
        assert time.monotonic() - begun < 8
    assert slow.call("a__echo")["result"]


def test_a_client_that_never_reads_is_given_up_and_the_house_stays_small(at_home: Home) -> None:
    at_home.add("a", raw())
    slow, other = at_home.front(), at_home.front()
    slow.call("a__echo"), other.call("a__echo")
    slow.process.send_signal(19)  # SIGSTOP: as Ctrl-Z does
    for _ in range(12):
        slow.ask_tool("a__big", {"bytes": 4_000_000}) if slow.process.poll() is None else None
    answered_in_time(other)
    assert other.call("a__echo")["result"]
    slow.process.send_signal(18)


def test_one_home_has_one_house_whatever_the_runtime_folder(at_home: Home, tmp_path: Path) -> None:
    at_home.front().tools()
    house = at_home.pid()
    usual = at_home.env["XDG_RUNTIME_DIR"]
    elsewhere = Path(usual) / "o"
    elsewhere.mkdir(mode=0o700)
    at_home.env["XDG_RUNTIME_DIR"] = str(elsewhere)
    try:
        other = at_home.front(opened=False)
        info = {"name": "x", "version": "1"}
        other.send({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "clientInfo": info}})
        refused = other.answer(1, within=60)["error"]
        assert "Another house has this home" in refused["message"]
    finally:
        at_home.env["XDG_RUNTIME_DIR"] = usual
    assert at_home.pid() == house


def test_a_rename_takes_no_other_tools_name(at_home: Home) -> None:
    at_home.add("a", raw())
    at_home.ask("configure", "a", 'rename={"die":"echo"}', "--yes")
    client = at_home.front()
    assert client.call("a__echo", {"x": 1})["result"]["_meta"]["params"]["name"] == "echo"
    client.manage("configure_server", name="a", changes={"deny": ["echo"]})
    refused = client.call("a__echo", {"x": 1})
    assert refused["error"]["data"]["code"] == "RH_NOT_FOUND"
    (notes,) = [server["notes"] for server in client.manage("list_servers")["servers"]]
    assert "another tool's own name" in " ".join(notes)


def test_a_store_of_a_newer_version_is_said_and_left_alone(at_home: Home) -> None:
    import sqlite3

    at_home.front().tools()
    at_home.down()
    with sqlite3.connect(at_home.path / "roundhouse.db") as facts:
        facts.execute("PRAGMA user_version = 999")
    client = at_home.front(opened=False)
    client.send({"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}})
    refused = client.answer(1, within=60)["error"]
    assert "newer Roundhouse" in refused["message"]
    assert "Traceback" not in at_home.log()
    assert json.dumps(refused)
