"""Secrets of many shapes, the same in every run, that no other text holds by chance."""

from __future__ import annotations

import random
import string

LETTERS = string.ascii_letters + string.digits
SHAPES = (
    LETTERS,  # what an issuer makes
    LETTERS + "_-",
    LETTERS + "+/",
    string.hexdigits.lower(),
    string.digits,
    LETTERS + "\"'`",
    LETTERS + "\\/",
    LETTERS + " \t",
    LETTERS + "%&=?#:@+ ~!()*",
    LETTERS + "éüßñ漢字😀",
    LETTERS + "$<>|;{}[]^",
    string.printable,
)


def canaries(count: int = 200) -> dict[str, str]:
    """So many values by name: short and long, with whatever an encoder may trip over, of one line and of several."""
    dice = random.Random(39)
    found: dict[str, str] = {}
    for number in range(count):
        shape, length = SHAPES[number % len(SHAPES)], dice.choice((8, 9, 12, 16, 20, 33, 64))
        value = "".join(dice.choice(shape) for _ in range(length))
        if number % 10 == 0:
            value = f"https://user-{number}:{value}@host-{number}.example/?token={value}"
        if number % 10 == 5:
            value = "\n".join((value, f"second {dice.random()}", value[::-1]))
        if number % 25 == 7:
            value = "".join(dice.choice(LETTERS) for _ in range(4 + number % 2))  # looked for as a word
        if number % 25 == 8:
            value = "".join(dice.choice(LETTERS) for _ in range(6 + number % 2))
        found[f"CANARY_{number}"] = value
    return found
