"""Rates, schedules and the memory of optimizers."""

import pickle
from itertools import chain

import numpy as np
import pytest
from params import PARAMS
from twin import TwinNetwork

from fastmlp.engine import OPTIMIZERS, Network
from fastmlp.training.optimizers import RULES, Optimizer


def _networks(dtype=np.float64):
    for kind in (Network, TwinNetwork):
        yield kind((5, 7, 3), "tanh", "squared_error", dtype)


def test_every_optimizer_of_the_engine_has_its_rule():
    assert set(RULES) == set(OPTIMIZERS)


def test_hyperparameters_go_under_the_names_of_the_engine():
    assert Optimizer("sgd", PARAMS).hyper == {"momentum": 0.7, "nesterov": False}
    assert Optimizer("adam", PARAMS).hyper == {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-5}


def test_invscaling_is_a_power_of_the_rows_seen():
    optimizer = Optimizer("sgd", {**PARAMS, "learning_rate": "invscaling"})
    assert optimizer.learning_rate == 0.2
    optimizer.iteration_ends(99)
    assert optimizer.learning_rate == pytest.approx(0.02)
    assert optimizer.trigger_stopping("none", False)


def test_adaptive_divides_by_five_until_it_is_small(capsys):
    optimizer = Optimizer("sgd", {**PARAMS, "learning_rate": "adaptive"})
    divisions = 0
    while not optimizer.trigger_stopping("No gain.", True):
        divisions += 1
    assert divisions == 8 and optimizer.rate == pytest.approx(0.2 / 5**8)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "No gain. Setting learning rate to 0.040000"
    assert printed[-1] == "No gain. Learning rate too small. Stopping."


@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
def test_adam_has_no_schedule(schedule, capsys):
    optimizer = Optimizer("adam", {**PARAMS, "learning_rate": schedule})
    optimizer.iteration_ends(99)
    assert optimizer.trigger_stopping("No gain.", True)
    assert capsys.readouterr().out == "No gain. Stopping.\n"
    assert optimizer.rate == 0.2


def test_the_rate_shown_of_adam_has_the_bias_corrections_of_its_last_update():
    optimizer = Optimizer("adam", PARAMS)
    assert optimizer.learning_rate == 0.2
    optimizer.t = 3
    assert optimizer.learning_rate == pytest.approx(0.2 * np.sqrt(1 - 0.95**3) / (1 - 0.8**3), rel=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_are_views_of_the_state_that_the_engine_writes(name):
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((20, 5)), rng.standard_normal((20, 3))
    moments = []
    for network in _networks():
        for array in network.coefs + network.intercepts:
            array[...] = np.random.RandomState(array.size).standard_normal(array.shape)
        optimizer = Optimizer(name, PARAMS).on(network)
        network.bind(X, y)
        for _ in range(2):
            network.epoch(None, 7, optimizer, 0.1)
        assert optimizer.t == 6
        moments.append(optimizer.moments)
    assert len(moments[0]) == OPTIMIZERS[name]
    for ours, expected in zip(list(chain(*moments[0])), list(chain(*moments[1])), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_move_to_other_layouts_and_through_pickles(name):
    engine, twin = _networks()
    optimizer = Optimizer(name, PARAMS).on(engine)
    for moment in list(chain(*optimizer.moments)):
        moment[...] = np.random.RandomState(moment.size).standard_normal(moment.shape)
    optimizer.t = 9
    stored = pickle.dumps(optimizer)
    n_params = engine.n_params * OPTIMIZERS[name]
    assert 8 * n_params < len(stored) < 8 * n_params + 2000
    single = next(_networks(np.float32))
    for moved in (
        optimizer.on(twin),
        pickle.loads(stored).on(engine),
        optimizer.on(twin).on(engine),
        optimizer.on(single).on(engine),
    ):
        assert moved.fits(engine) and (moved.t, moved.rate, moved.hyper) == (9, 0.2, optimizer.hyper)
        for new, old in zip(list(chain(*moved.moments)), list(chain(*optimizer.moments)), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-6)
            assert not np.shares_memory(new, old)
    assert not optimizer.fits(Network((5, 3, 3), "tanh", "squared_error", np.float64))
