"""What the types of the public interface say is so when it is run; .ci/run checks the same program by mypy."""

import ast
import importlib
import inspect
import warnings
from pathlib import Path

import pytest
import typed_program

import fastmlp


def test_the_package_says_that_it_has_types():
    package = Path(fastmlp.__file__).parent
    for name in ("py.typed", "__init__.pyi", "dask.pyi", "tuning/__init__.pyi", "engine/network.pyi"):
        assert (package / name).exists()


@pytest.mark.parametrize("part", [typed_program.classification, typed_program.regression])
def test_programs_run(part, tmp_path):
    pytest.importorskip("safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part(tmp_path)


def test_a_program_for_tables_runs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        typed_program.tables()


def test_a_picture_is_drawn(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    typed_program.picture()


def _stubbed(stub):
    """{class: names of the parameters of its constructor} of a stub."""
    made = {}
    for node in ast.parse(stub.read_text("utf-8")).body:
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                made[node.name] = [argument.arg for argument in [*method.args.args[1:], *method.args.kwonlyargs]]
    return made


@pytest.mark.parametrize("name", ["__init__", "dask", "tuning/__init__"])
def test_stubs_have_the_parameters(name):
    module = importlib.import_module(f"fastmlp.{name}".replace("/", ".").removesuffix(".__init__"))
    public = [getattr(module, cls) for cls in module.__all__]
    expected = {
        cls.__name__: list(inspect.signature(cls).parameters)
        for cls in public
        if hasattr(cls, "_parameter_constraints")
    }
    stubbed = _stubbed(Path(fastmlp.__file__).parent / f"{name}.pyi")
    assert stubbed == expected, "write the stubs again: python .ci/stubs.py"
