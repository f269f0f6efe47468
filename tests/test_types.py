"""What the types of the public interface say is so when it is run; .ci/run checks the same program by mypy."""

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
