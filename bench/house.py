"""What the house is like to live with: one home with fifty known servers and a thousand tools, measured in rounds.

A round begins without a house. The front that starts one, those that come when it has left, a command, those that come
beside another, the list and the search are measured one after the other, and what the same costs without us.
"""

import json

from .client import Session, started
from .contenders import DIRECT, HERE, HOUSE, Contender
from .home import Home, temporary_home
from .measure import Readings
from .processes import family, memory_mb
from .servers.office import NOUNS, VERBS

OFFICE = (HOUSE.command[0], "-S", str(HERE / "servers" / "office.py"))
TOOLS = len(NOUNS) * len(VERBS)
STARTS = 3  # a round: a start varies more than anything else
LISTS = 15  # a round
SEARCHES = 10  # a round, each for something else
COMMANDS = 3  # a round
ALL_TOOLS = Contender("direct", (*OFFICE, *NOUNS), servers="none")  # one server has them all: what moving them costs

CONNECTED, CONNECTED_BESIDE = "start_to_connected_ms", "start_to_connected_beside_others_ms"
COLD, WARM, WARM_BESIDE = "cold_list_s", "warm_list_s", "warm_list_beside_others_s"
FRONT_RSS, FIRST_FRONT_RSS = "front_rss_mb", "first_front_rss_mb"
HOUSE_RSS, HOUSE_PSS = "house_at_rest_rss_mb", "house_at_rest_pss_mb"
AGAIN = "listed_again_ms"
FIRST_SEARCH, SEARCH = "first_search_ms", "search_ms"
FIRST_COMMAND, COMMAND = "first_command_ms", "command_ms"


def take_house(rounds: int, readings: Readings) -> None:
    """Measure a home with many known servers; raises `ContenderError` where it answers wrongly."""
    with temporary_home() as home:
        config = home.folder / "many.json"
        servers = {noun: {"command": OFFICE[0], "args": [*OFFICE[1:], noun]} for noun in NOUNS}
        config.write_text(json.dumps({"mcpServers": servers}))
        home.learn(config, expose="all")
        take_round(home, 0, Readings())  # byte code is cached, files are in memory
        for number in range(rounds):
            take_round(home, number, readings)


def take_round(home: Home, number: int, readings: Readings) -> None:
    home.down()
    with started(HOUSE, home) as first:
        first.greet()
        listed(first)
        readings.note(HOUSE, COLD, first.age())
        take_memory_at_rest(first, home, readings)
    for _ in range(STARTS):
        with started(DIRECT, home) as server:
            readings.note(DIRECT, CONNECTED, server.greet() * 1000)
        take_front_start(home, CONNECTED, WARM, readings)
    for turn in range(COMMANDS + 1):
        readings.note(HOUSE, COMMAND if turn else FIRST_COMMAND, home.command("list") * 1000)
    with started(HOUSE, home) as front, started(ALL_TOOLS, home) as direct:
        front.greet()
        direct.greet()
        for _ in range(STARTS):
            take_front_start(home, CONNECTED_BESIDE, WARM_BESIDE, readings)
        for _ in range(LISTS):
            readings.note(DIRECT, AGAIN, listed(direct))
            readings.note(HOUSE, AGAIN, listed(front))
        nobody_started(front, home)
        take_searches(front, number, readings)


def take_memory_at_rest(front: Session, home: Home, readings: Readings) -> None:
    """After a list, before anything was managed or called."""
    nobody_started(front, home)
    readings.note(HOUSE, FIRST_FRONT_RSS, memory_mb(family(front.pid))[0])
    rss, pss = memory_mb(home.pids())
    readings.note(HOUSE, HOUSE_RSS, rss)
    readings.note(HOUSE, HOUSE_PSS, pss)


def take_front_start(home: Home, connected: str, warm: str, readings: Readings) -> None:
    """While a house runs."""
    with started(HOUSE, home) as front:
        readings.note(HOUSE, connected, front.greet() * 1000)
        listed(front)
        readings.note(HOUSE, warm, front.age())
        readings.note(HOUSE, FRONT_RSS, memory_mb(family(front.pid))[0])


def take_searches(front: Session, number: int, readings: Readings) -> None:
    """For tools that are there, a different one each time."""
    for turn in range(SEARCHES + 1):
        place = (number * SEARCHES + turn) * 7
        verb, noun = VERBS[place % len(VERBS)], NOUNS[place % len(NOUNS)]
        took, answer = front.call("search_tools", query=f"{verb} one {noun} and tell the team")
        if f"{noun}__{verb}_{noun}".encode() not in answer:
            raise front.failed(f"did not find {noun}__{verb}_{noun} in {len(answer)} bytes of matches")
        readings.note(HOUSE, SEARCH if turn else FIRST_SEARCH, took * 1000)


def listed(session: Session) -> float:
    """Milliseconds from asking for the list to having it, with every tool on it."""
    took, answer = session.list_tools()
    if answer.count(b'"inputSchema"') < TOOLS:
        raise session.failed(f"lists {answer.count(b'inputSchema')} tools instead of {TOOLS} or more")
    return took * 1000


def nobody_started(front: Session, home: Home) -> None:
    """A house at rest is two processes, the reaper and the house: no server runs."""
    if len(home.pids()) != 2:
        raise front.failed(f"has {len(home.pids())} processes at rest instead of a reaper and a house")
