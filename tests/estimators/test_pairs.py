"""Every option with every other, and each with every other way to the same end, judged by what comes out.

The cases are a covering of pairs: any two values of any two rows of OPTIONS that go together are in one of them. Each
is trained, must have a smaller loss than the best constant, where NumPy computes the loss, and is compared with other
ways to the same end, of which each meets each value that a case has and it can go with.
"""

import itertools
import math
import pickle
import random
import warnings
from collections import Counter
from copy import copy

import numpy as np
import pytest
from parity import quietly
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, softmax, xlogy
from sklearn.base import clone
from sklearn.utils.class_weight import compute_class_weight

from fastmlp import MLPClassifier, MLPRegressor, load
from fastmlp.training.checkpoint import Checkpoint

N, N_VAL, N_FEATURES = 120, 40, 6
RATES = {
    "sgd": 0.1,
    "adam": 0.02,
    "adamw": 0.02,
    "nadam": 0.02,
    "rmsprop": 0.01,
    "adagrad": 0.2,
    "lion": 0.01,
    "schedule_free_adamw": 0.05,
    "lbfgs": 0.001,
}
LEVELS = [0.9, 0.1, 0.5]
CLASSIFIER_LOSSES = [{}, {"label_smoothing": 0.1}, {"loss": "focal", "focal_gamma": 1.5}, {"loss": "hinge"}]
REGRESSOR_LOSSES = [
    {"loss": "squared_error"},
    {"loss": "absolute_error"},
    {"loss": "huber", "huber_delta": 0.5},
    {"loss": "log_cosh"},
    {"loss": "quantile", "quantile": 0.8},
    {"loss": "quantile", "quantile": LEVELS},
    {"loss": "quantile", "quantile": tuple(LEVELS), "sort_quantiles": True},
    {"loss": "poisson"},
    {"loss": "gamma"},
    {"loss": "tweedie", "tweedie_power": 1.3},
]


def falling(update):
    return 0.02 / (1 + 0.001 * update)


def own_score(estimator, X, y, sample_weight=None):
    return estimator.score(X, y, sample_weight)


def stop_after_one(estimator, epoch, metrics):
    return True


def _targets(Z, target):
    return {
        "binary": lambda: np.array(["no", "yes"])[(Z[:, 0] > 0.5).astype(int)],
        "multiclass": lambda: Z.argmax(axis=1) + 5,
        "multilabel": lambda: (Z > 0).astype(int),
        "outputs": lambda: np.stack([Z.argmax(axis=1) + 1, 5 + 4 * (Z[:, 0] > 0)], axis=1),
        "single": lambda: np.exp(0.4 * Z[:, 0]),
        "several": lambda: np.exp(0.4 * Z[:, :2]),
    }[target]()


# Those that are told to the estimator as class_weight
CLASS_WEIGHTS = {
    "binary": {"no": 1, "yes": 2},
    "multiclass": {5: 1, 6: 3, 7: 0.5},
    "multilabel": [{0: 1, 1: 2}, {0: 0.5, 1: 1}, {0: 1, 1: 1}],
    "outputs": [{1: 1, 2: 2, 3: 1}, {5: 1, 9: 3}],
}
CLASSES = {"multilabel": range(3), "outputs": [[1, 2, 3], [5, 9]], "multiclass": [5, 6, 7], "binary": ["no", "yes"]}


class Case:
    """Options, and data for them with something to learn."""

    def __init__(self, options, number=0, directory=None):
        self.options, self.number, self.directory = options, number, directory
        rng = np.random.default_rng(0)
        n = N + N_VAL
        X = rng.standard_normal((n, N_FEATURES))
        X[:, 1:] *= rng.random((n, N_FEATURES - 1)) < 0.8
        Z = np.stack([2 * X[:, 0] + X[:, 1], X[:, 2] - 1.5 * X[:, 0], X[:, 1] + X[:, 3]], axis=1)
        y = _targets(Z + 0.2 * rng.standard_normal(Z.shape), options["target"])
        weight = rng.integers(1, 4, n) if options["weights"] == "integers" else None
        if options["dtype"] == "X":
            X = X.astype(np.float32)
        if options["storage"] == "csr":
            X = sparse.csr_matrix(X)
        self.X, self.y, self.X_val, self.y_val = X[:N], y[:N], X[N:], y[N:]
        self.weight, self.validation_weight = (None, None) if weight is None else (weight[:N], weight[N:])
        self.kind = MLPRegressor if options["loss"] in REGRESSOR_LOSSES else MLPClassifier
        solver = options["solver"]
        self.params = {
            "solver": solver,
            "learning_rate_init": RATES[solver],
            "max_iter": 150,
            "n_iter_no_change": 30,
            "random_state": 3,
            "early_stopping": options["validation"].startswith("held out"),
            "validation_fraction": 0.2,
            **{name: options[name] for name in ("scoring", "max_norm", "weight_decay")},
        }
        for name in ("schedule", "dropout", "clipping", "batches", "network", "loss"):
            self.params |= options[name]
        if options["dtype"] != "X":
            self.params["dtype"] = options["dtype"]
        if self.kind is MLPClassifier:
            given = options["class_weight"] == "given"
            self.params["class_weight"] = CLASS_WEIGHTS[options["target"]] if given else options["class_weight"]

    def __getitem__(self, name):
        return self.options[name]

    def at(self, rows, validation_rows):
        """The same of some of the rows."""
        other = Case(self.options, self.number, self.directory)
        other.X, other.y = self.X[rows], self.y[rows]
        other.X_val, other.y_val = self.X_val[validation_rows], self.y_val[validation_rows]
        if self.weight is not None:
            other.weight, other.validation_weight = self.weight[rows], self.validation_weight[validation_rows]
        return other

    def stored_otherwise(self):
        other = self.at(slice(None), slice(None))
        store = (lambda X: X.toarray()) if sparse.issparse(self.X) else sparse.csr_matrix
        other.X, other.X_val = store(self.X), store(self.X_val)
        return other

    def alike_in_any_order(self):
        """Parameters without what is drawn for each update."""
        dropped = {"dropout": 0.0, "input_dropout": 0.0}
        return dropped if self["solver"] == "lbfgs" else {**dropped, "shuffle": False}

    def without_held_out_rows(self):
        return {"early_stopping": False, "scoring": self["scoring"] if self.is_given() else None}

    def is_given(self):
        return "given" in self["validation"]

    def judged_by_score(self):
        own = self["loss"] in ({}, {"loss": "squared_error"}, {"loss": "poisson"}) and self["class_weight"] is None
        return self["scoring"] is own_score or (self["scoring"] is None and own and self["target"] != "outputs")

    def model(self, **params):
        return self.kind(**self.params | params)

    def _validation(self, given=None):
        if not (self.is_given() if given is None else given):
            return {}
        return {"X_val": self.X_val, "y_val": self.y_val, "sample_weight_val": self.validation_weight}

    def fit(self, model=None, given=None, **params):
        model = self.model(**params) if model is None else model
        return quietly(model.fit, self.X, self.y, self.weight, **self._validation(given))

    def partial_fit(self, model):
        classes = {"classes": CLASSES[self["target"]]} if self.kind is MLPClassifier else {}
        return model.partial_fit(self.X, self.y, self.weight, **classes, **self._validation())

    def loss_weights(self, y, weight):
        """Weights of rows times those of their classes, in the order in which they are multiplied."""
        class_weight = self.params.get("class_weight")
        if class_weight is None:
            return np.ones(len(y)) if weight is None else weight
        columns, own = (array.reshape(len(array), -1).T for array in (y, self.y))
        product = np.ones(len(y)) if weight is None else weight.astype(float)
        for i, (column, trained) in enumerate(zip(columns, own, strict=True)):
            given = class_weight[i] if isinstance(class_weight, list) else class_weight
            classes = np.unique(trained)
            product *= compute_class_weight(given, classes=classes, y=trained)[np.searchsorted(classes, column)]
        return product

    def loss_of(self, model, output, y, weight):
        """The mean loss of rows as docs/options.md has it."""
        losses = loss_of_numbers if self.kind is MLPRegressor else loss_of_labels
        return np.average(losses(model, output, y), weights=self.loss_weights(y, weight))

    def loss_of_best_constant(self, model):
        told = repr([self[name] for name in ("loss", "target", "class_weight", "weights")])
        if told not in _OF_CONSTANTS:
            zeros = np.zeros((len(self.y), model.n_outputs_))

            def loss(z):
                return self.loss_of(model, _linked(model, zeros + z), self.y, self.weight)

            _OF_CONSTANTS[told] = minimize(loss, zeros[0], method="Powell", tol=1e-3).fun
        return _OF_CONSTANTS[told]


_OF_CONSTANTS = {}  # losses of the best constants, by what they depend on


def _blocks(model, output):
    """The outputs of each softmax."""
    if not isinstance(model.classes_, list):
        return [output]
    return np.split(output, np.cumsum([len(classes) for classes in model.classes_])[:-1], axis=1)


def outputs(model, X):
    """What the network gives, by the public methods, of shape (n, n_outputs); of two classes that of the second."""
    if isinstance(model, MLPRegressor):
        found = copy(model).set_params(sort_quantiles=False).predict(X)
    elif model.loss == "hinge":
        found = model.decision_function(X)
    else:
        found = model.predict_proba(X)
        found = np.hstack(found) if isinstance(found, list) else found[:, -1:] if model.n_outputs_ == 1 else found
    return found.reshape(found.shape[0], -1).astype(float)


def _linked(model, z):
    if isinstance(model, MLPRegressor):
        return np.exp(z) if model.loss in ("poisson", "gamma", "tweedie") else z
    links = {"identity": lambda part: part, "logistic": expit, "softmax": lambda part: softmax(part, axis=1)}
    return np.hstack([links[model.out_activation_](part) for part in _blocks(model, z)])


def loss_of_numbers(model, p, y):
    y = y.reshape(p.shape[0], -1).astype(float)
    r = p - y
    if model.loss == "squared_error":
        return (r**2 / 2).mean(axis=1)
    delta, levels, power = model.huber_delta, np.atleast_1d(model.quantile), model.tweedie_power
    return {
        "absolute_error": lambda: abs(r),
        "huber": lambda: np.where(abs(r) <= delta, r**2 / 2, delta * (abs(r) - delta / 2)),
        "log_cosh": lambda: np.logaddexp(r, -r) - np.log(2),
        "quantile": lambda: np.maximum(-levels * r, (1 - levels) * r),
        "poisson": lambda: xlogy(y, y / p) - y + p,
        "gamma": lambda: np.log(p / y) + y / p - 1,
        "tweedie": lambda: (
            y ** (2 - power) / ((1 - power) * (2 - power))
            - y * p ** (1 - power) / (1 - power)
            + p ** (2 - power) / (2 - power)
        ),
    }[model.loss]().sum(axis=1)


def loss_of_labels(model, output, y):
    several = isinstance(model.classes_, list)
    columns, all_classes = (y.T, model.classes_) if several else ([y], [model.classes_])
    total = 0
    for part, column, classes in zip(_blocks(model, output), columns, all_classes, strict=True):
        yes_or_no = model.n_outputs_ == 1 or (y.ndim == 2 and not several)
        if y.ndim == 2 and not several:
            true = y
        elif yes_or_no:
            true = (column == classes[1])[:, None]
        else:
            true = column[:, None] == classes
        total = total + _loss_of_block(model, part, true, yes_or_no)
    return total


def _loss_of_block(model, p, true, yes_or_no):
    """Of outputs of shape (n, n_outputs) and whether each is right."""
    if model.loss == "hinge":
        if yes_or_no:
            return np.maximum(0, 1 - np.where(true, p, -p)).sum(axis=1)
        return np.maximum(0, 1 - p[true] + np.where(true, -np.inf, p).max(axis=1))
    p_true = np.where(true, p, 1 - p)
    if model.loss == "focal":
        of_each = -((1 - p_true) ** model.focal_gamma) * np.log(p_true)
        return (of_each if yes_or_no else np.where(true, of_each, 0)).sum(axis=1)
    smoothing = model.label_smoothing
    t = true * (1 - smoothing) + smoothing / (2 if yes_or_no else p.shape[1])
    return -(xlogy(t, p) + (xlogy(1 - t, 1 - p) if yes_or_no else 0)).sum(axis=1)


def assert_equal_arrays(one, other):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same(one, other):
    """The same model bit for bit, and the same record."""
    assert_equal_arrays(one, other)
    assert one.n_iter_ == other.n_iter_ and one.loss_ == other.loss_
    for name in ("loss_curve_", "learning_rate_curve_", "validation_scores_", "validation_loss_curve_"):
        assert getattr(one, name, None) == getattr(other, name, None), name


# Ways to the same end. Each gets a Case and asserts.


def threads(case):
    assert_same(case.fit(n_jobs=1, max_iter=5), case.fit(n_jobs=2, max_iter=5))


def storage(case):
    """CSR and dense."""
    one, other = case.fit(max_iter=3), case.stored_otherwise().fit(max_iter=3)
    # the sign of a gradient of almost 0 may be another
    rtol = 1e-3 if one.coefs_[0].dtype == np.float32 or case["solver"] == "lion" else 1e-8
    np.testing.assert_allclose(other.loss_, one.loss_, rtol=rtol)
    other = case.stored_otherwise()
    np.testing.assert_allclose(outputs(one, other.X), outputs(one, case.X), rtol=1e-3, atol=1e-5)


def precision(case):
    single, double = case.fit(max_iter=4, dtype="float32"), case.fit(max_iter=4, dtype="float64")
    assert single.coefs_[0].dtype == np.float32 and double.coefs_[0].dtype == np.float64
    rtol = 2e-2 if case["solver"] == "lion" else 2e-3
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=rtol)


def repeated_rows(case):
    """Integer weights, in batches of all rows."""
    whole = {**case.alike_in_any_order(), "max_iter": 6}
    if case["solver"] != "lbfgs":
        whole["dtype"] = "float64"
    again = case.at(np.repeat(np.arange(N), case.weight), np.repeat(np.arange(N_VAL), case.validation_weight))
    again.weight = again.validation_weight = None
    one = case.fit(**whole, batch_size=N)
    other = again.fit(**whole, batch_size=again.X.shape[0])
    np.testing.assert_allclose(other.loss_, one.loss_, rtol=1e-2 if case["solver"] == "lion" else 1e-5)


def weights_of_classes(case):
    """Class weights, and the same numbers as weights of rows."""
    asked = {"max_iter": 8}
    if case["solver"] != "lbfgs":
        asked["tol"] = 0.0
        if case["validation"] != "none":
            asked["scoring"] = "loss"
    plain = case.at(slice(None), slice(None))
    plain.weight = case.loss_weights(case.y, case.weight)
    plain.validation_weight = case.loss_weights(case.y_val, case.validation_weight)
    assert_same(case.fit(**asked), plain.fit(**asked, class_weight=None))


class Killed(BaseException):
    """Ends a fit as nothing else does."""


def checkpoints(case):
    def kill(estimator, epoch, metrics):
        if epoch == 5:
            raise Killed

    path = case.directory / "checkpoint"
    asked = {"max_iter": 8, "checkpoint_path": path, "checkpoint_every": case.number % 3 + 1}
    with pytest.raises(Killed):
        case.fit(**asked, callbacks=kill)
    resumed, whole = case.fit(**asked), case.fit(max_iter=8)
    assert_same(resumed, whole)
    assert_same(case.fit(**asked), whole)
    assert resumed.best_loss_ == whole.best_loss_


def passes(case):
    """partial_fit, epoch by epoch, on rows in their order."""
    asked = {**case.alike_in_any_order(), **case.without_held_out_rows(), "shuffle": False, "max_iter": 5}
    whole, model = case.fit(**asked), case.model(**asked)
    for epoch in range(5):
        case.partial_fit(model)
        if epoch == 2:
            model = pickle.loads(pickle.dumps(model))
        outputs(model, case.X)
    assert model.n_iter_ == 1 and model.best_loss_ == whole.best_loss_
    model.n_iter_ = 5
    assert_same(model, whole)


def held_out_rows(case):
    """Early stopping's own rows, and the same ones as X_val."""
    asked = {**case.alike_in_any_order(), "shuffle": False, "max_iter": 12}
    path = case.directory / "held out"
    one = case.fit(**asked, checkpoint_path=path)
    state = Checkpoint(path, 1).read()
    rows, held_out = state["rows"], state["held_out"]
    assert len(held_out) == math.ceil(0.2 * N) and sorted([*rows, *held_out]) == list(range(N))
    plain = case.at(rows, slice(None))
    part = case.at(held_out, slice(None))
    plain.X_val, plain.y_val, plain.validation_weight = part.X, part.y, part.weight
    other = plain.fit(**asked, given=True)
    assert one.validation_scores_ == other.validation_scores_ and one.loss_curve_ == other.loss_curve_
    assert_equal_arrays(one, other)


def warm_starts(case):
    """One more epoch by fit, and by partial_fit with a new optimizer."""
    asked = {**case.without_held_out_rows(), "warm_start": True, "max_iter": 4, "callbacks": stop_after_one}
    model = case.fit(**asked)
    other = pickle.loads(pickle.dumps(model))
    case.fit(model)
    del other._optimizer
    case.partial_fit(other)
    assert_same(model, other)
    assert len(model.loss_curve_) == 2


def callbacks(case):
    """A fit that a callback ends, and one of as many epochs."""
    seen = []

    def stop(estimator, epoch, metrics):
        seen.append((outputs(estimator, case.X), metrics["loss"]))
        return epoch == 4

    one, other = case.fit(max_iter=9, callbacks=stop), case.fit(max_iter=4)
    assert_same(one, other)
    assert [loss for _, loss in seen] == one.loss_curve_
    epoch = int(np.argmax(one.validation_scores_)) if one.early_stopping else -1
    np.testing.assert_array_equal(seen[epoch][0], outputs(one, case.X))


def copies(case):
    """Saved and loaded, pickled, cloned and fitted again."""
    model, path = case.fit(max_iter=3), case.directory / "model"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Not saved")  # functions
        model.save(path)
    for other in (load(path), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(case.X), model.predict(case.X))
        np.testing.assert_array_equal(outputs(other, case.X), outputs(model, case.X))
        assert other.score(case.X, case.y, case.weight) == model.score(case.X, case.y, case.weight)
    np.testing.assert_array_equal(model.predict(case.X[3:5]), model.predict(case.X)[3:5])
    assert_same(case.fit(clone(model)), model)


def curves(case):
    """The record of the validation rows, and the losses and scores of what is kept."""
    model = case.fit(max_iter=6)
    epoch = int(np.argmax(model.validation_scores_)) if model.early_stopping else -1
    rtol = 1e-4 if model.coefs_[0].dtype == np.float32 else 1e-8
    loss = case.loss_of(model, outputs(model, case.X_val), case.y_val, case.validation_weight)
    np.testing.assert_allclose(model.validation_loss_curve_[epoch], loss, rtol=rtol)
    score = model.score(case.X_val, case.y_val, case.validation_weight) if case.judged_by_score() else -loss
    np.testing.assert_allclose(model.validation_scores_[epoch], score, rtol=rtol)
    assert model.best_validation_score_ == max(model.validation_scores_)


def loss_of_all(case):
    """What lbfgs says it has come to."""
    model = case.fit()
    total = case.loss_weights(case.y, np.ones(N) if case.weight is None else case.weight).sum()
    penalty = model.alpha / 2 * sum((coef**2).sum() for coef in model.coefs_) / total
    loss = case.loss_of(model, outputs(model, case.X), case.y, case.weight)
    np.testing.assert_allclose(model.loss_, loss + penalty, rtol=1e-6)


OPTIONS = {
    "loss": [*CLASSIFIER_LOSSES, *REGRESSOR_LOSSES],
    "target": ["binary", "multiclass", "multilabel", "outputs", "single", "several"],
    "class_weight": [None, "given", "balanced"],
    "solver": list(RATES),
    "validation": ["none", "held out", "held out or given", "given"],
    "scoring": [None, "loss", own_score],
    "weights": ["none", "integers"],
    "schedule": [
        {},
        {"lr_schedule": "invscaling", "power_t": 0.05},
        {"lr_schedule": "adaptive", "warmup": 5},
        {"lr_schedule": "plateau", "lr_schedule_params": {"patience": 5}},
        {"lr_schedule": "step", "lr_schedule_params": {"step_size": 50, "gamma": 0.5}},
        {"lr_schedule": "exponential", "lr_schedule_params": {"gamma": 0.99}},
        {"lr_schedule": "cosine", "warmup": 0.05},
        {"lr_schedule": "one_cycle"},
        {"lr_schedule": falling, "warmup": 5},
    ],
    "dropout": [{}, {"dropout": 0.05}, {"input_dropout": 0.03}, {"dropout": 0.03, "input_dropout": 0.03}],
    "clipping": [{}, {"clip_norm": 1.0}, {"clip_value": 0.1}],
    "max_norm": [None, 3.0],
    "weight_decay": [None, 0.0, 0.02],
    "dtype": [None, "float32", "float64", "X"],
    "storage": ["dense", "csr"],
    "batches": [{}, {"batch_size": 16}, {"batch_size": 50, "shuffle": False}],
    "network": [
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 16, "weight_init": "he_normal"},
        {"hidden_layer_sizes": (16, 8), "activation": ["tanh", "silu"]},
        {"hidden_layer_sizes": (12,), "activation": "logistic", "weight_init": "orthogonal"},
    ],
}

WAYS = [
    threads,
    storage,
    precision,
    repeated_rows,
    weights_of_classes,
    checkpoints,
    passes,
    held_out_rows,
    warm_starts,
    callbacks,
    copies,
    curves,
    loss_of_all,
]


# No effect with lbfgs, or refused
OF_BATCHES = ("validation", "scoring", "schedule", "dropout", "clipping", "max_norm", "weight_decay")


def go_together(options):
    """Whether none of the options is refused, or has no effect, beside the others."""
    loss, target = options["loss"], options["target"]
    regression, lbfgs = loss in REGRESSOR_LOSSES, options["solver"] == "lbfgs"
    refused = (
        regression != (target in ("single", "several")),
        regression and options["class_weight"] is not None,
        target == "outputs" and "loss" in loss,
        target == "several" and np.ndim(loss.get("quantile", 0)),
        options["scoring"] is not None and options["validation"] == "none",
        options["storage"] == "csr" and "input_dropout" in options["dropout"],
        options["network"]["hidden_layer_sizes"] == () and "dropout" in options["dropout"],
        options["solver"] == "schedule_free_adamw" and options["max_norm"] is not None,
        lbfgs and options["dtype"] == "float32",
        lbfgs and any(options[name] != OPTIONS[name][0] for name in OF_BATCHES),
    )
    return not any(refused)


def leads_to(way, options):
    """Whether a way is one to the same end with these options."""
    validation, schedule = options["validation"], options["schedule"].get("lr_schedule")
    if options["solver"] == "lbfgs" and way not in (threads, storage, repeated_rows, weights_of_classes, copies):
        return way is loss_of_all
    judged = options["scoring"] is not None
    another_end = {
        storage: "input_dropout" in options["dropout"],
        repeated_rows: options["weights"] == "none"
        or options["class_weight"] == "balanced"
        or validation == "held out"
        or schedule == "invscaling"
        or (options["solver"] == "lbfgs" and options["dtype"] == "X"),
        weights_of_classes: options["class_weight"] is None,
        passes: options["class_weight"] == "balanced" or (validation == "held out" and judged),
        warm_starts: options["class_weight"] == "balanced" or (validation == "held out" and judged),
        held_out_rows: options["class_weight"] == "balanced" or validation != "held out",
        callbacks: schedule in ("cosine", "one_cycle"),
        curves: "given" not in validation,
        loss_of_all: True,
    }
    return not another_end.get(way, False)


def covering(seed=0, tries=12):
    """A greedy covering of the pairs of values that go together, the same each time, each case with its ways.

    Returns
    -------
    cases : list of (dict, list of functions)
    never : list of pairs
        Those that go together in no case.
    met : set
        Of each way and each value that it has met.
    """
    rng = random.Random(seed)
    names = list(OPTIONS)
    left = {  # dicts, as their order is that of insertion
        ((a, i), (b, j)): None
        for a, b in itertools.combinations(names, 2)
        for i, j in itertools.product(range(len(OPTIONS[a])), range(len(OPTIONS[b])))
    }
    cases, never, met, used = [], [], set(), Counter()
    while left:
        wanted = next(iter(left))
        best, best_new = None, ()
        for attempt in range(15 * tries):
            if best is not None and attempt >= tries:
                break
            drawn = {name: rng.randrange(len(OPTIONS[name])) for name in names} | dict(wanted)
            if OPTIONS["solver"][drawn["solver"]] == "lbfgs":
                drawn |= dict.fromkeys(OF_BATCHES, 0) | dict(wanted)
            if OPTIONS["loss"][drawn["loss"]] in REGRESSOR_LOSSES:
                drawn |= {"class_weight": 0, "target": rng.randint(4, 5)} | dict(wanted)
            if go_together({name: OPTIONS[name][i] for name, i in drawn.items()}):
                new = [pair for pair in itertools.combinations(drawn.items(), 2) if pair in left]
                if len(new) > len(best_new):
                    best, best_new = drawn, new
        for pair in best_new or [wanted]:
            del left[pair]
        if best is None:
            never.append(wanted)
            continue
        options = {name: OPTIONS[name][i] for name, i in best.items()}
        # those that have met the fewest of these values, or were used the least
        rank = {way: (sum((way, value) in met for value in best.items()), used[way]) for way in WAYS}
        ways = sorted((way for way in WAYS if leads_to(way, options)), key=rank.get)[:2]
        met.update(itertools.product(ways, best.items()))
        used.update(ways)
        cases.append((options, ways, best))
    for options, ways, drawn in cases:
        for way in WAYS:
            if leads_to(way, options) and not met.issuperset(itertools.product([way], drawn.items())):
                met.update(itertools.product([way], drawn.items()))
                ways.append(way)
    return [(options, ways) for options, ways, _ in cases], never, met


CASES, NEVER, MET = covering()


def name_of(case):
    options, ways = case
    told = [options["target"], options["loss"].get("loss", "log_loss"), options["solver"]]
    return "-".join([*told, *(way.__name__ for way in ways)])


def test_the_covering_is_one():
    told = {(options["solver"], repr(options["schedule"])) for options, _ in CASES}
    assert told >= set(itertools.product(set(RATES) - {"lbfgs"}, map(repr, OPTIONS["schedule"])))
    # what go_together says alone: a pair that is missing for want of luck has other names
    assert {(a, b) for (a, _), (b, _) in NEVER} == {
        ("loss", "target"),
        ("loss", "class_weight"),
        ("target", "class_weight"),
        *(("solver", name) for name in (*OF_BATCHES, "dtype")),
        ("validation", "scoring"),
        ("dropout", "storage"),
        ("dropout", "network"),
    }
    of_all = {way for way in WAYS if all((way, ("loss", i)) in MET for i in range(len(OPTIONS["loss"])))}
    assert of_all >= set(WAYS) - {weights_of_classes, repeated_rows, loss_of_all}


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(name_of, CASES))
def test_case(number, tmp_path):
    options, ways = CASES[number]
    case = Case(options, number, tmp_path)
    before = repr(case.model().get_params())
    model = case.fit()
    assert repr(model.get_params()) == before
    loss = case.loss_of(model, outputs(model, case.X), case.y, case.weight)
    assert loss < 0.9 * case.loss_of_best_constant(model)
    if options["loss"].get("sort_quantiles"):
        assert (np.diff(model.predict(case.X)[:, np.argsort(LEVELS)], axis=1) >= 0).all()
    for way in ways:
        way(case)
