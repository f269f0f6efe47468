"""What fails leaves no trace: attributes and arrays get the values back that they had."""

from contextlib import contextmanager

import numpy as np

__all__ = ["restored_on_error", "unchanged_on_error"]


@contextmanager
def unchanged_on_error(instance):
    """Give an object the attributes back that it had, whatever was raised."""
    attributes = vars(instance)
    before = dict(attributes)
    try:
        yield
    except BaseException:
        attributes.update(before)
        for name in attributes.keys() - before.keys():
            del attributes[name]
        raise


@contextmanager
def restored_on_error(arrays, spare):
    """Give arrays that are changed in place their values back, whatever was raised.

    Parameters
    ----------
    arrays : list of ndarray
    spare : list of ndarray or None
        Buffers of an earlier use for the same arrays.

    Yields
    ------
    list of ndarray
        The buffers, for the next use.
    """
    if spare is None or len(spare) != len(arrays):
        spare = [np.empty_like(array) for array in arrays]
    for kept, array in zip(spare, arrays, strict=True):
        kept[...] = array
    try:
        yield spare
    except BaseException:
        for kept, array in zip(spare, arrays, strict=True):
            array[...] = kept
        raise
