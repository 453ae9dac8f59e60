"""`python -m demo`: one house, two clients and three real servers, in readable lines and under a minute.

Everything shown has happened. Exit code 0: every step did what it says. 1: one did not; the reason and the last lines
of Roundhouse's logs are shown. 130: interrupted. In every case no process and no file of it is left.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from mcp import MCPError

from . import orphans
from .home import open_home
from .page import Page, StepFailed
from .tour import GONE_WITHIN, tour
from .workbench import set_up

LOG_LINES = 15  # of each of Roundhouse's logs, shown when a step has failed
INTERRUPTED = 130  # exit code, as a shell has it for Ctrl-C
EXPECTED = (StepFailed, MCPError, TimeoutError, OSError)  # their message is enough; anything else is a bug of ours


def main() -> int:
    """Run the demo. Returns the exit code."""
    end_like_ctrl_c(signal.SIGTERM, signal.SIGHUP)
    orphans.adopt_orphans()
    page = Page()
    print("Roundhouse: one MCP server that looks after all your others. It is shown with three of them.")
    print("The person is played: what she would type is typed for her, on a terminal of its own. All else is real.")
    try:
        with TemporaryDirectory(prefix="roundhouse-demo-") as folder, log_shown_on_failure(Path(folder)):
            bench = set_up(page, Path(folder))
            with open_home(Path(folder), bench.environment) as home:
                anyio.run(tour, page, bench, home)
        page.line("the temporary folder is removed")
    except KeyboardInterrupt:
        return ended(f"interrupted in step {page.steps}", INTERRUPTED)
    except Exception as error:
        cause = first_cause(error)
        if not isinstance(cause, EXPECTED):
            traceback.print_exception(cause)
        return ended(f"step {page.steps} failed: {cause or type(cause).__name__}", 1)
    print(f"\ndemo: {page.steps} steps done, no process left")
    return 0


def end_like_ctrl_c(*numbers: signal.Signals) -> None:
    """However it is ended, it cleans up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    for number in numbers:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


@contextmanager
def log_shown_on_failure(folder: Path) -> Iterator[None]:
    """The end of each log of Roundhouse's own, before the folder they lie in is removed."""
    try:
        yield
    except Exception:
        for log in (*folder.glob("*.log"), *folder.glob("home/logs/*.log")):
            if last := log.read_text(errors="replace").splitlines()[-LOG_LINES:]:
                print(f"\nThe end of {log.name}:")
                print("\n".join(f"  {line}" for line in last))
        raise


def ended(how: str, code: int) -> int:
    """Say how it ended before its end, and leave as little behind as after a success. Returns the exit code."""
    print(f"\ndemo: {how}", file=sys.stderr)
    left = orphans.wait_while(orphans.running, GONE_WITHIN)
    print(f"demo: had to kill {orphans.counted(left)}" if left else "demo: no process left", file=sys.stderr)
    orphans.kill(left)
    return code


def first_cause(error: BaseException) -> BaseException:
    """What really happened, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
