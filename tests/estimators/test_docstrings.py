"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import fastmlp

MODULES = [module.name for module in pkgutil.walk_packages(fastmlp.__path__, "fastmlp.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    try:
        doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS, raise_on_error=True)
    except doctest.UnexpectedException as error:
        missing = error.exc_info[1]
        if isinstance(missing, ModuleNotFoundError) and not missing.name.startswith("fastmlp"):
            pytest.skip(str(missing))
        raise


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor", "TabularMLPClassifier", "TabularMLPRegressor"])
def test_estimators_have_examples(name):
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(fastmlp, name))
    assert test.examples
