"""What strangers get: the manifest, the wheel, and numbers that agree with each other."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import jsonschema
import pytest

from roundhouse import __version__
from roundhouse.__main__ import command_line
from roundhouse.settings.packed import resource

ROOT = Path(__file__).parents[1]
MANIFEST = json.loads((ROOT / "server.json").read_text())


def test_the_manifest_is_valid_for_the_registry() -> None:
    schema = json.loads((ROOT / "tests/data/registry-server.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(MANIFEST)


@pytest.mark.parametrize(
    ("member", "value"),
    [("name", "no-slash"), ("description", "x" * 101), ("version", 1), ("packages", [{"registryType": "pypi"}])],
)
def test_the_manifests_schema_refuses_what_the_registry_refuses(member: str, value: object) -> None:
    schema = json.loads((ROOT / "tests/data/registry-server.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**MANIFEST, member: value}, schema)


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (package,) = MANIFEST["packages"]
    assert {project["version"], MANIFEST["version"], package["version"]} == {__version__}
    assert package["identifier"] == project["name"]
    assert project["name"] in project["scripts"]  # `uvx IDENTIFIER ARGUMENTS` starts the script of that name
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_manifests_arguments_are_a_command_line_we_understand() -> None:
    arguments = MANIFEST["packages"][0]["packageArguments"]
    argv = [part for one in arguments for part in (one.get("name"), one.get("value")) if part]
    asked = command_line().parse_args(argv)
    assert asked.command == "serve"
    assert not asked.standalone


def test_prompts_are_found_in_a_checkout() -> None:
    assert "search_tools" in resource("prompts/instructions.md")


def test_the_wheel_holds_prompts_templates_and_definitions(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for expected in (
        "roundhouse/prompts/instructions.md",
        "roundhouse/templates/starter/server.py",
        "roundhouse/operations/operations.json",
        "roundhouse/py.typed",
        "roundhouse/store/migrations/facts/001_begin.sql",
    ):
        assert expected in names
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = "from roundhouse.settings.packed import resource; print(len(resource('prompts/instructions.md')))"
    clean = {"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert int(ended.stdout) > 100, ended.stderr
