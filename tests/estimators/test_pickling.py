"""Pickles: what they hold, and those of other versions."""

import copy
import copyreg
import io
import pickle
import warnings

import numpy as np
import pytest
from parity import data
from sklearn.base import clone

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Perceptron

X, LABELS = data("multiclass")
KINDS = [MLPClassifier, MLPRegressor, Perceptron]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _fitted(kind, **params):
    return kind(max_iter=4, random_state=0, **params).fit(X, LABELS)


def _pickled(model, version=None, without=(), **more):
    """A pickle as another version would have written it."""
    state = {name: value for name, value in model.__getstate__().items() if name not in without} | more
    if version is None:
        del state["_fastmlp_version"]
    else:
        state["_fastmlp_version"] = version

    class Writer(pickle.Pickler):
        def reducer_override(self, value):
            return (copyreg.__newobj__, (type(model),), state) if value is model else NotImplemented

    file = io.BytesIO()
    Writer(file).dump(model)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_has_its_version_and_no_random_state(kind):
    model = _fitted(kind)
    content = pickle.dumps(model)
    assert fastmlp.__version__.encode() in content and b"numpy.random" not in content
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert not hasattr(again, "_fastmlp_version") and not hasattr(again, "_random_state")
    assert again.get_params() == model.get_params()
    if kind is not Perceptron:
        assert isinstance(model._random_state, np.random.RandomState)
        for each in (model, again):
            each.partial_fit(X, LABELS)
        np.testing.assert_array_equal(again.coefs_[0], model.coefs_[0])


def test_a_random_state_that_is_a_parameter_stays():
    model = MLPRegressor(random_state=np.random.RandomState(3), max_iter=2).fit(X, LABELS)
    expected = copy.deepcopy(model.random_state).uniform()
    assert pickle.loads(pickle.dumps(model)).random_state.uniform() == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", [None, "0.0.1", fastmlp.__version__])
def test_parameters_that_came_later_have_their_defaults(kind, version):
    params = {"penalty": "l2"} if kind is Perceptron else {"dropout": 0.25}
    model = _fitted(kind, **params)
    later = ("tol", "n_iter_no_change") if kind is Perceptron else ("n_jobs", "scoring", "lr_schedule", "clip_norm")
    again = pickle.loads(_pickled(model, version, later))
    assert again.get_params() == model.get_params() == clone(again).get_params()
    assert repr(again) == repr(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for each in (model, again):
        each.partial_fit(X, LABELS)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.fit(X, LABELS).predict(X), _fitted(kind, **params).predict(X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_version_is_told(kind):
    content = _pickled(_fitted(kind), "99.1.dev3", not_known_here=3)
    with pytest.warns(UserWarning, match=rf"This pickle of {kind.__name__} was written by fastmlp 99.1.dev3, .* newer"):
        again = pickle.loads(content)
    np.testing.assert_array_equal(again.predict(X), _fitted(kind).predict(X))
    content = _pickled(_fitted(kind), fastmlp.__version__ + ".dev1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(content)


@pytest.mark.parametrize("missing", ["out_activation_", "intercepts_", "n_features_in_"])
def test_a_pickle_that_cannot_work_says_so(missing):
    content = _pickled(_fitted(MLPClassifier), "0.0.1", [missing])
    with pytest.raises(ValueError, match=f"by fastmlp 0.0.1, has coefs_ but not {missing}, and cannot be used"):
        pickle.loads(content)


def test_an_optimizer_of_another_version_is_left_out():
    model = _fitted(MLPClassifier, solver="nadam")
    coefs = [coef.copy() for coef in model.coefs_]
    del model._optimizer.memory
    content = pickle.dumps(model)
    with pytest.warns(UserWarning, match="The optimizer in this pickle .* has no memory: it is left out"):
        again = pickle.loads(content)
    for one, other in zip(again.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(one, other)
    again.partial_fit(X, LABELS)
    assert again._optimizer.t == -(-len(X) // 200)


def test_a_pickle_while_another_thread_adds_attributes(monkeypatch):
    """As `fit` does; here they come each time that the transient names are looked up."""
    model = _fitted(MLPRegressor)
    came = []

    class Growing(tuple):
        def __iter__(self):
            came.append(f"_came_{len(came)}")
            setattr(model, came[-1], 0)
            return super().__iter__()

    monkeypatch.setattr(MLPRegressor, "_transient", Growing(MLPRegressor._transient))
    again = pickle.loads(pickle.dumps(model))
    assert came
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
