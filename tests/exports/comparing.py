"""Whether two models are the same, to the bit."""

import os
import pickle

import numpy as np
from sklearn.preprocessing import LabelBinarizer

import fastmlp
from fastmlp.data.tables import TableEncoder
from fastmlp.training.ensembles import Member
from fastmlp.training.optimizers import Optimizer
from fastmlp.training.recipes import Recipe


def same(a, b):
    """Equal to the bit, types included, but that NumPy's numbers are Python's."""
    a, b = (value.item() if isinstance(value, np.generic) else value for value in (a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        values = a.dtype == b.dtype and (a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes())
        return values and a.shape == b.shape and a.flags.writeable == b.flags.writeable
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.random.RandomState):
        return same(a.get_state(), b.get_state())
    if isinstance(a, Optimizer):
        return same({"dropout_seed": None} | a.__getstate__(), {"dropout_seed": None} | b.__getstate__())
    if isinstance(a, LabelBinarizer | Member | Recipe):
        return same(vars(a), vars(b))
    if isinstance(a, TableEncoder):
        a, b = a.state(), b.state()
        return a.pop("names") == b.pop("names") and same(a, b)  # dates are of pandas or of Python
    return repr(a) == repr(b)


def state(model):
    """All that a pickle keeps but the random state, which every fit takes from the parameter."""
    return {name: value for name, value in model.__getstate__().items() if name != "_random_state"}


def through_file(model, tmp_path):
    """The model from a file, after checks that it is as from a pickle, and makes the same file."""
    path = tmp_path / "model.fastmlp"
    model.save(path)
    content = path.read_bytes()
    loaded = fastmlp.load(path)
    assert same(state(loaded), state(pickle.loads(pickle.dumps(model))))
    loaded.save(str(path))
    assert path.read_bytes() == content and os.listdir(tmp_path) == [path.name]
    return loaded
