"""coefs_ and intercepts_ as the user left them are the truth."""

from itertools import chain

import numpy as np
import pytest
from parity import N_FEATURES, data, quietly

from fastmlp import MLPClassifier, MLPRegressor

X, Y = data("multi-output")
PARAMS = {"hidden_layer_sizes": (N_FEATURES, N_FEATURES), "max_iter": 4, "random_state": 0, "activation": "tanh"}


def _formula(model, X):
    a = X
    for i, (coef, intercept) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        a = a @ np.asarray(coef) + np.asarray(intercept)
        a = a if i == len(model.coefs_) - 1 else np.tanh(a)
    return a


def _in_place(model):
    model.coefs_[1] *= 0.5
    model.intercepts_[0] += 1


def _new_lists(model):
    model.coefs_ = [coef * 0.9 for coef in model.coefs_]
    model.intercepts_ = [intercept - 0.1 for intercept in model.intercepts_]


def _one_entry(model):
    model.coefs_[0] = np.ones_like(model.coefs_[0]) / 9


def _fortran(model):
    model.coefs_ = [np.asfortranarray(coef) * 1.1 for coef in model.coefs_]


def _nested_lists(model):
    model.coefs_ = [coef.round(2).tolist() for coef in model.coefs_]
    model.intercepts_ = [intercept.round(2).tolist() for intercept in model.intercepts_]


def _integers(model):
    model.coefs_[2] = np.sign(model.coefs_[2]).astype(int)
    model.intercepts_ = [0] * 3


def _swapped(model):
    model.coefs_[:2] = model.coefs_[1::-1]


def _transposed(model):
    model.coefs_[0] = model.coefs_[0].T


CHANGES = [_in_place, _new_lists, _one_entry, _fortran, _nested_lists, _integers, _swapped, _transposed]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("after", ["fit", "partial_fit"])
def test_what_is_assigned_is_what_predicts_and_trains(change, after):
    model = quietly(MLPRegressor(**PARAMS).fit, X, Y)
    if after == "partial_fit":  # with the network still at hand
        model.partial_fit(X, Y).partial_fit(X, Y)
    change(model)
    np.testing.assert_allclose(model.predict(X), _formula(model, X), rtol=1e-10, atol=1e-12)
    assigned = [np.array(a, dtype=float) for a in model.coefs_]
    scalars = [np.array(a, dtype=float) for a in model.intercepts_]

    fresh = quietly(MLPRegressor(**PARAMS, solver="sgd", momentum=0.0, shuffle=False).fit, X, Y)
    fresh.coefs_, fresh.intercepts_ = (
        assigned,
        [np.broadcast_to(b, c.shape[1]) for b, c in zip(scalars, assigned, strict=True)],
    )
    model.set_params(solver="sgd", momentum=0.0, shuffle=False)
    for trained in (model, fresh):
        trained.partial_fit(X, Y)
    for a, b in zip(model.coefs_ + model.intercepts_, fresh.coefs_ + fresh.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, before in zip(model.coefs_, assigned, strict=True):
        assert 0 < np.abs(a - before).max() < 0.1

    model.set_params(warm_start=True, learning_rate_init=1e-9, max_iter=1)
    change(model)
    expected = [np.array(a, dtype=float) for a in model.coefs_]
    quietly(model.fit, X, Y)
    for a, b in zip(model.coefs_, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)


def test_partial_fit_trains_in_place_and_fit_does_not():
    model = quietly(MLPRegressor(**PARAMS).fit, X, Y)
    fitted = list(model.coefs_)
    model.partial_fit(X, Y)
    trained = list(model.coefs_)
    model.partial_fit(X, Y)
    assert all(a is b for a, b in zip(model.coefs_, trained, strict=True))
    model.set_params(warm_start=True)
    quietly(model.fit, X, Y)
    assert not any(np.shares_memory(a, b) for a in model.coefs_ for b in (*trained, *fitted))


def test_arrays_given_to_two_models_are_trained_by_neither():
    one = quietly(MLPRegressor(**PARAMS).fit, X, Y)
    other = quietly(MLPRegressor(**PARAMS).fit, X, Y)
    other.coefs_, other.intercepts_ = one.coefs_, one.intercepts_
    before = one.predict(X)
    other.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(one.predict(X), before)


def test_other_precision_is_that_of_the_next_call():
    single = X.astype(np.float32)
    model = quietly(MLPRegressor(**PARAMS).fit, single, Y)
    model.partial_fit(single, Y)
    moments = [m.copy() for m in list(chain(*model._optimizer.moments))]
    model.coefs_ = [coef.astype(np.float64) for coef in model.coefs_]
    assert model.predict(single).dtype == np.float64
    model.set_params(learning_rate_init=1.0).partial_fit(single, Y)
    arrays = model.coefs_ + model.intercepts_ + list(chain(*model._optimizer.moments))
    assert {a.dtype for a in arrays} == {np.dtype(np.float64)}
    # the moments went along: adam's first is now 0.9 of what it was and 0.1 of a gradient of its size
    for old, new in zip(moments, list(chain(*model._optimizer.moments)), strict=True):
        assert 0.5 < np.linalg.norm(new) / np.linalg.norm(old) < 2


def test_float64_data_do_not_change_a_float32_model():
    model = quietly(
        MLPClassifier(hidden_layer_sizes=5, max_iter=3, random_state=0).fit, X.astype(np.float32), Y.argmax(1)
    )
    model.partial_fit(X, Y.argmax(1))
    assert {a.dtype for a in model.coefs_} == {np.dtype(np.float32)}


def test_a_model_built_by_hand_predicts():
    model = MLPClassifier(activation="identity")
    model.coefs_, model.intercepts_ = [[[1.0], [2.0]]], [[-2.0]]
    model.n_features_in_, model.n_outputs_, model.out_activation_ = 2, 1, "logistic"
    model.classes_ = np.array(["a", "b"])
    rows = np.array([[1.0, 1.0], [0.0, 0.5]])
    np.testing.assert_allclose(model.predict_proba(rows)[:, 1], 1 / (1 + np.exp([-1.0, 1.0])))
    assert list(model.predict(rows)) == ["b", "a"]
