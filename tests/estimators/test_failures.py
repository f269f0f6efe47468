"""What an exception or Ctrl-C leaves behind."""

import contextlib
import copy
import pickle
import signal
import threading
import warnings

import joblib
import numpy as np
import pytest
from parity import N, data, quietly, weights

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import base, networks
from fastmlp.training import fits

X, LABELS = data("multiclass")
NUMBERS = data("regression")[1]
HUGE = np.full_like(X, 1e308)


class Stop(BaseException):
    """Raised from inside, unknown to all."""


def _state(model):
    """Everything that is kept of a model, by value: attributes, arrays, optimizer, random state."""
    return joblib.hash(model.__getstate__())


def _frame(X):
    return pytest.importorskip("pandas").DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


# what fails: (method, X, y, keywords) on a classifier and a regressor; all but the first few fail in the training
FAILURES = {
    "other labels and NaN": lambda c: ("fit", np.full((N, 3), np.nan), np.full(N, "a"), {}),
    "weights": lambda c: ("fit", X[:, :4], LABELS if c else NUMBERS, {"sample_weight": -weights()}),
    "frame that diverges": lambda c: ("fit", _frame(HUGE[:, :5]), LABELS % 20 if c else NUMBERS, {}),
    "divergence": lambda c: ("partial_fit", HUGE, LABELS if c else NUMBERS * 1e200, {}),
    "width": lambda c: ("partial_fit", X[:, :4], LABELS if c else NUMBERS, {}),
}
PARAMS = {"hidden_layer_sizes": (5,), "max_iter": 4, "random_state": 0, "learning_rate_init": 0.1, "solver": "sgd"}


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("after", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_failing_call_leaves_every_attribute_as_it_was(kind, name, after, warm_start):
    y = LABELS if kind is MLPClassifier else NUMBERS
    model = quietly(kind(**PARAMS, activation="identity", warm_start=warm_start).fit, X, y)
    if after == "partial_fit":
        model.partial_fit(X, y).partial_fit(X, y)
    kept, names, arrays = _state(model), set(vars(model)), list(model.coefs_)
    method, bad_X, bad_y, keywords = FAILURES[name](kind is MLPClassifier)
    with pytest.raises(ValueError):
        getattr(model, method)(bad_X, bad_y, **keywords)
    assert _state(model) == kept
    assert set(vars(model)) == names
    assert all(a is b for a, b in zip(model.coefs_, arrays, strict=True))
    model.predict(X)
    twin = quietly(kind(**PARAMS, activation="identity", warm_start=warm_start).fit, X, y)
    for _ in range(2 * (after == "partial_fit")):
        twin.partial_fit(X, y)
    for continued in (model, twin):
        continued.partial_fit(X, y)
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, twin.coefs_, strict=True))


@pytest.mark.parametrize("error", [MemoryError, Stop, KeyboardInterrupt])
@pytest.mark.parametrize(
    "module, where", [(base, "initialize"), (base, "check_weights"), (networks, "Network"), (fits, "check_finite")]
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_whatever_is_raised_wherever(monkeypatch, error, module, where, method):
    model = quietly(MLPClassifier(**PARAMS).fit, X, LABELS)
    model.partial_fit(X, LABELS)
    kept = _state(model)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(module, where, fail)
    if method == "partial_fit" and where in ("initialize", "Network"):
        model.partial_fit(X, LABELS)  # goes on with what is there
        return
    with pytest.raises(error):
        quietly(getattr(model, method), X[:, :6] if method == "fit" else X, LABELS)
    assert _state(model) == kept


def test_a_failing_first_call_leaves_an_estimator_that_is_not_fitted():
    model = MLPClassifier(**PARAMS, activation="identity")
    with pytest.raises(ValueError, match="non-finite"):
        model.partial_fit(HUGE, LABELS, classes=[10, 20, 30])
    assert vars(model) == vars(MLPClassifier(**PARAMS, activation="identity"))
    quietly(model.fit, X[:, :3], NUMBERS > 0)


def test_divergence_ends_the_training_at_once(monkeypatch):
    epochs = []

    class Counting(networks.Network):
        def epoch(self, *args):
            epochs.append(super().epoch(*args))
            return epochs[-1]

    monkeypatch.setattr(networks, "Network", Counting)
    message = (
        "Solver produced non-finite parameter weights. The input data may contain large values and need to be"
        " preprocessed."
    )
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**{**PARAMS, "max_iter": 1000}, activation="identity").fit(HUGE, NUMBERS)
    assert len(epochs) < 5 and not np.isfinite(epochs[-1])


@contextlib.contextmanager
def _interrupted_after(seconds):
    def interrupt(*args):
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer's signal")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_a_model_that_goes_on(early_stopping):
    endless = {**PARAMS, "max_iter": 10**9, "tol": 0.0, "n_iter_no_change": np.inf, "learning_rate_init": 1e-3}
    model = MLPClassifier(**endless, early_stopping=early_stopping)
    with _interrupted_after(0.2), pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, LABELS)
    assert model.n_iter_ == len(model.loss_curve_) > 0
    assert model.loss_ == model.loss_curve_[-1]
    assert model.predict(X).shape == (N,)
    if early_stopping:
        best = np.concatenate([a.ravel() for a in model._best_coefs + model._best_intercepts])
        np.testing.assert_array_equal(best, np.concatenate([a.ravel() for a in model.coefs_ + model.intercepts_]))
        assert max(model.validation_scores_) == model.best_validation_score_
    else:
        model.set_params(max_iter=3).partial_fit(X, LABELS)


def test_ctrl_c_in_the_first_epoch_keeps_the_batches_done(monkeypatch):
    class Interrupted(networks.Network):
        def epoch(self, rows, batch_size, optimizer, alpha):
            super().epoch(rows[:40], 20, optimizer, alpha)
            raise KeyboardInterrupt

    monkeypatch.setattr(networks, "Network", Interrupted)
    model = MLPClassifier(**PARAMS)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, LABELS)
    assert (model.n_iter_, model.t_, model.loss_curve_, model.best_loss_) == (0, 0, [], np.inf)
    assert np.isnan(model.loss_) and model._optimizer.t == 2
    model.predict_proba(X)
    assert model.to_sklearn().predict(X).shape == (N,)


@pytest.mark.parametrize("given", [{}, {"X_val": X[:30], "y_val": LABELS[:30]}])
def test_ctrl_c_in_the_first_epoch_of_a_warm_start_keeps_the_curves(given, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    model = MLPClassifier(**PARAMS, early_stopping=True, scoring="loss", warm_start=True)
    quietly(model.fit, X, LABELS, **given)
    curves = [list(curve) for curve in (model.loss_curve_, model.validation_scores_, model.validation_loss_curve_)]
    assert list(map(len, curves)) == [4, 4, 4]
    with monkeypatch.context() as patch:
        patch.setattr(fits.Fit, "_epoch", interrupted)
        with pytest.warns(UserWarning, match="Training interrupted by user."):
            model.fit(X, LABELS, **given)
    assert [model.loss_curve_, model.validation_scores_, model.validation_loss_curve_] == curves
    quietly(model.fit, X, LABELS, **given)
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == len(model.loss_curve_) > 4


def test_ctrl_c_under_lbfgs_keeps_the_last_iterate(monkeypatch):
    evaluations = []

    class Interrupted(networks.Network):
        def loss_and_grad(self, rows=None, alpha=0.0):
            evaluations.append(None)
            if len(evaluations) == 12:
                raise KeyboardInterrupt
            return super().loss_and_grad(rows, alpha)

    monkeypatch.setattr(networks, "Network", Interrupted)
    params = {**PARAMS, "solver": "lbfgs", "max_iter": 100}
    model = MLPClassifier(**params)
    with pytest.warns(UserWarning, match="Training interrupted by user."):
        model.fit(X, LABELS)
    assert 0 < model.n_iter_ < 12
    monkeypatch.undo()
    whole = quietly(MLPClassifier(**{**params, "max_iter": model.n_iter_}).fit, X, LABELS)
    assert model.loss_ == whole.loss_
    for a, b in zip(model.coefs_ + model.intercepts_, whole.coefs_ + whole.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_warning_made_an_error_undoes_the_call(monkeypatch):
    model = quietly(MLPClassifier(**PARAMS).fit, X, LABELS)
    model.partial_fit(X, LABELS)
    kept = _state(model)
    run = fits.Fit.run

    def trained_then_warned(*args, **kwargs):
        run(*args, **kwargs)
        warnings.warn("now", UserWarning, stacklevel=1)

    monkeypatch.setattr(fits.Fit, "run", trained_then_warned)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for method in (model.fit, model.partial_fit):
            with pytest.raises(UserWarning, match="now"):
                quietly(method, X, LABELS)
            assert _state(model) == kept


def test_partial_fit_in_several_threads_and_in_a_signal_handler():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 20)), rng.integers(3, size=1000)
    model = MLPClassifier((30,)).partial_fit(X, y, classes=[0, 1, 2])
    sizes = rng.integers(1, 1000, (3, 20))

    def work(thread):
        for n in sizes[thread]:
            model.partial_fit(X[:n], y[:n])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.isfinite(model.predict_proba(X)).all()

    calls = []

    def handler(*_):
        calls.append(model.partial_fit(X[:77], y[:77]))

    before = signal.signal(signal.SIGALRM, handler)
    try:
        # armed once: calls shorter than the timer would put it off for ever
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not calls:
            model.partial_fit(np.tile(X, (50, 1)), np.tile(y, 50))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(model.predict_proba(X)).all()


def test_parameters_that_predict_refuses_can_be_copied_and_pickled():
    rng = np.random.default_rng(0)
    model = quietly(MLPClassifier((5,), max_iter=5).fit, rng.normal(size=(30, 4)), np.arange(30) % 3)
    for spoil in (
        lambda m: m.coefs_.__setitem__(0, np.zeros((2, 2))),
        lambda m: setattr(m, "coefs_", None),
        lambda m: m.set_params(activation="nothing"),
    ):
        spoilt = copy.deepcopy(model)
        spoil(spoilt)
        spoilt = pickle.loads(pickle.dumps(copy.deepcopy(spoilt)))
        with pytest.raises((TypeError, ValueError)):
            spoilt.predict(np.zeros((1, 4)))


def test_too_many_layers_are_refused_by_name():
    with pytest.raises(ValueError, match="hidden_layer_sizes has 70000 layers"):
        MLPClassifier([1] * 70000).fit(np.zeros((4, 2)), [0, 1, 0, 1])
