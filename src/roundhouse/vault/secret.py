"""A secret's name and value. The value does not show itself by accident: not in a log, a trace, a pickle."""

from __future__ import annotations

import re
from typing import NoReturn

from roundhouse.model.text import shorten
from roundhouse.vault import shapes
from roundhouse.vault.errors import BadSecret

LONGEST_NAME = 64  # characters
LONGEST_VALUE = 64 * 1024  # bytes; twice the longest key file, and half of what Linux lets one variable hold
SHOWN = "***"

_NAME = re.compile(rf"[A-Z][A-Z0-9_]{{0,{LONGEST_NAME - 1}}}")
_END_OF_LINE = re.compile(r"\r?\n\Z")


class Secret:
    """A value that only `reveal` gives away.

    Raises: `BadSecret` for one that is empty, too long, or that no process could be given.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise BadSecret("The value is empty. Give one, or remove the secret.")
        if "\0" in value:
            raise BadSecret("The value contains a NUL character, which no process can be given.")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise BadSecret("The value contains half a surrogate pair; it is no text.") from None
        if size > LONGEST_VALUE:
            raise BadSecret(
                f"The value has {size:,} bytes; at most {LONGEST_VALUE:,} can be kept. "
                "Keep it in a file that only you can read, and give the server its path."
            )
        self._value = value

    @classmethod
    def typed(cls, data: bytes) -> Secret:
        """What came from a prompt or stdin, without the one newline that ends it."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise BadSecret(
                "The value is not UTF-8. Encode it, for example with base64, if the server takes that."
            ) from None
        return cls(_END_OF_LINE.sub("", text))

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(SHOWN, spec)

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("secrets are not compared; compare what they reveal, where that is meant")

    __hash__ = None  # type: ignore[assignment]  # what cannot be compared is no key

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("secrets are not pickled or copied")


def check_name(name: str) -> None:
    """Raises: `BadSecret`, with a name that could be meant, where this is none.

    There are no small letters in a name, so that no two differ in capitals only.
    """
    if _NAME.fullmatch(name):
        return
    rule = f"Use 1 to {LONGEST_NAME} of A-Z, 0-9 and '_', beginning with a letter"
    if shapes.known(name) or shapes.random(name) or "=" in name:
        raise BadSecret(f"That is no name of a secret, it looks like a value; the value is asked for. {rule}.")
    better = name_from(name)
    example = f", for example {better}" if better else ""
    raise BadSecret(f"{shorten(name)!r} cannot be the name of a secret. {rule}{example}.")


def name_from(text: str) -> str:
    """The name a secret would have that is made from this text: `GITHUB_TOKEN` from `github-token`. May be empty."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text[: 4 * LONGEST_NAME])
    plain = re.sub(r"[^A-Z0-9]+", "_", spaced.upper()).strip("_")
    named = f"N{plain}" if plain[:1].isdigit() else plain
    return named[:LONGEST_NAME].rstrip("_")
