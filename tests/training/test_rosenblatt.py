"""The loop over epochs: order of the rows and stopping, with a neuron that follows a script."""

import threading

import numpy as np
import pytest

from fastmlp.engine import permutation
from fastmlp.training.rosenblatt import train


class Scripted:
    """A neuron whose objectives are given."""

    norm, intercept = 1.5, -2.0

    def __init__(self, objectives):
        self.objectives, self.seen, self.settled = list(objectives), [], False
        self.coef = np.array([0.0, 3.0])

    def epoch(self, rows):
        self.seen.append(rows.tolist())
        objective = self.objectives.pop(0)
        if objective is None:
            raise FloatingPointError
        return 0.5 * objective, objective

    def settle(self):
        self.settled = True


def run(neuron, n_rows=4, **changes):
    options = {
        "held_out": None,
        "score": None,
        "max_iter": 10,
        "tol": 1.0,
        "n_iter_no_change": 2,
        "shuffle": False,
        "seed": 3,
        "verbose": 0,
        "cancelled": threading.Event(),
    }
    return train(neuron, n_rows, **options | changes)


@pytest.mark.parametrize(
    "means, tol, expected",
    [
        ([9, 5, 4.5, 4.2, 0], 1.0, 4),  # twice less than 1 better
        ([9, 5, 4.5, 3, 2.5, 2.2, 0], 1.0, 6),  # a better one starts the count anew
        ([9, 5, 5, 5, 5], 0.0, 5),  # as good is good enough for tol=0
        ([9, 5, 6, 5.5, 1], 0.0, 4),
        ([9, 9, 9, 9, 9], None, 5),
    ],
)
def test_stopping(means, tol, expected):
    neuron = Scripted([4 * mean for mean in means])
    assert run(neuron, max_iter=len(means), tol=tol) == expected == len(neuron.seen)
    assert neuron.settled


def test_scores_stop_in_place_of_the_objective():
    scores = [0.1, 0.6, 0.65, 0.5, 0.9]
    neuron = Scripted([9, 8, 7, 6, 5])
    assert run(neuron, tol=0.1, score=lambda coef, intercept: scores.pop(0)) == 4


def test_the_same_permutation_goes_on_from_epoch_to_epoch():
    neuron, step = Scripted([3, 2, 1]), permutation(7, 11)
    held_out = np.isin(np.arange(7), [2, 5])
    run(neuron, 7, held_out=held_out, shuffle=True, seed=11, max_iter=3, tol=None)
    order = np.arange(7)
    for seen in neuron.seen:
        order = order[step]
        assert seen == [row for row in order if row not in (2, 5)]


def test_without_shuffling_rows_come_in_order():
    neuron = Scripted([3, 2])
    run(neuron, max_iter=2)
    assert neuron.seen == [[0, 1, 2, 3]] * 2


def test_divergence_names_the_epoch():
    with pytest.raises(ValueError, match="Floating-point under-/overflow occurred at epoch #2"):
        run(Scripted([3, None]))


def test_another_thread_can_cancel():
    neuron, cancelled = Scripted(range(10)), threading.Event()
    cancelled.set()
    assert run(neuron, cancelled=cancelled) == 1


def test_verbose(capsys):
    run(Scripted([8, 8, 8]), held_out=np.array([True, False, False, False]), verbose=1, score=lambda *_: 0.25)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "-- Epoch 2"
    assert lines[4] == (
        "Norm: 1.50, NNZs: 1, Bias: -2.000000, T: 6, Avg. loss: 1.333333, Objective: 2.666667,"
        " Validation score: 0.250000"
    )
    assert lines[-1].startswith("Convergence after 3 epochs took ")
