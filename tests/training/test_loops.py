"""The loops over epochs and iterations, on the engine beside the twin, and on networks that only tell numbers."""

import math

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import shuffle
from twin import TwinNetwork

from fastmlp.engine import LOSS_ROWS, LOSSES, OPTIMIZERS, Network
from fastmlp.training import lbfgs
from fastmlp.training.arrays import Data
from fastmlp.training.fits import Fit
from fastmlp.training.progress import Progress

PARAMS = {
    "learning_rate_init": 0.01,
    "learning_rate": "constant",
    "power_t": 0.5,
    "momentum": 0.9,
    "nesterovs_momentum": True,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "batch_size": 8,
    "alpha": 0.01,
    "shuffle": True,
    "max_iter": 12,
    "tol": 1e-4,
    "n_iter_no_change": 10,
    "verbose": False,
    "early_stopping": False,
}


def _data(n):
    return Data(np.empty((n, 0)), np.empty(n), None, None, None)


def _problem(loss, n=30):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n, 6))
    row = LOSS_ROWS[loss]
    if row.target == "code":
        return X, rng.randint(3, size=n)
    if row.target == "bit":
        return X, rng.randint(2, size=(n, 3)).astype(np.uint8)
    y = {
        "any": rng.standard_normal((n, 3)),
        "y >= 0": rng.poisson(1.0, (n, 3)).astype(float),
        "y > 0": rng.gamma(2.0, size=(n, 3)),
    }[row.domain]
    return X, y


def _network(kind, loss, X, y):
    network = kind((6, 5, 3), "tanh", loss, np.float64)
    rng = np.random.RandomState(1)
    for array in network.coefs + network.intercepts:
        array[...] = rng.uniform(-0.5, 0.5, array.shape)
    network.bind(X, y)
    return network


def _train(network, name="sgd", n=30):
    fit = Fit(network, {**PARAMS, "solver": name}, np.random.RandomState(2), _data(n))
    fit.begin()
    fit.run()
    return fit.progress


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_engine_takes_the_steps_of_the_twin(loss, name):
    X, y = _problem(loss)
    networks = [_network(kind, loss, X, y) for kind in (Network, TwinNetwork)]
    progress = [_train(network, name=name) for network in networks]
    np.testing.assert_allclose(progress[0].losses, progress[1].losses, rtol=1e-10)
    assert progress[0].t == 12 * 30
    for a, b in zip(*(network.coefs + network.intercepts for network in networks), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_lbfgs_on_the_engine_and_on_the_twin(loss):
    X, y = _problem(loss)
    networks = [_network(kind, loss, X, y) for kind in (Network, TwinNetwork)]
    options = {"alpha": 0.1, "max_iter": 10, "max_fun": 15000, "tol": 1e-4, "verbose": False}
    results = []
    for network in networks:
        with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 10 iteration"):
            results.append(lbfgs.train(network, **options))
    assert results[0][0] == results[1][0] == 10
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-8)
    assert results[0][1] == pytest.approx(networks[0].loss_and_grad(None, 0.1)[0], rel=1e-12)
    for a, b in zip(*(network.coefs + network.intercepts for network in networks), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_lbfgs_prints_each_iteration(capsys):
    network = _network(Network, "squared_error", *_problem("squared_error"))
    n_iter, loss = lbfgs.train(network, alpha=1.0, max_iter=500, max_fun=15000, tol=0.05, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == n_iter and lines[-1] == f"Iteration {n_iter}, loss = {loss:.8f}"


class Told:
    """A network whose epochs lose what it is told, and whose one parameter counts them."""

    draws = False

    def __init__(self, losses, diverges_at=None):
        self.losses, self.seen = list(losses), []
        self.coefs, self.intercepts = [np.zeros((1, 1))], [np.zeros(1)]
        self.diverges_at = diverges_at

    def new_state(self):
        return np.zeros(2)

    def views(self, state):
        return [state[:1].reshape(1, 1)], [state[1:]]

    def epoch(self, rows, batch_size, optimizer, alpha):
        self.seen.append(None if rows is None else rows.copy())
        self.coefs[0] += 1
        if len(self.seen) == self.diverges_at:
            self.coefs[0][...] = np.nan
        loss = self.losses[len(self.seen) - 1]
        if isinstance(loss, BaseException):
            raise loss
        return loss


class Scores:
    """A validation whose scores are told."""

    scoring, with_loss = "told", False

    def __init__(self, scores):
        self.scores = iter(scores)

    def __call__(self):
        return next(self.scores), None


def _told(losses, scores=None, schedule="constant", progress=None, rows=None, relative_tol=False, **options):
    network = Told(losses, options.pop("diverges_at", None))
    incremental = options.pop("incremental", False)
    params = {**PARAMS, "max_iter": len(losses), "n_iter_no_change": 2, "tol": 0.1, "learning_rate": schedule}
    params |= {"solver": "sgd", "early_stopping": scores is not None, **options}
    fit = Fit(network, params, np.random.RandomState(3), _data(20), incremental=incremental)
    if scores is not None:
        fit.hold_out(lambda: (np.arange(20), np.arange(0)))
    fit.rows = rows if rows is not None else fit.rows
    fit.begin(None if scores is None else Scores(scores), relative_tol)
    fit.progress = progress or fit.progress
    fit.run()
    return network, fit.optimizer, fit.progress


def test_rows_come_in_the_order_of_shuffling_them_over_and_over():
    rows = np.arange(20)[::-1].copy()
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        network, _, _ = _told([4.0, 3.0, 2.0, 1.0], rows=rows)
    state, expected = np.random.RandomState(3), np.arange(20)[::-1]
    for seen in network.seen:
        expected = shuffle(expected, random_state=state)
        np.testing.assert_array_equal(seen, expected)


def test_rows_stay_as_they_are_without_shuffling():
    with pytest.warns(ConvergenceWarning):
        network, _, _ = _told([2.0, 1.0], rows=np.arange(20), shuffle=False)
    for seen in network.seen:
        np.testing.assert_array_equal(seen, np.arange(20))


def test_a_loss_must_fall_by_more_than_tol_below_the_best():
    # 0.95 is no progress, yet the new best; 0.9 is not below that by 0.1; then two more
    _, _, progress = _told([1.0, 0.95, 0.9, 0.89, 0.5])
    assert progress.n_iter == 4 and progress.no_improvement_count == 3 and progress.best == 0.89
    assert progress.losses == [1.0, 0.95, 0.9, 0.89] and progress.loss == 0.89


def test_progress_resets_the_count():
    _, _, progress = _told([1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.1])
    assert progress.n_iter == 7


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_no_progress(lost):
    with pytest.warns(ConvergenceWarning, match="the loss became non-finite at epoch 2"):
        _, _, progress = _told([1.0, lost, lost, lost, lost])
    assert progress.n_iter == 4 and progress.stopped and progress.best == 1.0
    # one that overflows now and then ends nothing
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        _, _, progress = _told([1.0, lost, 0.5, lost, 0.2])
    assert progress.n_iter == 5 and progress.best == 0.2


def test_a_small_loss_must_fall_by_a_share_of_it():
    _, _, progress = _told([0.01, 0.0089, 0.0088, 0.0087, 0.0086, 0.0], relative_tol=True)
    assert progress.n_iter == 5 and progress.no_improvement_count == 3
    # beyond 1 it is absolute
    with pytest.warns(ConvergenceWarning):
        _, _, progress = _told([50.0, 49.8, 49.6, 49.4, 49.2, 49.0], relative_tol=True)
    assert progress.no_improvement_count == 0
    # 0 is as low as it gets
    _, _, progress = _told([0.0] * 6, relative_tol=True, tol=0.0)
    assert progress.n_iter == 4
    scores = [-0.01, -0.0089, -0.0088, -0.0087, -0.0086, 0.0]
    _, _, progress = _told([1.0] * 6, scores=scores, relative_tol=True)
    assert progress.n_iter == 5 and progress.best == -0.0086


def test_adaptive_goes_on_at_a_lower_rate():
    with pytest.warns(ConvergenceWarning):
        _, optimizer, progress = _told([1.0] * 8, schedule="adaptive")
    # the first epoch is progress; the fourth and the seventh find three failures
    assert optimizer.rate == pytest.approx(0.01 / 25) and progress.n_iter == 8


def test_the_best_score_is_restored_from_a_copy():
    network, _, progress = _told([1.0] * 9, scores=[0.1, 0.5, 0.9, 0.95, 0.3, 0.3])
    # 0.95 is the best although no progress by tol
    assert progress.n_iter == 6 and progress.best == 0.95
    assert network.coefs[0] == 4 and progress.best_params[0] == 4
    assert not np.shares_memory(network.coefs[0], progress.best_params[0])
    assert progress.scores == [0.1, 0.5, 0.9, 0.95, 0.3, 0.3]


def test_scores_that_are_never_finite_keep_the_last_epoch():
    with pytest.warns(ConvergenceWarning, match="no validation score was finite"):
        network, _, progress = _told([1.0] * 5, scores=[math.nan, -math.inf, math.nan, math.nan])
    assert network.coefs[0] == progress.best_params[0] == 3 and progress.n_iter == 3


def test_divergence_ends_early_stopping_at_the_best_parameters():
    with pytest.warns(ConvergenceWarning, match="non-finite at epoch 4; the parameters with the best") as caught:
        network, _, progress = _told([3.0, 2.0, 1.0, math.nan, 1.0], scores=[0.1, 0.7, 0.4, 0.9], diverges_at=4)
    assert len(caught) == 1
    assert network.coefs[0] == 2 and progress.n_iter == 4 and progress.best == 0.7 and progress.stopped
    # parameters that the last update of an epoch has lost are not the best, whatever their score
    with pytest.warns(ConvergenceWarning, match="non-finite at epoch 3"):
        network, _, progress = _told([3.0, 2.0, math.nan], scores=[0.1, 0.7, 0.4], diverges_at=2)
    assert network.coefs[0] == 1 and progress.best == 0.1
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        _told([math.nan] * 5, scores=[0.5] * 5, diverges_at=1)


def test_a_warm_start_must_beat_the_earlier_best():
    earlier = Progress(best=0.9, best_params=[np.full((1, 1), 50.0), np.zeros(1)])
    network, _, progress = _told([1.0] * 9, scores=[0.5] * 9, progress=earlier)
    assert network.coefs[0] == 50 and progress.n_iter == 3 and progress.best == 0.9


def test_divergence_is_an_error_at_once_without_validation():
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        _told([1.0, math.nan, 1.0], diverges_at=2)
    # a loss may overflow while the parameters are fine
    with pytest.warns(ConvergenceWarning):
        _, _, progress = _told([1.0, math.inf, 0.1])
    assert progress.n_iter == 3


def test_one_epoch_makes_no_fuss_about_the_limit(recwarn):
    _, _, progress = _told([1.0, 1.0], incremental=True, max_iter=1)
    assert progress.n_iter == 1 and not recwarn.list


@pytest.mark.parametrize("scores", [None, [0.2, 0.1]])
def test_an_interrupt_keeps_what_was_done(scores):
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        network, _, progress = _told([1.0, 0.5, KeyboardInterrupt()], scores=scores)
    assert progress.n_iter == 2 and progress.t == 40
    assert network.coefs[0] == (3 if scores is None else 1)
