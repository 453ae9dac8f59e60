"""What can go wrong between a person and the house, and the exit code each kind of it gives."""

from __future__ import annotations

from collections.abc import Mapping

from roundhouse.errors import RoundhouseError

FAILED = 1  # what was asked for was not done
USAGE = 2
NO_HOUSE = 3
NO_PERSON = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
NO_READER = 141  # 128 + SIGPIPE


class Refused(RoundhouseError):
    """The house, or the server behind a tool, answered with an error: its code, its words, its facts."""

    code = "RH_REFUSED"

    def __init__(self, code: str, message: str, facts: Mapping[str, object]) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class BadUsage(RoundhouseError):
    """The command line makes no sense; nothing was sent."""

    code = "RH_USAGE"


class HouseUnavailable(RoundhouseError):
    """There is no house, none can be started, or it went away before it had answered."""

    code = "RH_HOUSE_UNAVAILABLE"


class NeedsPerson(RoundhouseError):
    """Only a person at a terminal may say yes to this, or a settings file that says so; nothing was sent."""

    code = "RH_NEEDS_PERSON"


class Declined(RoundhouseError):
    """The person was asked and did not say yes; nothing was done."""

    code = "RH_DECLINED"


def exit_code(failure: RoundhouseError) -> int:
    """What the process ends with after this failure."""
    match failure:
        case BadUsage():
            return USAGE
        case HouseUnavailable():
            return NO_HOUSE
        case NeedsPerson():
            return NO_PERSON
        case _:
            return FAILED
