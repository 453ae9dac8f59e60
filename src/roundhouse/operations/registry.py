"""Every operation there is."""

from __future__ import annotations

from typing import Any

from roundhouse.operations.care import READ_LOGS
from roundhouse.operations.operation import Operation
from roundhouse.operations.servers import LIST_SERVERS, RESTART_SERVER, START_SERVER, STOP_SERVER
from roundhouse.operations.tools import CALL_TOOL

OPERATIONS: dict[str, Operation[Any, Any]] = {
    "list_servers": LIST_SERVERS,
    "start_server": START_SERVER,
    "stop_server": STOP_SERVER,
    "restart_server": RESTART_SERVER,
    "call_tool": CALL_TOOL,
    "read_logs": READ_LOGS,
}
