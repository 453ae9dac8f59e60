"""Our own tools, as a client sees them: described for a model, typed, honest, and with errors that say what to do."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from roundhouse.operations.dispatch import PERSON_ONLY
from roundhouse.operations.registry import OPERATIONS
from tests.conftest import Start
from tests.house import House, raw

LISTED = [operation for operation in OPERATIONS.values() if not operation.person_only]


@pytest.fixture
def house(start: Start) -> House:
    house = start(
        {"a": raw(), "b": raw(disabled=True), "c": raw("--init", "exit"), "d": {"command": "no-such-program"}}
    )
    house.tools_with("a__echo")
    return house


def test_the_packed_definitions_are_the_registrys() -> None:
    packed = json.loads(files("roundhouse.operations").joinpath("operations.json").read_text())
    assert packed == [operation.definition() for operation in LISTED], (
        "make them anew: python -m roundhouse.operations > src/roundhouse/operations/operations.json"
    )


def test_every_operation_is_listed_first_and_as_defined(house: House) -> None:
    listed = house.request("tools/list")["result"]["tools"]
    assert listed[: len(LISTED)] == [operation.definition() for operation in LISTED]
    for tool in listed[: len(LISTED)]:
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        assert tool["inputSchema"]["additionalProperties"] is False
        assert set(tool["annotations"]) >= {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert 80 < len(tool["description"]) < 500
        for name, schema in tool["inputSchema"].get("properties", {}).items():
            assert schema["description"], f"{tool['name']}.{name} is not described"


def test_what_only_a_person_may_ask_is_not_listed_and_not_known(house: House) -> None:
    only = {operation.name for operation in OPERATIONS.values() if operation.person_only}
    assert only == PERSON_ONLY >= {"approve", "deny", "set_secret", "leave"}
    for name in only:
        assert name not in house.tools()
        for refused in (house.call(name, {"id": "x"}), house.call("call_tool", {"name": name, "arguments": {}})):
            assert refused["error"]["data"]["code"] == "RH_NOT_FOUND"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_servers", {}),
        ("start_server", {"name": "a"}),
        ("restart_server", {"name": "a"}),
        ("stop_server", {"name": "a"}),
        ("read_logs", {"name": "a"}),
    ],
)
def test_output_fits_its_schema_and_its_text(house: House, tool: str, arguments: dict[str, Any]) -> None:
    result = house.call(tool, arguments)["result"]
    output = OPERATIONS[tool].output
    assert output is not None
    jsonschema.validate(result["structuredContent"], output.model_json_schema(mode="serialization"))
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_list_servers_shows_each_with_its_state_and_reason(house: House) -> None:
    down = house.status_until("c", lambda s: s["state"] in ("backoff", "failed"))
    servers = {server["name"]: server for server in house.manage("list_servers")["servers"]}
    assert list(servers) == ["a", "b", "c", "d"]
    assert (servers["a"]["state"], servers["a"]["reason"]) == ("ready", "")
    assert servers["a"]["tools"] > 20
    assert (servers["b"]["state"], servers["b"]["reason"]) == ("stopped", "it is disabled in the configuration")
    assert "exited with code 7" in down["reason"]
    assert down["last_stderr"] == ["first line", "no module named frobnicate"]
    assert servers["d"]["state"] == "failed"
    assert "Searched PATH: /" in servers["d"]["reason"]


def test_a_disabled_server_starts_when_asked(house: House) -> None:
    assert house.manage("start_server", name="b")["state"] == "ready"
    assert "b__echo" in house.tools()
    assert house.call("b__echo")["result"]


def test_stop_and_start_take_the_tools_away_and_bring_them_back(house: House) -> None:
    heard = len(house.messages)
    assert house.manage("stop_server", name="a") == {
        **house.status("a"),
        "state": "stopped",
        "reason": "on request",
        "tools": 0,
        "pid": None,
    }
    house.notification("notifications/tools/list_changed", after=heard)
    assert not any(name.startswith("a__") for name in house.tools())
    error = house.call("a__echo")["error"]
    assert error["data"]["code"] == "RH_SERVER_UNAVAILABLE"
    assert error["data"]["retryable"] is True
    assert 'start_server {"name": "a"}' in error["message"]
    assert house.manage("stop_server", name="a")["state"] == "stopped"  # again: nothing to do
    assert house.manage("start_server", name="a")["state"] == "ready"
    assert house.call("a__echo")["result"]


def test_start_of_a_running_server_changes_nothing(house: House) -> None:
    before = house.status("a")["pid"]
    assert house.manage("start_server", name="a")["pid"] == before


def test_restart_is_a_new_process_and_fails_what_was_running(house: House) -> None:
    before = house.status("a")["pid"]
    running = house.ask_tool("a__nothing")
    after = house.manage("restart_server", name="a")
    assert after["pid"] not in (before, None)
    assert house.answer(running)["error"]["data"]["sent"] == "unknown"
    assert after["restarts"] == 0  # nobody asked for it to end by itself


def test_starting_what_cannot_start_says_why_with_its_last_words(house: House) -> None:
    failed = house.call("start_server", {"name": "c"})["result"]
    assert failed["isError"]
    text = failed["content"][0]["text"]
    assert "exited with code 7" in text
    assert "no module named frobnicate" in text
    missing = house.call("restart_server", {"name": "d"})["result"]
    assert missing["isError"]
    assert "'no-such-program' was not found. Searched PATH: /" in missing["content"][0]["text"]
    assert missing["_meta"]["roundhouse/error"]["code"] == "RH_SERVER_UNAVAILABLE"


@pytest.mark.parametrize("tool", ["start_server", "stop_server", "restart_server", "read_logs"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "e"}, "no server named 'e'"),
        ({"name": "A"}, "no server named 'A'"),
        ({}, "name: Field required"),
        ({"nam": "a"}, "It takes: name"),
        ({"name": 7}, "valid string"),
        ([], "arguments"),
        (None, "name: Field required"),
    ],
)
def test_arguments_that_do_not_fit_are_explained(house: House, tool: str, arguments: Any, said: str) -> None:
    result = house.answer(house.ask("tools/call", {"name": tool, "arguments": arguments}))["result"]
    assert result["isError"]
    assert said in result["content"][0]["text"]


def test_read_logs_gives_the_last_lines_clean(house: House) -> None:
    house.call("a__stderr", {"lines": 30, "line": "\x1b[31mred\x1b[0m \u202eesrever\u202c tag\U000e0041"})
    house.call("a__stderr", {"lines": 1, "line": "the end"})
    lines = house.manage("read_logs", name="a", lines=3)["lines"]
    assert lines == ["red esrever tag", "red esrever tag", "the end"]
    assert len(house.manage("read_logs", name="a")["lines"]) == 31
    too_many = house.call("read_logs", {"name": "a", "lines": 10_000})["result"]
    assert too_many["isError"]
    assert "500" in too_many["content"][0]["text"]


def test_a_management_call_can_be_cancelled(start: Start) -> None:
    house = start({"a": raw("--init", "hang")})
    key = house.ask_tool("start_server", {"name": "a"})
    house.notify("notifications/cancelled", {"requestId": key})
    assert house.request("ping")["result"] == {}
    assert house.answers(key) == []


def test_a_storm_of_starts_and_stops_leaves_at_most_one_process(house: House) -> None:
    keys = [house.ask_tool(("start_server", "stop_server", "restart_server")[n % 3], {"name": "a"}) for n in range(60)]
    for key in keys:
        assert house.answer(key)["result"]
    assert house.manage("start_server", name="a")["state"] == "ready"
    assert house.call("a__echo")["result"]
