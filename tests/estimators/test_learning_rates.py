"""learning_rate_curve_: the rate of the last update of each epoch, in closed form, over calls that go on."""

import math

import numpy as np
import pytest
from parity import data, pair, quietly

from fastmlp import MLPClassifier, MLPRegressor, from_sklearn
from fastmlp.training.schedules import SCHEDULES

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
N, EPOCHS, BATCH, RATE = len(X), 9, 16, 0.02
N_BATCHES = -(-N // BATCH)
LAST = N_BATCHES * np.arange(1, EPOCHS + 1) - 1  # number of the last update of each epoch
PLANNED = N_BATCHES * EPOCHS
PARAMS = {
    "hidden_layer_sizes": (5,), "max_iter": EPOCHS, "random_state": 0, "batch_size": BATCH, "learning_rate_init": RATE,
    "n_iter_no_change": math.inf,
}  # fmt: skip
UP = 0.3 * PLANNED - 1  # the update at which one_cycle is at its top


def _cosine(start, end, share):
    return end + (start - end) * (1 + np.cos(np.pi * share)) / 2


EXPECTED = {
    "constant": ({}, np.full(EPOCHS, RATE)),
    "invscaling": ({}, RATE / np.sqrt(N * np.arange(EPOCHS) + 1)),
    "step": ({"step_size": 2, "gamma": 0.5}, RATE * 0.5 ** (np.arange(EPOCHS) // 2)),
    "exponential": ({"gamma": 0.8}, RATE * 0.8 ** np.arange(EPOCHS)),
    "cosine": ({"min_lr": 0.001}, _cosine(RATE, 0.001, LAST / PLANNED)),
    "one_cycle": (
        {},
        np.where(
            LAST <= UP,
            _cosine(RATE / 25, RATE, LAST / UP),
            _cosine(RATE, RATE / 25e4, (LAST - UP) / (PLANNED - 1 - UP)),
        ),
    ),
    # no loss is better than the first by a share of 1e9: one epoch, and from then on two for each division
    "plateau": (
        {"patience": 1, "factor": 0.5, "threshold": 1e9},
        RATE / np.array([1, 1, 1, 2, 2, 4, 4, 8, 8]),
    ),
    # no loss is better than the best by tol=1e9: two epochs too many after the first, then two for each division
    "adaptive": ({}, RATE / np.array([1, 1, 1, 5, 5, 25, 25, 125, 125])),
}  # fmt: skip


def _params(schedule):
    options, expected = EXPECTED[schedule]
    params = {**PARAMS, "lr_schedule": schedule, "lr_schedule_params": options}
    if schedule == "adaptive":
        params |= {"tol": 1e9, "n_iter_no_change": 1}
    return params, expected


def test_every_schedule_is_tried():
    assert set(EXPECTED) == set(SCHEDULES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lion"])
@pytest.mark.parametrize("schedule", EXPECTED)
def test_rates_of_a_fit_are_those_of_the_formula(schedule, solver, dtype):
    params, expected = _params(schedule)
    told = []
    model = MLPClassifier(**params, solver=solver, dtype=dtype, callbacks=lambda *args: told.append(args))
    quietly(model.fit, X, LABELS)
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12)
    assert all(type(rate) is float for rate in model.learning_rate_curve_)
    assert [metrics["learning_rate"] for _, _, metrics in told] == model.learning_rate_curve_
    curves = [estimator.learning_rate_curve_ for estimator, _, _ in told]
    assert curves == [model.learning_rate_curve_[: i + 1] for i in range(EPOCHS)]


def test_warm_up_and_functions():
    params = {**PARAMS, "warmup": 3 * N_BATCHES}
    expected = RATE * np.minimum(1, np.arange(1, EPOCHS + 1) / 3)
    model = quietly(MLPRegressor(**params).fit, X, NUMBERS)
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12)
    model = quietly(MLPRegressor(**PARAMS, lr_schedule=lambda step: 1e-3 / (step + 2)).fit, X, NUMBERS)
    np.testing.assert_allclose(model.learning_rate_curve_, 1e-3 / (LAST + 2), rtol=1e-12)


@pytest.mark.parametrize("schedule", EXPECTED)
def test_partial_fit_goes_on(schedule):
    params, expected = _params(schedule)
    model = MLPRegressor(**params)
    for i in range(EPOCHS):
        model.partial_fit(X, NUMBERS)
        assert len(model.learning_rate_curve_) == len(model.loss_curve_) == i + 1
    np.testing.assert_allclose(model.learning_rate_curve_, expected, rtol=1e-12)


def test_warm_starts_go_on_and_others_start_anew():
    model = MLPRegressor(**PARAMS, lr_schedule="exponential", lr_schedule_params={"gamma": 0.5}, warm_start=True)
    quietly(model.fit, X, NUMBERS)
    once = list(model.learning_rate_curve_)
    quietly(model.fit, X, NUMBERS)
    assert model.learning_rate_curve_ == once + once and len(model.loss_curve_) == 2 * EPOCHS
    quietly(model.set_params(warm_start=False).fit, X, NUMBERS)
    assert model.learning_rate_curve_ == once
    quietly(model.set_params(solver="lbfgs", lr_schedule=None, lr_schedule_params=None).fit, X, NUMBERS)
    assert not hasattr(model, "learning_rate_curve_")


def test_epochs_of_scikit_learn_have_no_rate():
    ours, theirs = pair("multiclass", **PARAMS)
    quietly(theirs.fit, X, LABELS)
    taken = from_sklearn(theirs).partial_fit(X, LABELS)
    np.testing.assert_array_equal(taken.learning_rate_curve_, [math.nan] * EPOCHS + [RATE])
    # there and back: the epochs without a rate lie between
    there = quietly(ours.fit, X, LABELS).to_sklearn().partial_fit(X, LABELS)
    back = from_sklearn(there).partial_fit(X, LABELS)
    np.testing.assert_array_equal(back.learning_rate_curve_, [RATE] * EPOCHS + [math.nan, RATE])
    assert len(back.loss_curve_) == EPOCHS + 2
