"""`tools` and `call`: what the servers offer, and using it from a shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from roundhouse.doors.cli import completion
from roundhouse.doors.cli.arguments import from_json, from_words
from roundhouse.doors.cli.command import Command, pass_invocation
from roundhouse.doors.cli.failures import FAILED, BadUsage
from roundhouse.doors.cli.invocation import Invocation
from roundhouse.doors.cli.words import size
from roundhouse.model.text import shorten

ABOUT = 160  # characters of a tool's description in a list
FROM_STDIN = "-"


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[QUERY]")
@click.option("--schema", is_flag=True, help="With the whole description and the input schema of each tool found.")
@pass_invocation
def tools(here: Invocation, words: tuple[str, ...], schema: bool) -> int:
    """List the tools of all servers; with QUERY, the best matches first."""
    query = " ".join(words)
    if schema and not query:
        raise BadUsage("--schema wants a QUERY: a tool's name, or a few words about what it does.")
    answer = here.ask("search_tools", {"query": query}) if query else here.ask("list_tools")
    if schema:
        answer["tools"] = [_whole(here, tool) for tool in answer["tools"]]
    if here.screen.json:
        here.screen.document(answer)
    elif schema:
        for tool in answer["tools"]:
            here.screen.say(f"{tool['name']}\n{_indented(tool.get('description') or '')}")
            here.screen.say(_indented(json.dumps(tool["inputSchema"], indent=2, ensure_ascii=False)))
    elif not answer["tools"]:
        here.screen.say(answer.get("hint") or "No tools. `roundhouse list` shows the servers.")
    else:
        rows = [(tool["name"], shorten(tool.get("description") or "", ABOUT)) for tool in answer["tools"]]
        here.screen.table(["tool", "description"], rows)
    return 0


@click.command(cls=Command)
@click.argument("tool", metavar="SERVER__TOOL", shell_complete=completion.tools)
@click.argument("words", nargs=-1, metavar="[NAME=VALUE... | -]")
@pass_invocation
def call(here: Invocation, tool: str, words: tuple[str, ...]) -> int:
    """Call a tool and print what it returns.

    \b
    roundhouse call time__get_current_time timezone=Europe/Berlin
    roundhouse call git__git_log repo_path=. max_count:=3
    echo '{"timezone": "UTC"}' | roundhouse call time__get_current_time --json -

    NAME=VALUE is typed by the tool's schema, NAME:=JSON is JSON as it stands, and - reads all arguments from standard
    input as one JSON object. With --json the whole result comes as the server gave it. Ctrl-C cancels the call.
    """
    arguments = _arguments(here, tool, words)
    with here.screen.waiting(tool) as waiting:
        result = here.call("call_tool", {"name": tool, "arguments": arguments}, waiting=waiting)
    failed = bool(result.get("isError"))
    if here.screen.json:
        here.screen.document(result)
        return FAILED if failed else 0
    for text in _texts(result):
        here.screen.pass_on(text, failed=failed)
    return FAILED if failed else 0


def _arguments(here: Invocation, tool: str, words: tuple[str, ...]) -> dict[str, Any]:
    if words == (FROM_STDIN,):
        try:
            return from_json(sys.stdin.buffer.read().decode())
        except UnicodeDecodeError:
            raise BadUsage("What came on stdin is not UTF-8.") from None
    schema = here.ask("describe_tool", {"name": tool})["definition"].get("inputSchema")
    return from_words(words, schema if isinstance(schema, dict) else {})


def _whole(here: Invocation, tool: dict[str, Any]) -> dict[str, Any]:
    """A hit of a search, which has the first sentence and the schema if there was room, with all of both."""
    definition = here.ask("describe_tool", {"name": tool["name"]})["definition"]
    return {**tool, "description": definition.get("description"), "inputSchema": definition.get("inputSchema")}


def _texts(result: Mapping[str, Any]) -> Iterator[str]:
    """A tool's result for a reader: texts as they are, all else by kind and size."""
    blocks = result.get("content")
    blocks = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    if not blocks and result.get("structuredContent") is not None:
        yield json.dumps(result["structuredContent"], indent=2, ensure_ascii=False)
    for block in blocks:
        yield _text(block)


def _text(block: Mapping[str, Any]) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource", "resource": {"blob": str(data), **about}}:
            return f"[{about.get('mimeType') or 'binary'}, {_decoded(data)}: {about.get('uri')}]"
        case {"type": "resource_link", "uri": uri}:
            return f"[a link: {uri}]"
        case {"type": kind, "data": str(data)}:
            return f"[{block.get('mimeType') or kind}, {_decoded(data)}; --json has it whole]"
        case _:
            return json.dumps(block, ensure_ascii=False)


def _decoded(base64: str) -> str:
    return size(len(base64.rstrip("=")) * 3 // 4)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
