"""A server of many tools that are listed and not called: each with a description and a schema of the usual length.

Usage: python office.py NOUN... gives twenty tools for each noun: create_invoice, find_invoice, and so on.
"""

import json
import sys
from typing import Any

NOUNS = (
    "account", "address", "agenda", "alarm", "album", "archive", "article", "asset", "backup", "badge", "branch",
    "budget", "calendar", "campaign", "certificate", "channel", "comment", "contact", "contract", "coupon", "customer",
    "dashboard", "deployment", "device", "document", "employee", "event", "experiment", "feature", "folder", "forecast",
    "image", "incident", "invoice", "label", "lesson", "mailbox", "meeting", "milestone", "order", "parcel", "payment",
    "playlist", "project", "recipe", "reservation", "sensor", "spreadsheet", "subscription", "ticket",
)  # fmt: skip
VERBS = (
    "approve", "assign", "cancel", "compare", "copy", "create", "delete", "describe", "export", "find", "import",
    "merge", "move", "print", "rename", "restore", "share", "split", "translate", "update",
)  # fmt: skip


def tool(verb: str, noun: str) -> dict[str, Any]:
    identifier = {"type": "string", "description": f"The identifier of the {noun}, as the list shows it."}
    fields = {"type": "object", "description": f"What the {noun} is to have, by name.", "additionalProperties": True}
    notify = {"type": "boolean", "description": "Whether the people concerned are told by mail.", "default": False}
    return {
        "name": f"{verb}_{noun}",
        "description": (
            f"{verb.capitalize()} a single {noun}. The {noun} has to exist and must not be locked by somebody else. "
            f"Returns the {noun} as it is afterwards, with its identifier and the time of the last change."
        ),
        "inputSchema": {
            "type": "object",
            "properties": {f"{noun}_id": identifier, "fields": fields, "notify": notify},
            "required": [f"{noun}_id"],
        },
    }


def serve(nouns: list[str]) -> None:
    tools = json.dumps([tool(verb, noun) for noun in nouns for verb in VERBS], separators=(",", ":"))
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        head = f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},'
        match message["method"]:
            case "tools/list":
                answer = f'"result":{{"tools":{tools}}}'
            case "initialize":
                result = {
                    "protocolVersion": message["params"]["protocolVersion"],
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "office", "version": "1"},
                }
                answer = f'"result":{json.dumps(result)}'
            case "ping":
                answer = '"result":{}'
            case method:
                answer = f'"error":{{"code":-32601,"message":{json.dumps(f"no method {method!r}")}}}'
        sys.stdout.write(f"{head}{answer}}}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1:])
