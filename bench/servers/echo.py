"""The fastest MCP server we can write in Python: what every contender stands in front of.

It promises one tool, `echo {text}`, in the handshake era over stdio. A call of the usual shape is answered by cutting
its bytes, any other frame by parsing it; everything complete in one read is answered by one write.
"""

import json
import os
import re
from typing import Any

READ_SIZE = 1 << 16  # a pipe's capacity; asking for more gains nothing

ID = b'"id":'
TEXT = b'"text":"'
ANSWER = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[{"type":"text","text":"'
ANSWER_END = b'"}]}}\n'
ID_VALUE = re.compile(rb'\d+|"[^"]*"')

TOOL = {
    "name": "echo",
    "description": "Give the text back.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def serve() -> None:
    partial: list[bytes] = []
    while chunk := os.read(0, READ_SIZE):
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*partial, lines[0]))
            partial.clear()
            write(b"".join([cut(line) or parse(line) for line in lines]))
        if rest:
            partial.append(rest)


def cut(line: bytes) -> bytes | None:
    """Answer a call without parsing it, or None where the bytes alone cannot be trusted.

    Without a backslash in the frame every quote is structure, so a key that occurs once is found where it stands.
    """
    if b'"tools/call"' not in line or b'"name":"echo"' not in line or b"\\" in line:
        return None
    if line.count(ID) != 1 or line.count(TEXT) != 1:
        return None
    call_id = ID_VALUE.match(line, line.find(ID) + len(ID))
    if call_id is None:
        return None
    start = line.find(TEXT) + len(TEXT)
    text = memoryview(line)[start : line.index(b'"', start)]
    return b"".join((ANSWER % call_id[0], text, ANSWER_END))


def parse(line: bytes) -> bytes:
    """Answer any frame; nothing for a blank line, a notification or a response."""
    message = json.loads(line) if line.strip() else {}
    if "id" not in message or "method" not in message:
        return b""
    frame = {"jsonrpc": "2.0", "id": message["id"], **outcome(message["method"], message.get("params", {}))}
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def outcome(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "tools/call" if params.get("name") == "echo":
            return {"result": {"content": [{"type": "text", "text": params["arguments"]["text"]}]}}
        case "tools/call":
            return {"error": {"code": -32602, "message": f"no tool named {params.get('name')!r}"}}
        case "tools/list":
            return {"result": {"tools": [TOOL]}}
        case "initialize":
            return {
                "result": {
                    "protocolVersion": params["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "echo", "version": "1"},
                }
            }
        case "ping":
            return {"result": {}}
    return {"error": {"code": -32601, "message": f"no method {method!r}"}}


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    serve()
