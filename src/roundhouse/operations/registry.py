"""Every operation there is."""

from __future__ import annotations

from typing import Any

from roundhouse.operations.approvals import APPROVE, DENY, LIST_APPROVALS
from roundhouse.operations.care import EXPLAIN, READ_LOGS
from roundhouse.operations.health import CHECK_HEALTH
from roundhouse.operations.house import HOUSE_STATUS, LEAVE
from roundhouse.operations.imports import IMPORT_SERVERS
from roundhouse.operations.operation import Operation
from roundhouse.operations.secrets import LIST_SECRETS, REMOVE_SECRET, SET_SECRET
from roundhouse.operations.servers import (
    ADD_SERVER,
    CONFIGURE_SERVER,
    LIST_SERVERS,
    REMOVE_SERVER,
    RESTART_SERVER,
    START_SERVER,
    STOP_SERVER,
)
from roundhouse.operations.tools import CALL_TOOL, DESCRIBE_TOOL, LIST_TOOLS, SEARCH_TOOLS

_ALL: tuple[Operation[Any, Any], ...] = (
    LIST_SERVERS,
    ADD_SERVER,
    REMOVE_SERVER,
    CONFIGURE_SERVER,
    START_SERVER,
    STOP_SERVER,
    RESTART_SERVER,
    IMPORT_SERVERS,
    SEARCH_TOOLS,
    DESCRIBE_TOOL,
    CALL_TOOL,
    CHECK_HEALTH,
    READ_LOGS,
    EXPLAIN,
    LIST_APPROVALS,
    LIST_TOOLS,
    APPROVE,
    DENY,
    LIST_SECRETS,
    SET_SECRET,
    REMOVE_SECRET,
    HOUSE_STATUS,
    LEAVE,
)
OPERATIONS: dict[str, Operation[Any, Any]] = {operation.name: operation for operation in _ALL}
