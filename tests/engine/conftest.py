"""SciPy's BLAS is held to one thread around every test, as trainers hold it around a fit."""

import pytest

from fastmlp.engine import single_threaded_blas


@pytest.fixture(autouse=True)
def one_blas_thread():
    with single_threaded_blas():
        yield
