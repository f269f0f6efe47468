"""SciPy's BLAS on one thread: counted over threads, and put back."""

import re
import threading

import pytest
import threadpoolctl

from fastmlp.engine import single_threaded_blas


@pytest.fixture(autouse=True)
def one_blas_thread():
    """In place of the folder's fixture: BLAS starts with two threads here."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert scipy_blas_threads() == {2}
        yield


def is_scipys(library):
    """Whether SciPy brings this BLAS; NumPy's wheel has its own, under a similar name."""
    return library["user_api"] == "blas" and re.search(r"scipy(\.libs|[\\/]\.dylibs)", library["filepath"])


def scipy_blas_threads():
    """The settings of the BLAS that SciPy brings."""
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if is_scipys(library)}


def test_it_is_put_back():
    with single_threaded_blas():
        assert scipy_blas_threads() == {1}
    assert scipy_blas_threads() == {2}


def test_it_is_put_back_after_an_exception():
    with pytest.raises(KeyError), single_threaded_blas():
        raise KeyError
    assert scipy_blas_threads() == {2}


def test_nested():
    with single_threaded_blas():
        with single_threaded_blas():
            assert scipy_blas_threads() == {1}
        assert scipy_blas_threads() == {1}
    assert scipy_blas_threads() == {2}


def test_the_last_of_several_threads_puts_it_back():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with single_threaded_blas():
            entered.set()
            leave.wait()

    holder = threading.Thread(target=hold, daemon=True)
    with single_threaded_blas():
        holder.start()
        entered.wait()
    # the first one in has left, another one is still inside
    assert scipy_blas_threads() == {1}
    leave.set()
    holder.join()
    assert scipy_blas_threads() == {2}


def test_other_libraries_keep_their_threads():
    def others():
        return [
            (library["filepath"], library["num_threads"])
            for library in threadpoolctl.threadpool_info()
            if not is_scipys(library)
        ]

    before = others()
    with single_threaded_blas():
        assert others() == before


def test_a_setting_made_later_is_found_next_time():
    with single_threaded_blas():
        pass
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        with single_threaded_blas():
            assert scipy_blas_threads() == {1}
        assert scipy_blas_threads() == {1}
    assert scipy_blas_threads() == {2}
