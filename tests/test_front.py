"""The front: one client's stdio joined to houses that come and go. Real processes, real pipes, a house by hand."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from roundhouse.front import Outlet, Session
from tests.fronts import NO_PLACE, FakeHome, fake_home, rss
from tests.house import PATIENCE, until
from tests.house import House as Client

MEBIBYTE = 1 << 20
AT_MOST = 12 * MEBIBYTE  # what a front may grow by, whatever passes through it


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHome]:
    with fake_home(tmp_path, monkeypatch) as home:
        yield home


@contextmanager
def running(command: list[str], **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A front on pipes of the test's own, ended where the test waits in vain."""
    with subprocess.Popen(command, start_new_session=True, **pipes) as front:
        in_vain = threading.Timer(PATIENCE, front.kill)
        in_vain.start()
        try:
            yield front
        finally:
            in_vain.cancel()


def code(answer: dict[str, Any]) -> str:
    return str(answer["error"]["data"]["code"])


def changed(client: Client) -> None:
    """The front has found the next house and opened the session there."""
    client.notification("notifications/tools/list_changed")


# -- relaying


def test_what_passes_is_not_touched(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        text = (
            '{"jsonrpc":"2.0", "id" : "ü\\u00fc,\\"", "method":"tools/call","params":{"name":"","arguments":{"a":1e2}}}'
        )
        client.send_bytes(text.encode() + b"\n")
        answer = client.answer('üü,"')
        assert answer["result"]["content"] == {"a": 100.0}
        pid = home.living_houses()[0]
        assert home.heard(pid)[-1]["params"]["arguments"] == {"a": 100.0}


def test_many_requests_in_one_write_are_all_answered(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        lines = [
            json.dumps({"jsonrpc": "2.0", "id": f"n{n}", "method": "ping", "params": {"n": "x" * n}})
            for n in range(900)
        ]
        client.send_bytes("\n".join(lines).encode() + b"\n")
        assert all(client.answer(f"n{n}")["result"] == {"of": "ping"} for n in range(900))


def test_five_fronts_at_the_same_moment_start_one_house(home: FakeHome) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(home.front("--slow", "0.1")) for _ in range(5)]
        houses = {client.request("tools/list")["result"]["house"] for client in clients}
        assert len(houses) == len(home.lives()) == 1


def test_the_house_is_not_the_fronts_child_and_outlives_it(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        assert home.lives()[0]["parent"] != client.process.pid
        os.killpg(client.process.pid, signal.SIGKILL)
        client.process.wait()
        with home.front() as another:
            another.open()
        assert len(home.lives()) == 1


def test_a_mark_in_the_environment_is_told_to_the_house_and_not_inherited_by_it(home: FakeHome) -> None:
    with home.front(env={"ROUNDHOUSE_MARK": "1:2:3:4", "CANARY": "1"}) as client:
        client.open()
    assert home.hellos()[-1]["inside"] == "1:2:3:4"
    assert not {"ROUNDHOUSE_MARK", "CANARY"} & home.lives()[0]["environment"].keys()


# -- losing a house


def test_a_call_in_flight_is_answered_and_never_repeated(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        calls = [client.ask_tool("hang"), client.ask("resources/read", {"uri": "x"}), client.ask_tool("hang")]
        client.answer(calls.pop(1))
        client.request("ping")
        dead = home.kill_house()
        for key in calls:
            answer = client.answer(key)
            assert answer["error"]["code"] == -32000
            assert answer["error"]["data"] == {"code": "RH_HOUSE_LOST", "retryable": False, "sent": "unknown"}
            assert "may or may not have done" in answer["error"]["message"]
        changed(client)
        assert client.call("echo", {"a": 1})["result"]["house"] != dead
        assert home.methods(home.living_houses()[0]) == ["initialize", "notifications/initialized", "tools/call"]
        assert all(len(client.answers(key)) == 1 for key in calls)


def test_the_opening_is_replayed_in_order_and_its_answers_are_swallowed(home: FakeHome) -> None:
    with home.front() as client:
        client.open(capabilities={"roots": {}})
        client.request("logging/setLevel", {"level": "debug"})
        client.request("logging/setLevel", {"level": "error"})
        home.kill_house()
        changed(client)
        client.request("ping")
        heard = home.heard(home.living_houses()[0])
        assert [message["method"] for message in heard] == [
            "initialize",
            "notifications/initialized",
            "logging/setLevel",
            "ping",
        ]
        assert heard[0]["params"]["capabilities"] == {"roots": {}}
        assert heard[2]["params"] == {"level": "error"}
        assert len({str(message.get("id")) for message in heard}) == 4
        ours = {heard[0]["id"], heard[2]["id"]}
        assert not any(message.get("id") in ours for message in client.messages)


def test_the_ids_of_a_replay_are_never_ones_the_client_waits_for(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        for number in (1, 2, 3):
            client.send({"id": f"front-{number}", "method": "tools/list", "params": {"cursor": "hang"}})
        client.request("ping")
        home.kill_house()
        changed(client)
        client.request("ping")
        heard = home.heard(home.living_houses()[0])
        assert heard[0]["method"] == "initialize"
        assert heard[0]["id"] == "front-4"
        assert [message["id"] for message in heard[2:5]] == ["front-1", "front-2", "front-3"]


def test_what_only_asks_is_asked_again_of_the_next_house(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        key = client.ask("tools/list", {"cursor": "die once"})
        answer = client.answer(key)
        assert answer["result"]["house"] == home.living_houses()[0]
        assert len(home.lives()) == 2
        assert client.answers(key) == [answer]


def test_a_question_that_ends_every_house_is_asked_of_two(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        answer = client.request("tools/list", {"cursor": "poison"})
        assert code(answer) == "RH_HOUSE_LOST"
        assert client.call("echo")["result"]
        assert len(home.lives()) == 3


def test_an_unanswered_initialize_is_sent_again_as_it_was(home: FakeHome) -> None:
    with home.front() as client:
        answer = client.request("initialize", {"hang": True, "protocolVersion": "2025-06-18"})
        assert answer["result"]["protocolVersion"] == "2025-06-18"
        assert len(home.lives()) == 2
        client.notify("notifications/initialized")
        assert client.call("echo")["result"]
        assert not any(message.get("method") for message in client.messages)  # there was no list to have changed


def test_an_opening_that_was_refused_is_not_replayed(home: FakeHome) -> None:
    session = Session()
    line = b'{"jsonrpc":"2.0","id":1,"method":"initialize"}\n'
    session.client_said(json.loads(line), line)
    session.house_answered(1, failed=True)
    assert session.opening() == []


def test_a_partial_line_of_the_dead_house_is_dropped(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        key = client.ask_tool("half", {"bytes": 500_000})
        assert code(client.answer(key)) == "RH_HOUSE_LOST"
        changed(client)
        assert client.call("echo")["result"]
        assert len(client.messages) == 4  # initialize, the loss, the change, the echo


def test_a_line_too_long_to_be_held_ends_with_the_house_that_said_it(home: FakeHome) -> None:
    lines = b"".join(
        json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": params}).encode() + b"\n"
        for n, params in enumerate([{"name": "half", "arguments": {"bytes": 3 * MEBIBYTE}}, {"name": "echo"}])
    )
    with running(home.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as front:
        assert front.stdin
        assert front.stdout
        front.stdin.write(lines)
        front.stdin.flush()
        assert len(front.stdout.readline()) > 2 * MEBIBYTE
        answers = [json.loads(front.stdout.readline()) for _ in range(2)]
    assert code(answers[0]) == "RH_HOUSE_LOST"
    assert [answer["id"] for answer in answers] == [0, 1]
    assert front.returncode == 0


def test_what_the_dead_house_asked_is_cancelled_and_its_late_answer_swallowed(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        asked = client.call("ask")["result"]["asked"]
        answered = client.call("ask")["result"]["asked"]
        client.send({"id": answered, "result": {}})
        client.request("ping")
        home.kill_house()
        cancelled = client.notification("notifications/cancelled")
        assert cancelled["params"]["requestId"] == asked
        changed(client)
        assert sum(m.get("method") == "notifications/cancelled" for m in client.messages) == 1
        client.send({"id": asked, "result": {"late": True}})
        client.request("ping")
        assert home.methods(home.living_houses()[0]) == ["initialize", "notifications/initialized", "ping"]


def test_the_answer_to_the_next_houses_own_question_reaches_it(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        client.call("ask", {"prefix": "rh-"})
        home.kill_house()
        changed(client)
        client.call("ask", {"prefix": "rh-"})
        client.send({"id": "rh-1", "result": {}})
        client.request("ping")
        assert home.methods(home.living_houses()[0])[-2:] == ["(answer)", "ping"]


def test_a_cancelled_call_is_not_answered_for_the_house(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        key = client.ask_tool("hang")
        client.notify("notifications/cancelled", {"requestId": key})
        client.request("ping")
        home.kill_house()
        changed(client)
        client.request("ping")
        assert client.answers(key) == []


def test_every_call_of_a_batch_is_answered_when_the_house_is_lost(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        calls = [{"jsonrpc": "2.0", "id": f"b{n}", "method": "tools/call", "params": {}} for n in range(3)]
        client.send_bytes(json.dumps(calls).encode() + b"\n")
        until(lambda: len(home.journal()) > 4)
        home.kill_house()
        assert {code(client.answer(f"b{n}")) for n in range(3)} == {"RH_HOUSE_LOST"}


def test_what_the_dead_house_has_not_had_is_delivered_to_the_next(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        client.call("deaf", {"seconds": 60})
        calls = [client.ask_tool("echo", {"n": n, "blob": "x" * 20_000}) for n in range(20)]
        home.kill_house()
        answers = [client.answer(key) for key in calls]
        assert all(len(client.answers(key)) == 1 for key in calls)
        lost = [n for n, answer in enumerate(answers) if "error" in answer]
        delivered = [n for n, answer in enumerate(answers) if "result" in answer]
        assert lost == list(range(len(lost)))
        assert {code(answers[n]) for n in lost} == {"RH_HOUSE_LOST"}
        assert [answers[n]["result"]["content"]["n"] for n in delivered] == delivered
        assert lost
        assert delivered


ORDERS = {
    "id first": '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":%s}',
    "id last": '{"method":"tools/call","params":%.0s%s,"jsonrpc":"2.0","id":%s}',
    "id before the version": '{"method":"tools/call","params":%.0s%s, "id" : %s, "jsonrpc" : "2.0" }',
    "method last": '{"id":%s,"params":%s,"method":"tools/call"}',
    "both last": '{"params":%.0s%s,"id":%s,"method":"tools/call","jsonrpc":"2.0"}',
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [100, 20_000, 400_000])
@pytest.mark.parametrize("key", ["7", '"a,\\"b"'])
def test_a_long_call_is_answered_wherever_its_id_stands(home: FakeHome, order: str, size: int, key: str) -> None:
    params = json.dumps({"name": "hang", "arguments": {"id": 1, "x": 'y","id":2}' * (size // 10), "z": {"id": 3}}})
    line = ORDERS[order] % ((key, params, key) if "%.0s" in ORDERS[order] else (key, params))
    with home.front() as client:
        client.open()
        client.send_bytes(line.encode() + b"\n")
        assert until(lambda: len(home.heard()) == 3)
        home.kill_house()
        assert code(client.answer(json.loads(key))) == "RH_HOUSE_LOST"
        changed(client)
        assert {m["id"] for m in client.messages if "error" in m} == {json.loads(key)}


def test_a_long_call_cut_by_the_loss_is_not_taken_for_another_message(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        line = json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"x": "y" * 900_000}}).encode()
        client.send_bytes(line[:600_000])
        client_is_read = until(lambda: rss(client.process.pid) > 0)
        assert client_is_read
        home.kill_house()
        changed(client)
        client.send_bytes(line[600_000:] + b"\n")
        answer = client.answer(9)
        assert answer["error"]["data"] == {"code": "RH_HOUSE_LOST", "retryable": True, "sent": "no"}
        assert client.call("echo")["result"]
        assert home.methods(home.living_houses()[0]) == ["initialize", "notifications/initialized", "tools/call"]


def test_a_house_that_said_farewell_is_missed_only_when_it_is_needed(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        client.call("farewell")
        client.logged("the house went away")
        assert until(lambda: not home.living_houses())
        time.sleep(0.2)  # nothing tells that nothing happens
        assert len(home.lives()) == 1
        assert client.call("echo")["result"]
        assert len(home.lives()) == 2
        assert home.methods(home.living_houses()[0]) == ["initialize", "notifications/initialized", "tools/call"]
        assert not any(m.get("method") == "roundhouse/leaving" for m in client.messages)


def test_a_house_lost_again_and_again_is_found_again_and_again(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        for lost in range(1, 6):
            key = client.ask_tool("hang")
            client.request("ping")
            home.kill_house()
            assert code(client.answer(key)) == "RH_HOUSE_LOST"
            assert client.call("echo")["result"]
            assert len(home.lives()) == lost + 1


def test_houses_that_die_of_the_opening_are_given_up(home: FakeHome) -> None:
    with home.front("--crash", "at opening again") as client:
        client.open()
        question = client.ask("tools/list", {"cursor": "hang"})
        client.request("ping")
        home.kill_house()
        answer = client.answer(question)
        assert code(answer) == "RH_HOUSE_UNAVAILABLE"
        assert "3 houses in a row went away" in answer["error"]["message"]
        assert code(client.call("echo")) == "RH_HOUSE_UNAVAILABLE"
        assert len(home.lives()) == 4


# -- no house


def test_where_no_house_comes_up_every_request_is_answered_with_the_end_of_its_log(home: FakeHome) -> None:
    with home.front("--crash", "at start") as client:
        answers = [client.request("initialize", {}), client.request("ping"), client.call("echo")]
        client.send_bytes(
            b'[{"id":70,"method":"ping"},{"method":"x"}]\n' + b'{"id":71,"method":"' + b"x" * 500_000 + b'"}\n'
        )
        for answer in [*answers, client.answer(70), client.answer(71)]:
            assert answer["error"]["data"] == {"code": "RH_HOUSE_UNAVAILABLE", "retryable": False, "sent": "no"}
            assert "the fake house crashes as it was told to" in answer["error"]["message"]
            assert "`roundhouse doctor`" in answer["error"]["message"]
        assert len(home.lives()) == 3


def test_a_house_is_tried_again_after_a_while(home: FakeHome) -> None:
    with home.front("--crash", "at start", setting="front.UNAVAILABLE_PAUSE = 0.3") as client:
        assert code(client.request("initialize", {})) == "RH_HOUSE_UNAVAILABLE"
        assert len(home.lives()) == 3
        house = home.start()
        assert until(lambda: "result" in client.request("tools/list"))
        assert client.request("tools/list")["result"]["house"] == house


def test_a_stopped_house_does_not_stop_the_front(home: FakeHome) -> None:
    pid = home.start()
    os.kill(pid, signal.SIGSTOP)
    with home.front(setting="rendezvous.HELLO_TIMEOUT = 0.3") as client:
        answer = client.request("initialize", {}, within=3)
        assert code(answer) == "RH_HOUSE_UNAVAILABLE"
        assert f"kill -CONT {pid}" in answer["error"]["message"]


def test_a_refusal_is_said_to_the_person_and_to_the_client(home: FakeHome) -> None:
    with home.front("--refuse", "You are inside of me.") as client:
        for answer in (client.request("initialize", {}), client.request("tools/list")):
            assert answer["error"]["message"] == "You are inside of me."
            assert code(answer) == "RH_HOUSE_REFUSED"
        assert client.logged("roundhouse: You are inside of me.")


@pytest.mark.parametrize("what", ["a runtime folder open to others", "a home that is a file"])
def test_where_there_is_no_place_for_a_house_nothing_is_read_and_the_caller_is_told(home: FakeHome, what: str) -> None:
    if what == "a home that is a file":
        home.path.write_text("")
    else:
        os.chmod(home.place.folder, 0o777)
    out, into = os.pipe()
    os.write(into, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    ran = subprocess.run(home.command(), stdin=out, capture_output=True, timeout=20, check=False)
    assert ran.returncode == NO_PLACE
    assert ran.stdout == b""
    assert b"folder" in ran.stderr or b"home" in ran.stderr
    assert os.read(out, 100).endswith(b'"ping"}\n')
    assert os.get_blocking(out)
    os.close(out)
    os.close(into)


# -- big lines and slow sides


def test_a_line_of_64_mebibytes_passes_in_little_memory(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        before = rss(client.process.pid)
        size = 64 * MEBIBYTE
        line = b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"echo","x":"' + b"y" * size + b'"}}\n'
        sending = threading.Thread(target=client.send_bytes, args=(line,))
        sending.start()
        most = watched(client, sending)
        assert client.answer(9, 60)["result"]
        assert home.heard()[-1]["size"] == len(line)
        assert most - before < AT_MOST


def test_a_house_that_does_not_read_makes_the_client_wait_and_the_front_no_bigger(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        before = rss(client.process.pid)
        client.call("deaf", {"seconds": 1.0})
        line = json.dumps({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "y" * 1_000_000}}).encode()
        sending = threading.Thread(target=client.send_bytes, args=((line + b"\n") * 40,))
        begun = time.monotonic()
        sending.start()
        most = watched(client, sending)
        assert time.monotonic() - begun > 0.5
        assert client.request("ping", within=60)["result"]
        assert most - before < AT_MOST


def test_a_client_that_does_not_read_makes_the_house_wait_and_the_front_no_bigger(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        before = rss(client.process.pid)
        with client.not_reading():
            keys = [client.ask_tool("big", {"bytes": 8 * MEBIBYTE}) for _ in range(8)]
            sizes: list[int] = []

            def settled() -> bool:
                sizes.append(rss(client.process.pid))
                return len(sizes) > 20 and sizes[-1] <= sizes[-20]

            assert until(settled)
            assert max(sizes) - before < AT_MOST
        for key in keys:
            assert len(client.answer(key, 60)["result"]["big"]) == 8 * MEBIBYTE
        assert rss(client.process.pid) - before < AT_MOST


def watched(client: Client, sending: threading.Thread) -> int:
    """The most memory the front had while something was sent."""
    most = 0
    while sending.is_alive():
        most = max(most, rss(client.process.pid))
        sending.join(0.005)
    return most


# -- leaving


def test_the_last_answers_are_delivered_after_the_client_has_closed_its_side(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        calls = [client.ask_tool("until the end") for _ in range(3)]
        assert client.hang_up() == 0
        assert [client.answer(key)["result"]["content"][0]["text"] for key in calls] == ["late"] * 3


def test_a_call_the_house_leaves_unanswered_is_answered_before_the_front_leaves(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        call, question = client.ask_tool("hang"), client.ask("tools/list", {"cursor": "hang"})
        assert client.hang_up() == 0
        assert code(client.answer(call)) == "RH_HOUSE_LOST"
        assert "error" in client.answer(question)
        assert len(home.lives()) == 1


def test_a_house_that_says_nothing_more_is_not_waited_for_without_end(home: FakeHome) -> None:
    with home.front(setting="front.LAST_ANSWERS = 0.3") as client:
        client.open()
        client.call("deaf", {"seconds": 30})
        begun = time.monotonic()
        assert client.hang_up() == 0
        assert 0.3 <= time.monotonic() - begun < 2


def test_a_last_line_without_newline_is_heard(home: FakeHome) -> None:
    with home.front() as client:
        client.open()
        client.send_bytes(b'{"jsonrpc":"2.0","id":"last","method":"ping"}')
        assert client.hang_up() == 0
        assert client.answer("last")["result"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_quietly(home: FakeHome, number: signal.Signals) -> None:
    with home.front() as client:
        client.open()
        client.ask_tool("hang")
        client.process.send_signal(number)
        assert client.process.wait(1) == 128 + number
        assert client.log == []


def test_a_client_that_closes_only_the_pipe_it_reads_has_left(home: FakeHome) -> None:
    out, into = os.pipe()
    back, answers = os.pipe()
    with running(home.command(), stdin=out, stdout=answers) as front:
        for fd in (out, answers):
            os.close(fd)
        os.write(into, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        assert os.read(back, 100).startswith(b'{"jsonrpc":"2.0","id":1')
        os.close(back)
        assert front.wait(5) == 0
        os.close(into)


@pytest.mark.parametrize("source", ["file", "/dev/null"])
@pytest.mark.parametrize("target", ["pipe", "file"])
def test_standard_input_and_output_may_be_files(home: FakeHome, tmp_path: Path, source: str, target: str) -> None:
    said = tmp_path / "said"
    said.write_bytes(b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % n for n in range(5000)))
    heard = tmp_path / "heard"
    with open(said if source == "file" else source, "rb") as stdin, open(heard, "wb") as stdout:
        out = subprocess.PIPE if target == "pipe" else stdout
        ran = subprocess.run(home.command(), stdin=stdin, stdout=out, timeout=20, check=False)
    assert ran.returncode == 0
    lines = (ran.stdout if target == "pipe" else heard.read_bytes()).splitlines()
    expected = 5000 if source == "file" else 0
    assert [json.loads(line)["id"] for line in lines] == list(range(expected))


def test_a_terminal_is_served_and_left_as_it_was(home: FakeHome) -> None:
    ours, theirs = pty.openpty()
    mode = termios.tcgetattr(theirs)
    mode[3] &= ~(termios.ECHO | termios.ICANON)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    with running(home.command(), stdin=theirs, stdout=theirs) as front:
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"big","arguments":{"bytes":9000}}}\n'
        os.write(ours, call)
        heard = b""
        while not heard.endswith(b"\n"):
            heard += os.read(ours, 65536)
            assert os.get_blocking(theirs)
        assert len(json.loads(heard)["result"]["big"]) == 9000
        front.terminate()
        assert front.wait(5) == 128 + signal.SIGTERM
    assert os.get_blocking(theirs)
    for fd in (ours, theirs):
        os.close(fd)


@pytest.mark.parametrize("leaving", ["end of file", "signal"])
def test_a_pipe_is_left_blocking_as_it_was(home: FakeHome, leaving: str) -> None:
    out, into = os.pipe()
    with running(home.command(), stdin=subprocess.PIPE, stdout=into) as front:
        assert front.stdin
        front.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        front.stdin.flush()
        assert os.read(out, 100)
        assert not os.get_blocking(into)
        if leaving == "signal":
            front.terminate()
        front.stdin.close()
        front.wait(5)
    assert os.get_blocking(into)
    os.close(out)
    os.close(into)


def test_closed_standard_descriptors_are_not_mistaken_for_the_clients(home: FakeHome) -> None:
    command = ["sh", "-c", 'exec "$@" <&- >&-', "sh", *home.command()]
    assert subprocess.run(command, timeout=20, check=False).returncode == 0


# -- what waits to be written


def test_lines_not_wholly_written_are_taken_back_whole() -> None:
    out, into = os.pipe()
    outlet = Outlet(into)
    size = 40_000
    for letter in (b"a", b"b", b"c", b"d"):
        outlet.write(letter * size + b"\n")
    outlet.flush()
    outlet.write(b"e" * 10, whole=False)
    outlet.write(b"f\n")
    written = 4 * (size + 1) - (outlet.queued - 12)
    assert [line[:1] for line in outlet.unsent()] == [b"a", b"b", b"c", b"d", b"f"][written // (size + 1) :]
    assert all(line.endswith(b"\n") for line in outlet.unsent())
    outlet.restore()
    assert os.get_blocking(into)
    os.close(out)
    os.close(into)
