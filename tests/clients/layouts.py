"""Any JSON object in any layout, as nobody would write it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

texts = st.text(max_size=8) | st.sampled_from(["{", "}", '"', "//", "/*", "*/", ",", "\\", "[mcp]"])
numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
gaps = st.sampled_from(["", "", "", " ", "\n", "\r\n", "\t", "\n    ", " /* , } */ ", '// { "a": ]\n', "/* \n */"])


@st.composite
def documents(draw: st.DrawFn, key: str) -> str:
    """An object, perhaps with an object of whatever under `key`, in which there is no `new` and no `roundhouse`."""
    document = draw(st.dictionaries(st.text(max_size=5), values, max_size=3))
    container = draw(st.none() | st.dictionaries(st.text(max_size=5), values, max_size=3))
    document.pop(key, None)
    if container is not None:
        document[key] = {name: value for name, value in container.items() if name not in ("new", "roundhouse")}
    if draw(st.booleans()):
        return json.dumps(
            document, indent=draw(st.sampled_from([None, 0, 1, 4, "\t"])), ensure_ascii=draw(st.booleans())
        )
    return draw(gaps) + _laid_out(document, draw) + draw(gaps)


def _laid_out(value: Any, draw: st.DrawFn) -> str:
    def items(pieces: list[str]) -> str:
        if not pieces:
            return draw(gaps)
        return ",".join(draw(gaps) + piece + draw(gaps) for piece in pieces) + draw(st.sampled_from(["", ",", " ,\n"]))

    if isinstance(value, dict):
        return (
            "{"
            + items([json.dumps(k) + draw(gaps) + ":" + draw(gaps) + _laid_out(v, draw) for k, v in value.items()])
            + "}"
        )
    if isinstance(value, list):
        return "[" + items([_laid_out(one, draw) for one in value]) + "]"
    return json.dumps(value)
