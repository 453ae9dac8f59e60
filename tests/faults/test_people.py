"""What people and models hand us: nothing runs without a person's yes, no secret is written down, no name deceives.

Faults 21, 34, 36 and 39 of the plan.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from roundhouse.gateway.catalogue import build, part_of
from roundhouse.model.servers import ServerSpec
from tests.home import Home
from tests.house import living, raw, until


def payloads(canary: Path) -> list[dict[str, Any]]:
    """Fifty ways to ask for a command that leaves a file behind, or that carries a secret somewhere."""
    touch = f"touch {canary}"
    python = f"open({str(canary)!r}, 'w').close()"
    node = f"require('fs').writeFileSync({json.dumps(str(canary))}, '')"
    script = canary.with_name("script.sh")
    script.write_text(f"#!/bin/sh\n{touch}\n")
    script.chmod(0o755)
    commands: list[list[str]] = [
        ["npx", "-c", touch],
        ["npx", "--call", touch],
        ["npx", "-y", "-c", touch],
        ["npx", "--package", "cowsay", "-c", touch],
        ["npm", "exec", "-c", touch],
        ["sh", "-c", touch],
        ["/bin/sh", "-c", touch],
        ["bash", "-c", touch],
        ["bash", "-lc", touch],
        ["dash", "-c", touch],
        ["sh", str(script)],
        [str(script)],
        [f"../../../../../..{script}"],
        ["env", "sh", "-c", touch],
        ["env", "-S", f"sh -c '{touch}'"],
        ["/usr/bin/env", "X=1", "touch", str(canary)],
        ["env", "-i", "touch", str(canary)],
        ["nohup", "touch", str(canary)],
        ["nice", "touch", str(canary)],
        ["timeout", "9", "touch", str(canary)],
        ["xargs", "-a", "/dev/null", "touch", str(canary)],
        ["find", "/tmp", "-maxdepth", "0", "-exec", "touch", str(canary), ";"],
        ["awk", f'BEGIN {{ system("{touch}") }}'],
        ["python", "-c", python],
        ["python3", "-c", python],
        [sys.executable, "-c", python],
        [sys.executable, "-Ic", python],
        ["python3", "-m", "timeit", "-n", "1", "-r", "1", python],
        ["node", "-e", node],
        ["node", "--eval", node],
        ["node", "-p", node],
        ["perl", "-e", f"system('{touch}')"],
        ["ruby", "-e", f"system('{touch}')"],
        ["uv", "run", "--no-project", "python", "-c", python],
        ["uvx", "--from", "pip", "python", "-c", python],
        ["touch", str(canary)],
        ["tee", str(canary)],
        ["cp", "/dev/null", str(canary)],
        ["dd", f"of={canary}", "if=/dev/null"],
        ["install", "/dev/null", str(canary)],
        ["script", "-c", touch, "/dev/null"],
        ["setsid", "touch", str(canary)],
        ["git", "-c", f"alias.x=!{touch}", "x"],
        ["tar", "cf", "/dev/null", "/dev/null", "--checkpoint=1", f"--checkpoint-action=exec={touch}"],
    ]
    asked: list[dict[str, Any]] = [{"command": command, "args": args} for command, *args in commands]
    asked += [
        {"command": "true", "args": [], "env": {"LD_PRELOAD": str(canary), "BASH_ENV": str(script)}},
        {"command": "bash", "args": [], "env": {"BASH_ENV": str(script)}},
        {"command": sys.executable, "args": [], "env": {"PYTHONSTARTUP": str(script), "PYTHONINSPECT": "1"}},
        {"command": "sh", "args": ["script.sh"], "cwd": str(canary.parent)},
        {"url": f"http://127.0.0.1:9/{canary}", "headers": {"Authorization": "Bearer sk-canary-0123456789abcdef"}},
        {"url": "https://user:canary-password-0123456789@127.0.0.1:9/mcp?api_key=canary-key-0123456789"},
    ]
    return asked


def test_34_fifty_payloads_and_every_way_round_a_yes_run_nothing(at_home: Home, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    asked = payloads(canary)
    assert len(asked) == 50
    at_home.add("good", raw())
    client = at_home.front()
    before = set(living())
    for number, entry in enumerate(asked):
        name = f"p{number:02}"
        added = client.manage("add_server", name=name, **entry)
        assert added["approval"] == "pending", entry
        for tool, arguments in (
            ("start_server", {"name": name}),
            ("restart_server", {"name": name}),
            ("call_tool", {"name": f"{name}__x"}),
            (f"{name}__x", {}),
            ("approve", {"id": added["proposal_id"]}),
            ("configure_server", {"name": name, "changes": {"start": "always", "disabled": False}}),
        ):
            answer = client.call(tool, arguments)
            assert tool == "configure_server" or "error" in answer or answer["result"]["isError"], (tool, answer)
    for key, value in {
        "command": "sh",
        "args": ["-c", f"touch {canary}"],
        "env": {"BASH_ENV": str(canary)},
        "cwd": "/",
        "url": "http://127.0.0.1:9",
        "headers": {"X-Key": "v"},
    }.items():
        changes = {"url": value, "command": None, "args": None} if key == "url" else {key: value}
        if key == "headers":
            changes = {"headers": value, "url": "http://127.0.0.1:9", "command": None, "args": None}
        changed = client.manage("configure_server", name="good", changes=changes)
        assert changed["applied"] == [], key
        assert changed["proposal_id"]
    assert client.call("good__echo", {"x": 1})["result"]
    client.manage("remove_server", name="good")
    assert client.manage("add_server", name="good", **raw())["approval"] == "pending"
    assert "error" in client.call("good__echo", {"x": 1})
    imported = tmp_path / "servers.json"
    imported.write_text(json.dumps({"mcpServers": {"i": {"command": "touch", "args": [str(canary)]}}}))
    assert client.manage("import_servers", source=str(imported))["added"][0]["approval"] == "pending"
    at_home.down()  # `always` servers must not start with the next house either
    again = at_home.front()
    again.tools()
    assert {s["state"] for s in again.manage("list_servers")["servers"]} == {"stopped"}
    assert not canary.exists()
    assert at_home.children() == []
    assert not {line for line in set(living()) - before if "canary" in line}
    kept = at_home.everything() + "".join(again.log).encode() + at_home.cli("list").stdout.encode()
    for secret in (b"sk-canary-0123456789abcdef", b"canary-password-0123456789", b"canary-key-0123456789"):
        places = [path.name for path in at_home.path.rglob("*") if path.is_file() and secret in path.read_bytes()]
        assert set(places) <= {"secrets.json"}, secret
        assert places or secret not in kept


def test_34_without_a_terminal_the_command_line_runs_nothing_either(at_home: Home, tmp_path: Path) -> None:
    at_home.settings(allow_unattended=False)
    canary = tmp_path / "canary"
    for words in (
        ["add", "a", "--", "touch", str(canary)],
        ["add", "a", "--yes", "--", "touch", str(canary)],
        ["approve", "--all", "--yes"],
        ["secret", "set", "X", "--yes"],
    ):
        ran = at_home.cli(*words, input="y\n")
        assert ran.returncode == 4, (words, ran)
        assert "allow_unattended" in ran.stderr
    assert not canary.exists()


def test_34_a_command_that_means_another_file_than_it_did_does_not_run(at_home: Home, tmp_path: Path) -> None:
    tools, other = tmp_path / "bin", tmp_path / "other"
    for folder, said in ((tools, "first"), (other, "second")):
        folder.mkdir()
        script = folder / "my-server"
        script.write_text(
            f"#!/bin/sh\necho {said} >> {tmp_path / 'ran'}\nexec {sys.executable} -S {raw()['args'][1]}\n"
        )
        script.chmod(0o755)
    at_home.env["PATH"] = f"{tools}:{os.environ['PATH']}"
    at_home.add("a", {"command": "my-server", "args": []})
    assert at_home.front().call("a__echo", {})["result"]
    at_home.down()
    at_home.env["PATH"] = f"{other}:{tools}:{os.environ['PATH']}"
    client = at_home.front()
    refused = client.call("a__echo", {})["error"]
    assert refused["data"]["code"] == "RH_NOT_APPROVED"
    assert "executable" in refused["message"]
    assert "second" not in (tmp_path / "ran").read_text()
    (waiting,) = client.manage("list_approvals")["approvals"]
    assert waiting["executable"] == str(other / "my-server")
    at_home.approve("a")
    assert client.call("a__echo", {})["result"]
    assert "second" in (tmp_path / "ran").read_text()


def test_21_a_server_sees_the_allow_list_and_what_it_was_given(at_home: Home) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    at_home.env.update(
        dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_VARIABLE", "UV_PUBLISH_TOKEN"), canary)
    )
    at_home.add("a", {**raw(), "env": {"GIVEN": "yes"}})
    client = at_home.front()
    seen = json.loads(client.call("a__environment")["result"]["content"][0]["text"])["env"]
    assert seen["GIVEN"] == "yes"
    assert not [name for name, value in seen.items() if canary in value]
    house = psutil.Process(at_home.pid())
    assert canary not in str(house.environ())


@pytest.mark.parametrize("name", ["g\u0456t", "git\u200b", "\uff47it", "GIT", "Git", "git\u0301", "g it", "git__x"])
def test_36_a_name_that_looks_like_another_servers_is_refused(at_home: Home, name: str) -> None:
    at_home.add("git", raw())
    client = at_home.front()
    refused = client.call("add_server", {"name": name, **raw()})["result"]
    assert refused["isError"], refused
    assert [server["name"] for server in client.manage("list_servers")["servers"]] == ["git"]


def test_36_tools_that_look_alike_lead_each_to_its_own() -> None:
    odd = ["say", "s\u0430y", "say\u200b", "\uff53ay", "say\u0301", "s ay", "SAY", "a__say", "b__say"]
    tools = [json.dumps({"name": name, "inputSchema": {"type": "object"}}).encode() for name in odd]
    parts = {
        name: part_of(ServerSpec(name, rename={"say": "SAY"} if name == "c" else {}), tools)
        for name in ("a", "b", "a-b", "a_b", "c")
    }
    catalogue = build([], parts)
    assert len(catalogue.routes) == sum(len(part.routes) for part in parts.values())
    for server, part in parts.items():
        for public, route in part.routes.items():
            assert catalogue.routes[public] == route
            assert route.server == server
            assert public.isascii()
    assert json.loads(catalogue.routes["a__say"].tool) == "say"
    assert "left out" in "".join(parts["c"].notes)  # "say" renamed to what "SAY" is called already


def canaries(count: int) -> dict[str, str]:
    """Secrets of many shapes, by the names of variables."""
    shapes = [
        lambda: f"sk-{secrets.token_urlsafe(24)}",
        lambda: f"ghp_{secrets.token_hex(18)}",
        lambda: secrets.token_hex(20),
        lambda: f'p%ss w0rd "{secrets.token_hex(8)}" \\ \'$&',
        lambda: f"pässwörd-{secrets.token_hex(8)}-💧",
        lambda: f"line one {secrets.token_hex(8)}\nline two {secrets.token_hex(8)}",
        lambda: f"https://user:{secrets.token_hex(10)}@host/?q={secrets.token_hex(6)}",
        lambda: str(secrets.randbelow(10**18) + 10**18),
    ]
    return {f"CANARY_TOKEN_{number}": shapes[number % len(shapes)]() for number in range(count)}


def test_39_two_hundred_canary_secrets_are_in_no_row_log_error_process_list_or_output(
    at_home: Home, tmp_path: Path
) -> None:
    known = canaries(200)
    by_hand = dict(list(known.items())[:20])
    imported = dict(list(known.items())[20:])
    for name, value in by_hand.items():
        assert at_home.cli("secret", "set", name, "--yes", "--server", "a", input=value).returncode == 0
    entry = raw(env={**{n: f"${{secret:{n}}}" for n in by_hand}, **imported})
    source = tmp_path / "servers.json"
    source.write_text(json.dumps({"mcpServers": {"a": entry}}))
    said = [json.dumps(at_home.ask("import", str(source), "--yes"))]
    source.unlink()
    client = at_home.front()
    given = json.loads(client.call("a__environment")["result"]["content"][0]["text"])["env"]
    assert {name: given[name] for name in known} == known  # they arrive whole
    client.call("a__log_environment")  # on stderr, in logs, as progress, and then it dies of it
    for words in (
        ["list"],
        ["logs", "a", "-n", "500"],
        ["explain", "a"],
        ["health"],
        ["status"],
        ["secret", "list"],
        ["list", "--json"],
        ["tools"],
    ):
        ran = at_home.cli(*words)
        said += [ran.stdout, ran.stderr]
    said += [json.dumps(client.call(tool, {"name": "a"})) for tool in ("explain", "check_health", "start_server")]
    said += [json.dumps(client.manage("list_servers")), json.dumps(client.manage("list_approvals")), *client.log]
    said.append(subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout)
    at_home.down()
    kept = {
        path: path.read_bytes() for path in at_home.path.rglob("*") if path.is_file() and path.name != "secrets.json"
    }
    assert any(path.name == "a.log" for path in kept)
    for value in known.values():
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], *value.split("\n")}
        for form in filter(lambda one: len(one) >= 8, forms):
            assert not [text[:80] for text in said if form in text], form
            assert not [path.name for path, data in kept.items() if form.encode() in data], form
    assert until(lambda: at_home.children() == [])
