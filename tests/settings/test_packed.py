"""Files that come with the package are found, in a checkout as in a wheel."""

from __future__ import annotations

import pytest

from roundhouse.settings.packed import resource


def test_what_comes_with_the_package_can_be_read() -> None:
    assert resource("prompts/instructions.md").startswith("---\n")
    with pytest.raises(FileNotFoundError):
        resource("prompts/no-such-prompt.md")
