"""The house: one for all clients, there at once, nothing started before it is needed, nothing lost when it goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sysconfig
import threading
import venv
from pathlib import Path
from typing import Any

import psutil
import pytest

import roundhouse
from tests.home import Home
from tests.house import House as Client
from tests.house import living, raw, until

SOURCE = Path(roundhouse.__file__).parent


def names(client: Client, server: str) -> list[str]:
    return [name for name in client.tools() if name.startswith(f"{server}__")]


def servers_file(folder: Path, count: int) -> str:
    """A configuration of many servers, as another client might have it."""
    path = folder / "many.json"
    path.write_text(json.dumps({"mcpServers": {f"s{number:02}": raw() for number in range(count)}}))
    return str(path)


def test_two_clients_share_one_house_and_one_process_of_each_server(at_home: Home) -> None:
    at_home.add("a", raw())
    first, second = at_home.front(), at_home.front()
    assert first.call("a__echo", {"n": 1})["result"]
    assert second.call("a__echo", {"n": 2})["result"]
    assert len(at_home.children()) == 1
    assert first.status("a")["pid"] == second.status("a")["pid"] == at_home.children()[0].pid


def test_fronts_that_start_at_the_same_moment_start_one_house(at_home: Home) -> None:
    found: list[Client] = []
    threads = [threading.Thread(target=lambda: found.append(at_home.front())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    houses = [line for line in living() if " house " in f"{line} " and "--home" in line]
    assert len(houses) == 2, houses  # the reaper and the house


def test_fifty_known_servers_are_listed_without_a_process_and_a_call_starts_only_its_own(
    at_home: Home, tmp_path: Path
) -> None:
    added = at_home.ask("import", servers_file(tmp_path, 50), "--yes")
    assert len(added["added"]) == 50
    at_home.down()
    at_home.settings(allow_unattended=True, expose="all")
    clients = [at_home.front() for _ in range(5)]
    for client in clients:
        assert sum(name.endswith("__echo") for name in client.tools()) == 50
    assert at_home.children() == []
    assert clients[3].call("s07__echo", {"x": 1})["result"]["content"][0]["text"] == '{"x": 1}'
    assert len(at_home.children()) == 1
    assert [s["name"] for s in clients[0].manage("list_servers")["servers"] if s["state"] != "stopped"] == ["s07"]


def test_a_server_added_in_conversation_waits_for_a_person_and_then_reaches_every_client(at_home: Home) -> None:
    first, second = at_home.front(), at_home.front(capabilities={"roots": {}})
    first.tools(), second.tools()
    added = first.manage("add_server", name="a", **raw())
    assert (added["approval"], added["tools"]) == ("pending", 0)
    assert "roundhouse approve a" in added["next_step"]
    refused = first.call("call_tool", {"name": "a__echo"})["error"]
    assert refused["data"]["code"] == "RH_NOT_APPROVED"
    assert at_home.children() == []
    (waiting,) = first.manage("list_approvals")["approvals"]
    assert waiting["argv"] == [raw()["command"], *raw()["args"]]
    at_home.approve("a")
    for client in (first, second):
        client.notification("notifications/tools/list_changed")
        assert "a__echo" in client.tools()
    frozen = at_home.front()  # a client that ignores list_changed
    assert frozen.call("call_tool", {"name": "a__echo", "arguments": {"x": 1}})["result"]


def test_a_removed_server_is_gone_for_every_client_and_needs_a_new_yes(at_home: Home) -> None:
    at_home.add("a", raw())
    first, second = at_home.front(), at_home.front()
    assert names(first, "a")
    assert names(second, "a")
    first.call("a__echo")
    assert second.manage("remove_server", name="a") == {"name": "a", "removed": True}
    first.notification("notifications/tools/list_changed")
    assert names(first, "a") == []
    assert until(lambda: at_home.children() == [])
    assert first.manage("add_server", name="a", **raw())["approval"] == "pending"
    assert names(first, "a") == []


def test_narrowing_is_done_at_once_and_widening_waits(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    assert "a__exit" in client.tools()
    heard = len(client.messages)
    changed = client.manage("configure_server", name="a", changes={"deny": ["exit", "die"], "call_timeout": 5})
    assert (changed["applied"], changed["proposed"]) == (["deny", "call_timeout"], [])
    client.notification("notifications/tools/list_changed", after=heard)
    assert "a__exit" not in client.tools()
    assert client.call("a__exit")["error"]["data"]["code"] == "RH_NOT_FOUND"
    wanted = {"args": [*raw()["args"], "--version", "1"], "deny": ["die"], "descriptions": {"echo": "other"}}
    changed = client.manage("configure_server", name="a", changes=wanted)
    assert (changed["applied"], changed["proposed"]) == ([], ["args", "deny", "descriptions"])
    assert client.call("a__echo")["result"]
    assert "a__exit" not in client.tools()
    at_home.approve("a")
    assert "a__exit" in client.tools_with("a__exit")
    assert client.call("a__echo")["result"]


def test_renamed_and_described_tools_are_called_by_their_new_names(at_home: Home) -> None:
    at_home.add("a", raw())
    at_home.ask("configure", "a", 'rename={"echo":"repeat"}', 'descriptions={"echo":"Says it again."}', "--yes")
    client = at_home.front()
    tool = next(t for t in client.request("tools/list")["result"]["tools"] if t["name"] == "a__repeat")
    assert tool["description"] == "Says it again."
    assert "a__echo" not in client.tools()
    assert client.call("a__repeat", {"x": 1})["result"]["_meta"]["params"]["name"] == "echo"


def test_a_server_that_nobody_calls_stops_and_the_next_call_starts_it(at_home: Home) -> None:
    at_home.add("a", raw())
    at_home.ask("configure", "a", "idle_stop=0.3")
    client = at_home.front()
    client.call("a__echo")
    assert client.status_until("a", lambda s: s["state"] == "stopped")["reason"] == "nobody has called it for a while"
    assert "a__echo" in client.tools()
    assert client.call("a__echo")["result"]


def test_a_server_that_runs_always_runs_before_the_first_call(at_home: Home) -> None:
    at_home.add("a", raw(), "--start", "always")
    at_home.down()
    client = at_home.front()
    client.status_until("a", lambda s: s["state"] == "ready")


def test_a_stopped_server_is_not_started_by_a_call(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.manage("stop_server", name="a")
    assert names(client, "a") == []
    refused = client.call("a__echo")["error"]
    assert "start_server" in refused["message"]
    assert at_home.children() == []


def test_when_the_house_is_killed_calls_are_answered_nothing_is_left_and_the_next_call_works(at_home: Home) -> None:
    at_home.add("a", raw())
    clients = [at_home.front() for _ in range(3)]
    waiting = [(client, client.ask_tool("a__sleep", {"seconds": 60})) for client in clients]
    assert until(lambda: len(at_home.children()) == 1)
    assert until(lambda: clients[0].status("a")["state"] == "ready")
    children, house = at_home.children(), at_home.pid()
    assert house is not None
    os.kill(house, signal.SIGKILL)
    for client, key in waiting:
        lost = client.answer(key)["error"]
        assert (lost["data"]["code"], lost["data"]["sent"]) == ("RH_HOUSE_LOST", "unknown")
    for client, key in waiting:
        assert client.call("a__echo", {"x": 1})["result"]
        assert len(client.answers(key)) == 1
    assert until(lambda: not any(child.is_running() for child in children))
    assert len(at_home.children()) == 1
    assert at_home.pid() != house


def test_after_everything_was_killed_the_next_start_is_clean(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo")
    (server,) = at_home.children()
    house = psutil.Process(at_home.pid())
    reaper = house.parent()
    assert reaper is not None
    for process in (reaper, house, psutil.Process(client.process.pid)):
        process.kill()
    server.suspend()  # it cannot see that its stdin has closed, as one that hangs would not
    server_was = server.pid
    again = at_home.front()
    assert again.call("a__echo")["result"]
    assert until(lambda: not psutil.pid_exists(server_was) or psutil.Process(server_was).status() == "zombie")


def test_down_stops_everything_and_the_next_call_starts_a_house_again(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo")
    at_home.down()
    assert at_home.pid() is None
    assert client.call("a__echo")["result"]


def test_a_house_without_clients_leaves(at_home: Home) -> None:
    at_home.settings(idle_leave=0.3, allow_unattended=True)
    client = at_home.front()
    client.tools()
    assert at_home.pid() is not None
    client.hang_up()
    assert until(lambda: at_home.pid() is None)


def test_clients_that_can_do_different_things_have_processes_of_their_own(at_home: Home) -> None:
    at_home.add("a", raw())
    plain, asking = at_home.front(), at_home.front(capabilities={"elicitation": {}})
    plain.call("a__echo")
    asking.call("a__echo")
    assert len(at_home.children()) == 2


def test_a_question_goes_to_the_only_client_that_is_calling(at_home: Home) -> None:
    at_home.add("a", raw())
    first, second = (at_home.front(capabilities={"elicitation": {}}) for _ in range(2))
    first.call("a__echo"), second.call("a__echo")
    key = second.ask_tool("a__ask", {"method": "elicitation/create", "params": {"message": "sure?"}})
    question = second.wait(lambda m: m.get("method") == "elicitation/create")
    second.send({"id": question["id"], "result": {"action": "accept", "content": {"who": "second"}}})
    assert "second" in second.answer(key)["result"]["content"][0]["text"]
    assert not any(m.get("method") == "elicitation/create" for m in first.messages)


def test_a_question_that_could_be_for_two_is_refused_and_then_each_client_has_its_own(at_home: Home) -> None:
    at_home.add("a", raw())
    first, second = (at_home.front(capabilities={"elicitation": {}}) for _ in range(2))
    first.call("a__echo")
    sleeping = first.ask_tool("a__sleep", {"seconds": 2})
    assert until(lambda: '"seconds": 2' in second.call("a__heard")["result"]["content"][0]["text"])
    refused = second.call("a__ask", {"method": "elicitation/create", "params": {"message": "sure?"}})
    assert "2 clients are using" in refused["result"]["content"][0]["text"]
    assert first.answer(sleeping)["result"]
    assert not any(m.get("method") == "elicitation/create" for m in (*first.messages, *second.messages))
    steps = {one["step"]: one["detail"] for one in first.manage("explain", name="a")["steps"]}
    assert "each has an instance of its own" in steps["ready"]
    for client in (first, second):
        key = client.ask_tool("a__ask", {"method": "elicitation/create", "params": {"message": "sure?"}})
        question = client.wait(lambda m: m.get("method") == "elicitation/create")
        client.send({"id": question["id"], "result": {"action": "accept"}})
        assert "accept" in client.answer(key)["result"]["content"][0]["text"]


def test_a_client_that_goes_ends_its_calls_and_nobody_elses(at_home: Home) -> None:
    at_home.add("a", raw())
    first, second = at_home.front(), at_home.front()
    first.call("a__echo")
    first.ask_tool("a__sleep", {"seconds": 60})
    kept = second.ask_tool("a__sleep", {"seconds": 2})

    def heard(part: str) -> bool:
        return part in second.call("a__heard")["result"]["content"][0]["text"]

    assert until(lambda: heard('"seconds": 60'))
    first.process.kill()
    assert second.answer(kept)["result"]
    assert until(lambda: heard("notifications/cancelled"))


@pytest.mark.parametrize("expose", ["auto", "search"])
def test_many_tools_are_searched_instead_of_listed(at_home: Home, tmp_path: Path, expose: str) -> None:
    at_home.settings(allow_unattended=True, expose=expose, list_budget=1024)
    at_home.ask("import", servers_file(tmp_path, 3), "--yes")
    at_home.ask("configure", "s01", 'pinned=["log"]', "--yes")
    client = at_home.front()
    listed = client.tools()
    assert "search_tools" in listed
    assert [name for name in listed if "__" in name] == ["s01__log"]
    found = json.loads(client.call("search_tools", {"query": "s02 echo"})["result"]["content"][0]["text"])
    assert found["tools"][0]["name"] == "s02__echo"
    assert client.call("call_tool", {"name": "s02__echo", "arguments": {"x": 1}})["result"]
    assert client.call("s02__echo", {"x": 1})["result"]


def test_a_house_does_not_serve_itself(at_home: Home) -> None:
    serve = [raw()["command"], "-m", "roundhouse", "serve"]
    assert at_home.cli(
        "add", "me", "--yes", *(f"--env={k}={v}" for k, v in at_home.env.items()), "--", *serve
    ).returncode
    client = at_home.front()
    reason = client.manage("explain", name="me")
    assert reason["callable"] is False
    assert "very house" in json.dumps(client.manage("read_logs", name="me")) + json.dumps(reason)


def test_where_no_house_can_be_started_the_client_is_served_alone_and_told(at_home: Home, tmp_path: Path) -> None:
    at_home.add("a", raw())
    at_home.down()
    runtime, at_home.env["XDG_RUNTIME_DIR"] = at_home.env["XDG_RUNTIME_DIR"], ""
    at_home.env["TMPDIR"] = str(tmp_path / "none")
    blocked = Path(f"/tmp/roundhouse-{os.getuid()}-{at_home.place().folder[-12:]}")
    shutil.rmtree(blocked)
    blocked.write_text("in the way")
    try:
        client = at_home.front()
        client.logged("Serving this client alone")
        assert client.call("a__echo", {"x": 1})["result"]
        client.hang_up()
    finally:
        blocked.unlink()
        at_home.env["XDG_RUNTIME_DIR"] = runtime


def test_the_log_of_a_server_is_on_disk(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__stderr", {"lines": 3})
    log = at_home.path / "logs" / "servers" / "a.log"
    assert until(log.exists)
    assert log.stat().st_mode & 0o077 == 0


def test_calls_and_states_are_remembered(at_home: Home) -> None:
    import sqlite3

    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo", {"x": 1})
    client.call("a__nonsense")
    at_home.down()
    with sqlite3.connect(at_home.path / "measurements.db") as kept:
        calls: list[tuple[Any, ...]] = kept.execute("SELECT server, tool, outcome, arguments FROM calls").fetchall()
        moved = [row[0] for row in kept.execute("SELECT after FROM states WHERE server = 'a'")]
    assert ("a", "echo", "ok", '{"x": 1}') in calls
    assert {"starting", "ready", "stopping", "stopped"} <= set(moved)


def another_version(folder: Path, version: str) -> str:
    """An interpreter with this Roundhouse installed as another version of it."""
    source = folder / f"v{version}"
    shutil.copytree(SOURCE, source / "roundhouse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prompts", "templates"):
        shutil.copytree(SOURCE.parents[1] / name, source / "roundhouse" / name)
    (source / "roundhouse/__init__.py").write_text(f'"""Another version."""\n\n__version__ = "{version}"\n')
    venv.create(folder / f"venv{version}", with_pip=False, symlinks=True)
    (site,) = (folder / f"venv{version}").glob("lib/python*/site-packages")
    (site / "other.pth").write_text(f"{source}\n{sysconfig.get_path('purelib')}\n")
    return str(folder / f"venv{version}" / "bin" / "python")


def test_a_newer_front_replaces_the_house_after_its_calls_and_an_older_one_does_not(
    at_home: Home, tmp_path: Path
) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo")
    ours = at_home.pid()
    older = at_home.front(python=another_version(tmp_path, "0.0.9"))
    assert older.call("a__echo", {"who": "older"})["result"]
    assert at_home.pid() == ours
    slow = client.ask_tool("a__sleep", {"seconds": 2})
    newer = at_home.front(python=another_version(tmp_path, "99.0"))
    assert newer.call("a__echo", {"who": "newer"})["result"]
    assert client.answer(slow)["result"]["content"][0]["text"] == "slept"  # drained, not cut off
    assert at_home.pid() != ours
    for one in (client, older, newer):
        assert one.call("a__echo", {"x": 1})["result"]
    assert newer.messages[0]["result"]["serverInfo"]["version"] == "99.0"
    assert len(at_home.children()) == 1


def test_what_would_run_is_not_what_was_shown_any_more_so_it_is_shown_again(at_home: Home, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    at_home.env["PATH"] = f"{tools}:{os.environ['PATH']}"
    client = at_home.front()
    client.manage("add_server", name="a", command="my-server")
    (shown,) = client.manage("list_approvals")["approvals"]
    assert shown["executable"] == ""
    (tools / "my-server").write_text(f"#!/bin/sh\nexec {raw()['command']} -S {raw()['args'][1]}\n")
    (tools / "my-server").chmod(0o755)
    refused = at_home.cli("approve", shown["id"], "--yes")
    assert refused.returncode == 1
    assert "has changed since it was proposed" in refused.stderr + refused.stdout
    assert at_home.children() == []
    (again,) = client.manage("list_approvals")["approvals"]
    assert again["executable"] == str(tools / "my-server")
    at_home.approve("a")
    assert client.call("a__echo", {"x": 1})["result"]


def test_a_proposal_to_change_what_has_been_changed_since_is_shown_again(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.manage("configure_server", name="a", changes={"allow": ["echo"]})
    client.manage("configure_server", name="a", changes={"allow": ["echo", "die"]})
    (shown,) = client.manage("list_approvals")["approvals"]
    assert any('["echo"] becomes ["echo", "die"]' in change for change in shown["changes"])
    at_home.ask("configure", "a", 'allow=["log"]', "--yes")
    assert at_home.cli("approve", shown["id"], "--yes").returncode == 1
    (again,) = client.manage("list_approvals")["approvals"]
    assert any('["log"] becomes ["echo", "die"]' in change for change in again["changes"])
    at_home.approve("a")
    assert set(names(client, "a")) == {"a__echo", "a__die"}


def test_a_person_who_said_no_is_asked_again_only_for_something_new(at_home: Home) -> None:
    client = at_home.front()
    client.manage("add_server", name="a", **raw())
    assert at_home.cli("deny", "a", "--yes").returncode == 0
    refused = client.call("start_server", {"name": "a"})["result"]
    assert "said no" in refused["content"][0]["text"]
    assert "remove_server" in client.manage("explain", name="a")["next_step"]
    client.manage("remove_server", name="a")
    assert client.manage("add_server", name="a", **raw())["approval"] == "pending"


def test_what_only_a_client_that_has_gone_needed_is_gone(at_home: Home) -> None:
    at_home.add("a", raw(), "--start", "always")
    at_home.add("b", raw())
    at_home.ask("configure", "b", "instances=per-client", "--yes")
    for number in range(3):
        odd = at_home.front(capabilities={"experimental": {f"x{number}": {}}})
        odd.call("a__echo"), odd.call("b__echo")
        odd.hang_up()
    client = at_home.front()
    client.call("a__echo")
    assert until(lambda: len(at_home.children()) == 1)


def test_a_server_that_is_disabled_stops_and_its_tools_go(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front()
    client.call("a__echo")
    client.manage("configure_server", name="a", changes={"disabled": True})
    assert until(lambda: at_home.children() == [])
    assert names(client, "a") == []


def test_what_call_tool_is_given_in_the_wrong_form_is_said(at_home: Home) -> None:
    at_home.add("a", raw())
    refused = at_home.front().call("call_tool", {"name": "a__echo", "arguments": '{"x": 1}'})["error"]
    assert "an object, not a string" in refused["message"]


def test_the_first_word_is_the_program(at_home: Home) -> None:
    client = at_home.front()
    added = client.manage("add_server", name="git", command="uvx mcp-server-git")
    assert "There is no program 'uvx mcp-server-git'" in added["next_step"]
    refused = client.call("add_server", {"name": "rel", "command": "true", "cwd": "here"})["result"]
    assert "cwd 'here' is relative" in refused["content"][0]["text"]


def test_what_a_server_said_last_is_there_after_its_client_has_gone(at_home: Home) -> None:
    at_home.add("a", raw())
    client = at_home.front(capabilities={"sampling": {}})
    client.call("a__stderr", {"line": "the last words", "lines": 1})
    client.manage("stop_server", name="a")
    client.hang_up()
    assert "the last words" in at_home.cli("logs", "a").stdout


def test_what_a_person_must_know_of_the_store_is_in_the_status(at_home: Home) -> None:
    at_home.add("a", raw())
    at_home.down()
    facts = at_home.path / "roundhouse.db"
    facts.write_bytes(b"this is no database" * 500)
    for extra in at_home.path.glob("roundhouse.db-*"):
        extra.unlink()
    at_home.front()
    status = at_home.ask("status")
    assert any("roundhouse.db" in note and not note.startswith("Note(") for note in status["notes"])
    assert [server["name"] for server in at_home.ask("list")["servers"]] == ["a"]  # from the backup


def test_a_list_is_remembered_however_soon_the_house_leaves(at_home: Home) -> None:
    for number in range(3):
        at_home.add(f"s{number}", raw())
        at_home.down()
    client = at_home.front()
    assert sum(name.endswith("__echo") for name in client.tools()) == 3
    assert client.manage("check_health")["servers"]
    assert "starting" not in at_home.log().rsplit("open at", 1)[1]
