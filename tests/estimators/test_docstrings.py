"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import fastmlp

MODULES = [module.name for module in pkgutil.walk_packages(fastmlp.__path__, "fastmlp.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_estimators_have_examples(name):
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(fastmlp, name))
    assert test.examples
