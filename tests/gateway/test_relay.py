"""What a call and its answer look like after passing through: the same bytes, but for names, ids and tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Start
from tests.house import House, raw

# Results as bytes that a parser and printer would not give back: exponents, big numbers, escapes, order, null, spaces.
RESULTS = [
    rb'{"content":[{"type":"text","text":"\u00e9\/\ud83d\ude00"}],"n":1.10,"e":1E+2,"big":123456789012345678901234567890}',
    rb'{ "content" : [ ] , "z" : 1 , "a" : null , "_meta" : { "b" : null , "a" : [ 1.0 , -0 ] } }',
    '{"content":[{"type":"hologram","depth":3,"text":"日本語 \u2028"}],"unknown":{"kept":true}}'.encode(),
    rb'{"content":[{"type":"text","text":"half a pair: \ud83d"}],"isError":true}',
    rb'{"content":[],"structuredContent":{"":{"":""}},"resultType":"complete","result":{"id":7,"result":1}}',
    rb"[]",
    rb"null",
    rb'"just text"',
]


@pytest.fixture
def house(start: Start) -> House:
    house = start({"a": raw()})
    house.tools_with("a__echo")
    return house


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize(
    "form", [b'{"jsonrpc":"2.0","id":@ID@,"result":%b}', b'{"result":%b,"jsonrpc":"2.0","id":@ID@}']
)
def test_a_result_arrives_byte_for_byte(house: House, result: bytes, form: bytes) -> None:
    answer = house.call("a__raw", {"hex": (form % result).hex()})
    assert answer.raw == b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (answer["id"], result)


def test_an_error_arrives_byte_for_byte_with_its_code_and_data(house: House) -> None:
    error = rb'{"code":-32042,"message":"caf\u00e9","data":{"z":1.0,"a":[null]},"more":1}'
    answer = house.call("a__raw", {"hex": (b'{"jsonrpc":"2.0","id":@ID@,"error":%b}' % error).hex()})
    assert answer.raw == b'{"jsonrpc":"2.0","id":%d,"error":%b}\n' % (answer["id"], error)


def test_members_of_the_envelope_that_nobody_knows_are_kept_both_ways(house: House) -> None:
    line = b'{"jsonrpc":"2.0","trace":{"x":1.0},"id":@ID@,"result":{}}'
    key = house.ask("tools/call", {"name": "a__raw", "arguments": {"hex": line.hex()}}, traceparent="00-1")
    assert house.answer(key)["trace"] == {"x": 1.0}
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    assert next(m for m in heard if m.get("params", {}).get("name") == "raw")["traceparent"] == "00-1"


def test_half_a_surrogate_pair_passes_wherever_it_stands(house: House) -> None:
    house.send_bytes(
        rb'{"jsonrpc":"2.0","id":"one","method":"tools/call","\ud83d":1,"params":{"name":"a__echo","\ud83d":"\ude00"}}'
        + b"\n"
    )
    assert house.answer("one")["result"]["_meta"]["params"] == {"name": "echo", "\ud83d": "\ude00"}
    line = rb'{"jsonrpc":"2.0","\ud83d":[1.10],"id":@ID@,"result":{"\udc00":"\ud83d"}}'
    answer = house.call("a__raw", {"hex": line.hex()})
    assert answer["\ud83d"] == [1.1]
    assert answer["result"] == {"\udc00": "\ud83d"}
    house.call("a__add", {"name": "half-\ud83d"})
    assert any(
        name.startswith("a__half-_") for name in house.tools_until(lambda tools: any("half" in t for t in tools))
    )


def test_parameters_arrive_as_they_were_sent_but_for_the_name(house: House) -> None:
    arguments = rb'{"b":1.10,"a":"\u00e9\/","z":null}'
    params = rb'{"_meta":{"x":null,"y":1.10},"extra":[1E2],"name":"a__echo","arguments":%b,"t":0}' % arguments
    house.send_bytes(b'{"params":%b,"method":"tools/call","id":"one","jsonrpc":"2.0"}\r\n' % params)
    answer = house.answer("one")
    assert answer["result"]["_meta"]["params"] == {**json.loads(params), "name": "echo"}


@pytest.mark.parametrize("key", ["text", "", 0, -5, 2**70, 'quote" and \\ and é', "7"])
def test_a_client_gets_its_own_id_back_whatever_it_is(house: House, key: Any) -> None:
    house.send({"id": key, "method": "tools/call", "params": {"name": "a__echo", "arguments": {}}})
    assert house.answer(key)["result"]["content"][0]["text"] == "{}"


@pytest.mark.parametrize("token", ["text", 7, 2**60, 'q"é'])
def test_progress_comes_before_the_answer_under_the_clients_own_token(house: House, token: Any) -> None:
    other = house.ask_tool("a__sleep", {"seconds": 0.2}, _meta={"progressToken": "other"})
    key = house.ask_tool("a__progress", {"steps": 5}, _meta={"progressToken": token, "x": 1})
    house.answer(key)
    house.answer(other)
    steps = [m for m in house.messages if m.get("method") == "notifications/progress"]
    assert [m["params"] for m in steps] == [
        {"progressToken": token, "progress": n, "message": f"step {n}", "x-more": 1} for n in range(5)
    ]
    assert max(house.messages.index(step) for step in steps) < house.messages.index(house.answer(key))


def test_a_thousand_calls_at_once_each_get_their_own_answer(start: Start) -> None:
    house = start({"a": raw(), "b": raw()})
    house.tools_with("a__echo")
    house.tools_with("b__echo")
    keys = {house.ask_tool(f"{'ab'[n % 2]}__echo", {"n": n}): n for n in range(1000)}
    for key, n in keys.items():
        assert house.answer(key)["result"]["content"][0]["text"] == json.dumps({"n": n})
        assert len(house.answers(key)) == 1


@pytest.mark.parametrize("size", [100_000, 1_000_000, 7_000_000])
def test_large_arguments_and_results_pass_whole(house: House, size: int) -> None:
    blob = "x" * size
    answer = house.call("a__echo", {"blob": blob}) if size < 4_000_000 else house.call("a__big", {"bytes": size})
    text = answer["result"]["content"][0]["text"]
    assert (json.loads(text)["blob"] if size < 4_000_000 else text) == blob


def test_call_tool_is_the_same_relay(house: House) -> None:
    line = b'{"jsonrpc":"2.0","id":@ID@,"result":{"content":[],"n":1.10}}'
    answer = house.call("call_tool", {"name": "a__raw", "arguments": {"hex": line.hex()}})
    assert answer.raw == b'{"jsonrpc":"2.0","id":%d,"result":{"content":[],"n":1.10}}\n' % answer["id"]
    key = house.ask_tool("call_tool", {"name": "a__progress", "arguments": {}}, _meta={"progressToken": "t"})
    assert house.answer(key)["result"]
    assert sum(m.get("method") == "notifications/progress" for m in house.messages) == 3
    bare = house.call("call_tool", {"name": "a__echo"})
    assert bare["result"]["_meta"]["params"] == {"name": "echo"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "`name` is missing"),
        ({"name": 7}, "`name` is missing"),
        ({"name": "a__echo", "args": {}}, "'args'"),
        ({"name": "a__ecoh"}, "did you mean 'a__echo'"),
        ({"name": "echo"}, "Its full name may be 'a__echo'"),
        ({"name": "nobody__echo"}, "no tool named"),
    ],
)
def test_call_tool_says_what_is_wrong_with_its_arguments(house: House, arguments: Any, said: str) -> None:
    error = house.call("call_tool", arguments)["error"]
    assert error["code"] == -32602
    assert said in error["message"]


def test_a_cancelled_call_is_cancelled_downstream_under_its_own_id(house: House) -> None:
    key = house.ask_tool("a__nothing")
    house.notify("notifications/cancelled", {"requestId": key, "reason": "enough", "x": 1})
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    called = next(m for m in heard if m.get("params", {}).get("name") == "nothing")
    cancelled = [m["params"] for m in heard if m.get("method") == "notifications/cancelled"]
    assert cancelled == [{"requestId": called["id"], "reason": "enough", "x": 1}]
    assert house.answers(key) == []


def test_a_cancellation_of_nothing_reaches_nobody(house: House) -> None:
    done = house.call("a__echo")["id"]
    for key in (done, 12345, "x", None, {"a": 1}):
        house.notify("notifications/cancelled", {"requestId": key})
    house.notify("notifications/cancelled")
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    assert not any(m.get("method") == "notifications/cancelled" for m in heard)


def test_a_tool_that_vanished_is_said_to_be_unknown_and_the_list_is_told(house: House) -> None:
    house.call("a__remove", {"name": "log"})
    tools = house.tools_until(lambda tools: "a__log" not in tools)
    assert "a__echo" in tools
    error = house.call("a__log")["error"]
    assert error["code"] == -32602
    assert "no tool named 'a__log'" in error["message"]
    house.call("a__add", {"name": "brand_new"})
    house.tools_with("a__brand_new")


def test_tool_definitions_are_the_servers_but_for_the_name(house: House) -> None:
    tools = {tool["name"]: tool for tool in house.request("tools/list")["result"]["tools"]}
    assert tools["a__echo"] == {
        "name": "a__echo",
        "description": "does echo",
        "inputSchema": {"type": "object"},
        "x-new": {"y": None},
    }


# -- what servers ask and say


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list", "future/unknown"])
def test_a_servers_request_reaches_the_client_and_its_answer_the_server(house: House, method: str) -> None:
    key = house.ask_tool("a__ask", {"method": method, "params": {"n": 1.5, "_meta": {"progressToken": "p"}}})
    asked = house.wait(lambda m: m.get("method") == method)
    assert asked["params"]["n"] == 1.5
    assert str(asked["id"]).startswith("rh-")
    token = asked["params"]["_meta"]["progressToken"]
    house.notify("notifications/progress", {"progressToken": token, "progress": 1})
    house.send({"id": asked["id"], "result": {"answer": [1, None]}})
    assert json.loads(house.answer(key)["result"]["content"][0]["text"]) == {"answer": [1, None]}
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    progress = [m["params"] for m in heard if m.get("method") == "notifications/progress"]
    assert progress == [{"progressToken": "p", "progress": 1}]


def test_a_clients_refusal_reaches_the_server(house: House) -> None:
    key = house.ask_tool("a__ask", {"method": "elicitation/create"})
    asked = house.wait(lambda m: m.get("method") == "elicitation/create")
    house.send({"id": asked["id"], "error": {"code": -1, "message": "no"}})
    assert json.loads(house.answer(key)["result"]["content"][0]["text"]) == {"code": -1, "message": "no"}


def test_a_call_that_waits_for_a_person_does_not_run_out_of_time(start: Start) -> None:
    house = start({"a": raw(call_timeout=0.5)})
    house.tools_with("a__echo")
    key = house.ask_tool("a__ask", {"method": "elicitation/create"})
    asked = house.wait(lambda m: m.get("method") == "elicitation/create")
    assert house.call("a__sleep", {"seconds": 1.2})["result"]  # its clock stands still as well
    assert house.answers(key) == []
    house.send({"id": asked["id"], "result": {"action": "accept"}})
    assert house.answer(key)["result"]
    assert house.call("a__nothing")["error"]["data"]["code"] == "RH_CALL_TIMEOUT"


def test_a_question_of_a_server_that_died_is_taken_back(house: House) -> None:
    key = house.ask_tool("a__ask", {"method": "elicitation/create"})
    asked = house.wait(lambda m: m.get("method") == "elicitation/create")
    house.call("a__die")
    assert house.answer(key)["error"]["data"]["code"] == "RH_SERVER_UNAVAILABLE"
    cancelled = house.notification("notifications/cancelled")
    assert cancelled["params"]["requestId"] == asked["id"]


def test_an_answer_to_a_dead_servers_question_is_not_given_to_its_successor(house: House) -> None:
    """Servers number their questions anew in each life; the ids meet."""
    house.ask_tool("a__ask", {"method": "elicitation/create", "id": 0, "params": {"message": "show the weather?"}})
    first = house.wait(lambda m: m.get("method") == "elicitation/create")
    house.call("a__die")
    key = house.ask_tool("a__ask", {"method": "elicitation/create", "id": 0, "params": {"message": "delete all?"}})
    second = house.wait(lambda m: m.get("method") == "elicitation/create" and m["id"] != first["id"])
    house.send({"id": first["id"], "result": {"action": "accept"}})
    house.call("a__echo")
    assert house.answers(key) == []
    house.send({"id": second["id"], "result": {"action": "decline"}})
    assert json.loads(house.answer(key)["result"]["content"][0]["text"]) == {"action": "decline"}


def test_a_question_the_server_takes_back_lets_the_clocks_go_on(start: Start) -> None:
    house = start({"a": raw(call_timeout=0.5)})
    house.tools_with("a__echo")
    house.ask_tool("a__ask", {"method": "elicitation/create", "id": "q", "cancel": True})
    house.notification("notifications/cancelled")
    assert house.call("a__nothing", within=3)["error"]["data"]["code"] == "RH_CALL_TIMEOUT"


def test_more_questions_than_anybody_can_answer_are_refused(house: House) -> None:
    house.call("a__ask_often", {"times": 150})
    asked = [m for m in house.messages if m.get("method") == "roots/list"]
    assert len(asked) == 100


def test_escaped_method_names_are_the_same_methods(house: House) -> None:
    line = rb'{"jsonrpc":"2.0","method":"notifications\/progress","params":{"progressToken":@ID@,"progress":1}}'
    both = line + b"\n" + b'{"jsonrpc":"2.0","id":@ID@,"result":{}}'
    key = house.ask_tool("a__raw", {"hex": both.hex()}, _meta={"progressToken": "mine"})
    assert house.answer(key)["result"] == {}
    assert house.notification("notifications/progress")["params"]["progressToken"] == "mine"
    slow = house.ask_tool("a__nothing")
    house.send_bytes(rb'{"jsonrpc":"2.0","method":"notifications\/cancelled","params":{"requestId":%d}}' % slow + b"\n")
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    assert any(m.get("method") == "notifications/cancelled" for m in heard)


def test_cancelled_calls_say_nothing_of_a_servers_health(start: Start) -> None:
    house = start({"a": raw(call_timeout=0.3)})
    house.tools_with("a__echo")
    for _ in range(6):
        house.notify("notifications/cancelled", {"requestId": house.ask_tool("a__nothing")})
    assert house.call("a__sleep", {"seconds": 0.2})["result"]
    with pytest.raises(AssertionError, match="stayed"):
        house.status_until("a", lambda s: s["state"] == "degraded", within=0.5)


def test_a_servers_log_reaches_the_client_whole(house: House) -> None:
    house.call("a__log", {"n": 1.5})
    params = house.notification("notifications/message")["params"]
    assert params == {"level": "warning", "data": {"n": 1.5}, "x-more": None}


def test_the_log_level_reaches_the_servers_also_those_that_start_later(house: House) -> None:
    assert house.request("logging/setLevel", {"level": "error"})["result"] == {}
    house.manage("restart_server", name="a")
    for _ in range(2):
        heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
        assert [m["params"] for m in heard if m.get("method") == "logging/setLevel"] == [{"level": "error"}]
    assert house.request("logging/setLevel", {"level": "loud"})["error"]["code"] == -32602


def test_a_change_of_roots_reaches_the_servers(house: House) -> None:
    house.notify("notifications/roots/list_changed")
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    assert any(m.get("method") == "notifications/roots/list_changed" for m in heard)


def test_servers_see_what_the_client_can_do(start: Start) -> None:
    house = start({"a": raw()}, opened=False)
    house.open(capabilities={"roots": {"listChanged": True}, "experimental": {"x": {"y": 1.0}}, "tasks": {}})
    house.tools_with("a__echo")
    heard = json.loads(house.call("a__heard")["result"]["content"][0]["text"])
    opening = heard[0]["params"]
    assert opening["capabilities"] == {"roots": {"listChanged": True}, "experimental": {"x": {"y": 1.0}}}
    assert opening["protocolVersion"] == "2025-06-18"
    assert opening["clientInfo"]["name"] == "roundhouse"
    assert heard[1]["method"] == "notifications/initialized"
