"""Each room of the package imports only from itself and from those below it."""

import ast
from pathlib import Path

import pytest

import fastmlp
from fastmlp.exports import ESTIMATORS
from fastmlp.interchange import KINDS

PACKAGE = Path(fastmlp.__file__).parent
# from the bottom up, as docs/development.md has them
ROOMS = ["borrowed", "engine", "training", "data", "exports", "estimators", "tuning"]
ROOMS += ["interchange", "dask", "tracking", "cli", "__init__"]
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def _room(parts):
    return parts[0].removesuffix(".py") if parts else "__init__"


def _imported(path):
    """What a module imports of the package, wherever in it, as (line, path from the package's root, names)."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "fastmlp":
                    yield node.lineno, alias.name.split(".")[1:], []
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = node.module.split(".") if node.module else []
            if node.level:
                parts = [*path.parent.parts[: len(path.parent.parts) - node.level + 1], *module]
            elif module[0] == "fastmlp":
                parts = module[1:]
            else:
                continue
            if parts:
                yield node.lineno, parts, names
            else:  # rooms of the package, or names that it has itself
                for name in names:
                    yield node.lineno, [name] if name in ROOMS else [], [name]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_arrows_point_down(path):
    own = ROOMS.index(_room(path.parts))
    for line, parts, names in _imported(path):
        if not parts and names == ["__version__"]:
            continue
        assert ROOMS.index(_room(parts)) <= own, f"{path}:{line} imports {'.'.join(parts)}"


def test_imports_of_every_kind_are_seen():
    seen = {(path.as_posix(), parts[0]) for path in MODULES for _, parts, _ in _imported(path) if parts}
    assert {("__init__.py", "interchange"), ("interchange.py", "estimators"), ("training/lbfgs.py", "training")} <= seen
    assert {("estimators/exporting.py", "exports"), ("exports/files.py", "training")} <= seen
    assert {("training/fits.py", "training"), ("estimators/base.py", "engine")} <= seen


def _private_of_sklearn(path):
    """What a module imports of scikit-learn that is private, or stands in a private module of it."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *parts = name.split(".")
            if first == "sklearn" and any(part.startswith("_") for part in parts):
                yield name


def test_private_names_of_scikit_learn_are_borrowed_in_one_place():
    found = {path.as_posix(): names for path in MODULES if (names := [*_private_of_sklearn(path)])}
    assert list(found) == ["borrowed.py"]
    assert {"sklearn.base._fit_context", "sklearn.utils._param_validation.Interval"} <= {*found["borrowed.py"]}


def test_the_names_of_estimators_are_those_of_their_classes():
    assert {name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in KINDS.items()} == ESTIMATORS


def test_names_of_test_modules_are_unique():
    """Pytest imports each by its base name, so two of one name cannot be collected together."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
