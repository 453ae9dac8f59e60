"""The lives of real servers: started side by side, restarted with patience, given up with a reason."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import Start
from tests.house import House, house, raw


def test_one_hanging_server_of_three_delays_the_others_by_nothing(start: Start) -> None:
    begun = time.monotonic()
    running = start({"hangs": raw("--init", "hang"), "a": raw(), "b": raw()})
    tools = running.tools()  # the very first list, for clients that ask once
    took = time.monotonic() - begun
    assert {"a__echo", "b__echo"} <= set(tools)
    assert running.call("a__echo")["result"]
    assert running.call("b__echo")["result"]
    assert took < 2.0
    assert running.status("hangs")["state"] == "starting"


def test_servers_that_all_hang_do_not_keep_the_list_from_coming(start: Start) -> None:
    running = start({f"h{n}": raw("--init", "hang") for n in range(3)})
    begun = time.monotonic()
    assert "list_servers" in running.tools()
    assert time.monotonic() - begun < 4.0


def test_more_hanging_servers_than_cores_do_not_keep_others_from_starting(start: Start) -> None:
    count = 2 * (os.cpu_count() or 1)
    running = start({**{f"h{n}": raw("--init", "hang") for n in range(count)}, "a": raw()})
    running.tools_with("a__echo", within=2.0 + count / (os.cpu_count() or 1) + 2.0)
    assert running.call("a__echo")["result"]


def test_a_server_that_is_late_is_told_by_list_changed(start: Start) -> None:
    running = start({"quick": raw(), "slow": raw("--slow-start", "4")})
    first = running.tools()
    assert "quick__echo" in first
    assert "slow__echo" not in first
    running.notification("notifications/tools/list_changed")
    assert "slow__echo" in running.tools()


def test_a_call_to_a_server_that_is_still_starting_waits_for_it(start: Start) -> None:
    running = start({"slow": raw("--slow-start", "1.5")})
    assert running.call("slow__echo", {"early": 1})["result"]["content"][0]["text"] == '{"early": 1}'
    assert running.call("call_tool", {"name": "slow__echo"})["result"]


def test_a_call_that_waits_for_a_start_keeps_its_deadline(start: Start) -> None:
    running = start({"hangs": raw("--init", "hang", call_timeout=0.5)})
    begun = time.monotonic()
    error = running.call("hangs__echo")["error"]
    assert time.monotonic() - begun < 1.5
    assert error["data"]["sent"] == "no"
    assert error["data"]["retryable"] is True


def test_a_call_that_waits_for_a_restart_that_fails_learns_why(start: Start, tmp_path: Path) -> None:
    running = start({"a": raw("--once", str(tmp_path / "started"))})
    running.tools_with("a__echo")
    running.call("a__die")
    running.status_until("a", lambda s: s["state"] != "ready")
    error = running.call("a__echo", within=5)["error"]
    assert "exited with code 7" in error["message"]
    assert error["data"]["sent"] == "no"
    assert error["data"]["stderr"] == ["first line", "no module named frobnicate"]


def test_a_stop_right_after_a_start_does_not_keep_the_processor_busy(start: Start) -> None:
    running = start({"a": raw(disabled=True)})
    running.manage("list_servers")
    calls = [
        {"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": {"name": name, "arguments": {"name": "a"}}}
        for name in ("start_server", "stop_server")
    ]
    running.send_bytes(b"".join(json.dumps(call).encode() + b"\n" for call in calls))
    for call in calls:
        running.answer(call["id"])
    assert running.status("a")["state"] == "stopped"
    times = psutil.Process(running.house_pid()).cpu_times()
    running.call("list_servers")
    time.sleep(0.5)  # what is measured is that nothing happens
    after = psutil.Process(running.house_pid()).cpu_times()
    assert after.user + after.system - times.user - times.system < 0.2


def test_a_killed_server_comes_back_and_the_next_call_finds_it(start: Start) -> None:
    running = start({"a": raw(), "b": raw()})
    running.tools_with("a__echo")
    in_flight = [running.ask_tool("a__sleep", {"seconds": 60}) for _ in range(3)]
    running.call("a__echo")
    begun = time.monotonic()
    os.kill(running.status("a")["pid"], signal.SIGKILL)
    for key in in_flight:
        error = running.answer(key)["error"]
        assert error["data"] == {
            "code": "RH_SERVER_UNAVAILABLE",
            "retryable": False,
            "server": "a",
            "sent": "unknown",
        }
        assert "SIGKILL" in error["message"]
    assert time.monotonic() - begun < 1.0
    assert running.call("a__echo")["result"]
    assert time.monotonic() - begun < 3.0
    status = running.status("a")
    assert (status["state"], status["restarts"]) == ("ready", 1)


def test_a_call_the_killed_process_never_read_is_answered_by_its_successor(start: Start) -> None:
    running = start({"a": raw("--leave", "child")})
    running.tools_with("a__echo")
    pid = running.status("a")["pid"]
    read = running.ask_tool("a__deaf")
    running.notification("notifications/message")
    unread = [running.ask_tool("a__echo", {"n": n}) for n in range(3)]
    running.manage("list_servers")  # by now all four are in the pipe
    os.kill(pid, signal.SIGKILL)
    late = running.ask_tool("a__echo", {"n": 3})
    assert running.answer(read)["error"]["data"]["sent"] == "unknown"
    for n, key in enumerate([*unread, late]):
        assert running.answer(key)["result"]["content"][0]["text"] == f'{{"n": {n}}}'
        assert len(running.answers(key)) == 1


def test_a_cancelled_call_is_not_carried_out_by_the_next_life(start: Start) -> None:
    running = start({"a": raw()})
    running.tools_with("a__echo")
    pid = running.status("a")["pid"]
    running.ask_tool("a__deaf")
    running.notification("notifications/message")
    cancelled = running.ask_tool("a__echo", {"pay": 100})
    running.notify("notifications/cancelled", {"requestId": cancelled})
    kept = running.ask_tool("a__echo", {"n": 1})
    running.manage("list_servers")
    os.kill(pid, signal.SIGKILL)
    assert running.answer(kept)["result"]
    assert "pay" not in running.call("a__heard")["result"]["content"][0]["text"]
    assert running.answers(cancelled) == []


def test_a_server_that_exits_at_once_is_given_up_after_five_restarts_with_its_last_words(start: Start) -> None:
    running = start({"a": raw("--init", "exit"), "good": raw()})
    status = running.status_until("a", lambda s: s["state"] == "failed", within=30)
    assert status["restarts"] == 5
    assert "exited with code 7" in status["reason"]
    assert "6 times within 60 s" in status["reason"]
    error = running.call("a__echo")["error"]
    assert error["data"]["stderr"] == ["first line", "no module named frobnicate"]
    assert "restart_server" in error["message"]
    assert running.call("good__echo")["result"]
    launches = sum("a ended" in line for line in running.log)
    assert launches == 6


@pytest.mark.parametrize("tool", ["close_stdin", "close_stdout"])
def test_a_server_that_closes_a_pipe_is_replaced(start: Start, tool: str) -> None:
    running = start({"a": raw()})
    running.tools_with("a__echo")
    before = running.status("a")["pid"]
    running.ask_tool(f"a__{tool}")
    if tool == "close_stdin":
        running.call("a__echo")
    status = running.status_until("a", lambda s: s["state"] == "ready" and s["pid"] != before)
    assert status["restarts"] == 1
    assert running.call("a__echo")["result"]


def test_a_server_that_refuses_initialize_shows_its_error(start: Start) -> None:
    running = start({"a": raw("--init", "error")})
    status = running.status_until("a", lambda s: s["state"] != "starting")
    assert "no licence found" in status["reason"]


def test_a_server_that_prints_a_banner_to_stdout_works_and_is_counted(start: Start) -> None:
    running = start({"a": raw("--init", "junk")})
    running.tools_with("a__echo")
    assert running.status("a")["ignored"] == {"unreadable": 2}


def test_answers_written_before_a_sudden_end_are_delivered(start: Start) -> None:
    running = start({"a": raw()})
    running.tools_with("a__echo")
    echo = running.ask_tool("a__echo", {"last": 1})
    running.ask_tool("a__exit")
    assert running.answer(echo)["result"]


def test_a_server_gets_what_it_is_given_and_a_small_part_of_our_environment(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    entry = raw(env={"GIVEN": "yes", "LANG": "xx"}, cwd=str(tmp_path / "elsewhere"))
    secrets = {"AWS_SECRET_ACCESS_KEY": "canary-1", "UV_PUBLISH_TOKEN": "canary-2", "OPENAI_API_KEY": "canary-3"}
    with house(tmp_path, {"a": entry}, env={**secrets, "UV_OFFLINE": "1", "LC_ALL": "C.UTF-8"}) as running:
        running.tools_with("a__echo")
        text = running.call("a__environment")["result"]["content"][0]["text"]
        assert "canary" not in text
        for expected in ('"GIVEN": "yes"', '"LANG": "xx"', '"UV_OFFLINE": "1"', '"LC_ALL": "C.UTF-8"', '"PATH": '):
            assert expected in text
        assert f'"cwd": "{tmp_path}/elsewhere"' in text
        pid = running.status("a")["pid"]
        assert os.getsid(pid) == pid


def test_a_flood_on_stderr_is_kept_in_a_mebibyte(start: Start) -> None:
    running: House = start({"a": raw()})
    running.tools_with("a__echo")
    running.call("a__stderr", {"lines": 130_000})  # 13 MB
    running.call("a__stderr", {"lines": 1, "line": "the last word"})
    assert running.manage("read_logs", name="a", lines=1)["lines"] == ["the last word"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"command": "no-such-program"}, "'no-such-program' was not found. Searched PATH: "),
        ({"command": "/no/such/file"}, "no file '/no/such/file'"),
        ({"command": str(Path(__file__))}, "no executable file"),
        ({"command": "/tmp"}, "no executable file"),
        ({"command": "true", "cwd": "/no/such/folder"}, "no directory"),
        ({"comand": "true"}, "mcpServers.a.comand is not known: did you mean 'command'?"),
        ({"command": "true", "args": "x"}, "mcpServers.a.args holds a string"),
        ({"url": "http://localhost/mcp"}, "not supported yet"),
        ([], "mcpServers.a holds a list"),
    ],
)
def test_a_bad_entry_fails_alone_and_says_where_and_what(start: Start, entry: object, said: str) -> None:
    running = start({"a": entry, "good": raw()})
    running.tools_with("good__echo")
    status = running.status_until("a", lambda s: s["state"] == "failed")
    assert said in status["reason"]
    assert said in running.logged("a failed")
    assert running.call("good__echo")["result"]
