"""Documentation against code: tables that must agree with what runs, links that must lead somewhere.

`python -m docs.check` prints every disagreement with its place, and what was checked.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from roundhouse import errors
from roundhouse.operations.registry import OPERATIONS
from roundhouse.settings.entry import FOREIGN_KEYS, KEYS
from roundhouse.supervise.states import TRANSITIONS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/roundhouse"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

Problem = str


def main() -> int:
    problems = [*links(), *make_targets(), *rooms(), *names_in_code(), *states(), *operations(), *keys(), *codes()]
    for problem in problems:
        print(f"docs: {problem}")
    print(f"docs: {len(PAGES)} pages against the code, {len(problems)} disagreements")
    return bool(problems)


def links() -> Iterator[Problem]:
    """Relative links lead to files that are there."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                yield f"{name(page)}: the link {target!r} leads nowhere"


def make_targets() -> Iterator[Problem]:
    """Every `make x` there is to read is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:`|^\$? ?)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            if target not in targets:
                yield f"{name(page)}: there is no `make {target}`"


def rooms() -> Iterator[Problem]:
    """The table of rooms names every module, and no others."""
    page = ROOT / "docs/architecture.md"
    listed = {cell for row in table(page, "Room") for cell in re.findall(r"`([\w/]+)`", row[0])}
    there = {
        str(module.relative_to(SOURCE).with_suffix(""))
        for module in SOURCE.rglob("*.py")
        if module.name != "__init__.py" and module != SOURCE / "operations/__main__.py"
    }
    for missing in sorted(there - listed):
        yield f"{name(page)}: the room {missing} is not in the table"
    for gone in sorted(listed - there):
        yield f"{name(page)}: there is no room {gone}"


def names_in_code() -> Iterator[Problem]:
    """Every `room/module.Name.method` that a page mentions is defined there."""
    for page in PAGES:
        for module, path in re.findall(r"`(\w+/\w+)\.([A-Za-z_.]+)(?:\(\))?`", page.read_text()):
            file = SOURCE / f"{module}.py"
            if not file.exists() or not set(path.split(".")) <= defined(file):
                yield f"{name(page)}: `{module}.{path}` is not in the code"


def states() -> Iterator[Problem]:
    """The table of states is the table that runs."""
    page = ROOT / "docs/supervision.md"
    written = {(state, event): after for state, event, after in table(page, "State")}
    runs = {(str(state), str(event)): str(after) for (state, event), after in TRANSITIONS.items()}
    for key in sorted(written.keys() | runs.keys()):
        if written.get(key) != runs.get(key):
            yield f"{name(page)}: {key[0]}, {key[1]}: written {written.get(key)}, runs {runs.get(key)}"


def operations() -> Iterator[Problem]:
    """The table of operations has each one's arguments and effects."""
    page = ROOT / "docs/operations.md"
    written = {row[0].strip("`"): row[1:6] for row in table(page, "Tool")}
    for operation in OPERATIONS.values():
        effects = operation.effects
        flags = (effects.reads_only, effects.destroys, effects.idempotent, effects.open_world)
        arguments = ", ".join(f"`{field}`" for field in operation.input.model_fields)
        expected = [arguments, *("yes" if flag else "no" for flag in flags)]
        if written.get(operation.name) != expected:
            yield f"{name(page)}: {operation.name}: written {written.get(operation.name)}, is {expected}"
    for gone in sorted(written.keys() - OPERATIONS.keys()):
        yield f"{name(page)}: there is no operation {gone}"


def keys() -> Iterator[Problem]:
    """The table of configuration keys is the list that is accepted."""
    page = ROOT / "docs/configuration.md"
    written = [row[0].strip("`") for row in table(page, "Key of a server")]
    if sorted(written) != sorted(KEYS):
        yield f"{name(page)}: keys written {written}, accepted {list(KEYS)}"
    for key in sorted(FOREIGN_KEYS):
        if f"`{key}`" not in page.read_text():
            yield f"{name(page)}: the ignored key {key} is not mentioned"


def codes() -> Iterator[Problem]:
    """The table of errors has every code there is."""
    page = ROOT / "docs/errors.md"
    written = {row[0].strip("`") for row in table(page, "Code")}
    there = {errors.RoundhouseError.code}
    for module in SOURCE.rglob("*.py"):
        there |= set(re.findall(r"\"(RH_\w+)\"", module.read_text()))
    for code in sorted(written ^ there):
        yield f"{name(page)}: {code} is {'not in the code' if code in written else 'not explained'}"


def table(page: Path, first: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so."""
    lines = page.read_text().splitlines()
    start = next((n for n, line in enumerate(lines) if re.match(rf"\|\s*{re.escape(first)}\s*\|", line)), None)
    if start is None:
        return []
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def defined(file: Path) -> set[str]:
    """Names of the classes, functions and attributes a module defines."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
