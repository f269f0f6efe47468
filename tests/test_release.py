"""What a release is made of: one source of the version, and a changelog that names it."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import fastmlp

ROOT = Path(__file__).parents[1]
PACKAGE = Path(fastmlp.__file__).parent


def test_the_version_stands_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "fastmlp.__version__"}
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert [name for name, text in texts.items() if re.search("^__version__ = ", text, re.M)] == ["__init__.py"]
    try:
        assert version("fastmlp") == fastmlp.__version__
    except PackageNotFoundError:  # on the path without an installation
        pass


def test_the_changelog_names_the_version():
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("outside a checkout")
    headings = re.findall(r"^## (.*)$", changelog.read_text(), re.M)
    unreleased, *released = headings
    assert unreleased == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in released]
    assert all(found), released
    numbers = [tuple(map(int, match[1].split("."))) for match in found]
    assert numbers == sorted(numbers, reverse=True) and found[0][1] == fastmlp.__version__
    kinds = set(re.findall(r"^### (.*)$", changelog.read_text(), re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
