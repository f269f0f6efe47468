"""Weights of members, and averages by them."""

import numpy as np
import pytest

from fastmlp import TabularMLPRegressor
from fastmlp.training.ensembles import greedy_weights, n_folds_of, weighted_average
from fastmlp.training.portfolio import CLASSIFICATION, REGRESSION


def slow_weights(outputs, score, n_steps):
    """The definition: every bag of one model more is averaged anew, row by row."""
    outputs = [one.astype(np.float64) for one in outputs]
    everything = np.nanmean(outputs, axis=0)
    bag, bags, scores = [], [], []
    for _ in range(n_steps):
        candidates = []
        for i in range(len(outputs)):
            stacked = np.array([outputs[j] for j in [*bag, i]])
            known = ~np.isnan(stacked).all(axis=(0, 2))
            average = everything.copy()
            average[known] = np.nanmean(stacked[:, known], axis=0)
            candidates.append(score(average))
        bag = [*bag, int(np.argmax(candidates))]
        bags.append(bag)
        scores.append(max(candidates))
    best = bags[int(np.argmax(scores))]
    return np.bincount(best, minlength=len(outputs)) / len(best)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_greedy_weights_are_those_of_the_definition(gaps, n_outputs):
    rng = np.random.default_rng(n_outputs)
    truth = rng.normal(size=(97, n_outputs))
    outputs = [(truth + scale * rng.normal(size=truth.shape)).astype(np.float32) for scale in (1.0, 0.7, 0.9, 3.0)]
    if gaps:
        outputs[1][::3] = np.nan
        outputs[2][:40] = np.nan

    def score(average):
        return -float(np.mean((average - truth) ** 2))

    weights = greedy_weights(outputs, score, 12)
    np.testing.assert_array_equal(weights, slow_weights(outputs, score, 12))
    assert weights.sum() == pytest.approx(1) and weights[3] < weights[1]
    assert np.count_nonzero(weights) > 1


def test_the_only_good_model_has_all_the_weight():
    truth = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    outputs = [truth[::-1], truth, np.full_like(truth, np.inf)]

    def score(average):
        assert np.isfinite(average).all()
        return -float(np.abs(average - truth).max())

    weights = greedy_weights(outputs, score)
    np.testing.assert_array_equal(weights, [0, 1, 0])


def test_weighted_average():
    outputs = [np.float32([[1], [np.nan], [np.nan]]), np.float32([[3], [5], [np.nan]]), np.float32([[9], [9], [7]])]
    average = weighted_average(outputs, [0.75, 0.25, 0.0])
    np.testing.assert_allclose(average, [[1.5], [5], [7]])
    assert average.dtype == np.float32


@pytest.mark.parametrize(("n_members", "n_folds"), [(2, 2), (5, 5), (9, 9), (10, 5), (23, 5)])
def test_folds_of_members(n_members, n_folds):
    assert n_folds_of(n_members) == n_folds


def test_portfolio():
    for recipes in (CLASSIFICATION, REGRESSION):
        assert len(set(recipes)) == len(recipes) > 10
        # the default trains the first three of them: they differ in what they make of numbers
        assert len({(recipe.frequencies > 0, recipe.n_bins) for recipe in recipes[:3]}) > 1


def test_recipes_of_regression_are_for_different_targets():
    def unexplained(recipe, X, y):
        return 1 - TabularMLPRegressor(2, recipe=recipe, random_state=0).fit(X, y).oof_score_

    bins, waves = REGRESSION[:2]
    X = np.random.default_rng(0).uniform(size=(500, 4))
    steps = np.floor(4 * X[:, 0]) * X[:, 1] + np.sin(12 * X[:, 2]) + (X[:, 3] > 0.5)
    assert unexplained(bins, X, steps) < 0.6 * unexplained(waves, X, steps)
    smooth = np.sin(np.pi * X[:, 0] * X[:, 1]) + 2 * (X[:, 2] - 0.5) ** 2 + X[:, 3]
    assert unexplained(waves, X, smooth) < 0.8 * unexplained(bins, X, smooth)
