"""Files that are packed into the wheel: prompts and templates."""

from __future__ import annotations

from pathlib import Path


def resource(name: str) -> str:
    """The text of a file under `prompts/` or `templates/`: inside the wheel, or beside `src` in a checkout."""
    packed = Path(__file__).parents[1] / name
    beside = Path(__file__).parents[3] / name
    return (packed if packed.is_file() else beside).read_text(encoding="utf-8")
