"""The same numbers as scikit-learn, for every pair of options."""

import itertools

import numpy as np
import pytest
from parity import TARGETS, N, assert_same_model, data, pair, quietly, weights

SGD = {"solver": "sgd", "learning_rate_init": 0.004}
OPTIONS = {
    "solver": {
        "adam": {"learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6},
        "nesterov": SGD,
        "momentum": {**SGD, "nesterovs_momentum": False, "momentum": 0.7},
        "plain": {**SGD, "momentum": 0.0},
        "invscaling": {**SGD, "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.02},
        # the tolerance makes each epoch a failure: the rate falls every third epoch
        "adaptive": {**SGD, "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 2},
        "lbfgs": {"solver": "lbfgs", "max_iter": 10},
    },
    "activation": {name: {"activation": name} for name in ["identity", "logistic", "tanh", "relu"]},
    "target": {target: {} for target in TARGETS},
    "layers": {str(sizes): {"hidden_layer_sizes": sizes} for sizes in [(), 8, (7, 5), (5, 6, 4)]},
    "batch": {str(size): {"batch_size": size} for size in ["auto", 9, 17, 4, N]},
    "shuffle": {"shuffled": {}, "in order": {"shuffle": False}},
    "stopping": {"none": {}, "early": {"early_stopping": True, "validation_fraction": 0.2}},
    "alpha": {"0.0001": {}, "0": {"alpha": 0}, "1.5": {"alpha": 1.5}},
    "kind": {"dense": {}, "csr": {}},
    "weights": {"unweighted": {}, "weighted": {}},
}


def pairwise(options):
    """Combinations in which each value of each option meets each value of each other, found greedily."""
    names = list(options)
    wanted = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in options[a] for y in options[b]}
    rng = np.random.RandomState(0)
    while wanted:
        candidates = []
        for _ in range(60):
            row = {name: list(options[name])[rng.randint(len(options[name]))] for name in names}
            row.update(dict(sorted(wanted)[rng.randint(len(wanted))]))
            met = wanted & set(itertools.combinations(row.items(), 2))
            candidates.append((len(met), tuple(row.items()), met))
        _, row, met = max(candidates, key=lambda candidate: candidate[:2])
        wanted -= met
        yield dict(row)


CASES = list(pairwise(OPTIONS))

# with early stopping a batch of all rows is one of more than there are to train on
pytestmark = pytest.mark.filterwarnings("ignore:Got `batch_size`")


@pytest.mark.parametrize("case", CASES, ids=["-".join(case.values()) for case in CASES])
def test_twelve_epochs_give_the_numbers_of_scikit_learn(case):
    params = {"max_iter": 12, "random_state": 3, "n_iter_no_change": 20}
    for name, value in case.items():
        params.update(OPTIONS[name][value])
    X, y = data(case["target"], case["kind"])
    sample_weight = weights() if case["weights"] == "weighted" else None
    ours, theirs = pair(case["target"], **params)
    for model in (ours, theirs):
        quietly(model.fit, X, y, sample_weight=sample_weight)
    if case["solver"] != "lbfgs":
        assert ours.n_iter_ == 12
    assert_same_model(ours, theirs, X)


def test_cases_cover_every_pair():
    met = {two for case in CASES for two in itertools.combinations(case.items(), 2)}
    for a, b in itertools.combinations(OPTIONS, 2):
        for x, y in itertools.product(OPTIONS[a], OPTIONS[b]):
            assert ((a, x), (b, y)) in met


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression", "poisson"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_stops_in_the_same_epoch(target, early_stopping, solver):
    X, y = data(target)
    ours, theirs = pair(
        target,
        solver=solver,
        hidden_layer_sizes=(6,),
        activation="tanh",
        max_iter=400,
        tol=2e-3,
        n_iter_no_change=10,
        learning_rate_init=0.02,
        early_stopping=early_stopping,
        random_state=5,
    )
    for model in (ours, theirs):
        model.fit(X, y)
    assert 10 < ours.n_iter_ < 400
    assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "multi-output"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_goes_on_as_scikit_learn_does(target, solver):
    ours, theirs = pair(
        target, solver=solver, hidden_layer_sizes=(6, 4), learning_rate="invscaling", random_state=2, batch_size=20
    )
    for step in range(12):
        X, y = data(target, seed=step, n=50)
        classes = np.arange(3) if target == "multilabel" else np.unique(data(target)[1])
        arguments = {} if target == "multi-output" or step else {"classes": classes}
        for model in (ours, theirs):
            model.partial_fit(X, y, sample_weight=weights(50), **arguments)
        assert_same_model(ours, theirs, X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_starts_and_partial_fit_after_fit(solver):
    X, y = data("multiclass")
    ours, theirs = pair("multiclass", solver=solver, hidden_layer_sizes=7, warm_start=True, max_iter=10, random_state=0)
    for model in (ours, theirs):
        for _ in range(3):
            quietly(model.fit, X, y)
        if solver != "lbfgs":
            model.partial_fit(X, y)
            model.partial_fit(X, y)
            quietly(model.fit, X, y)
    assert_same_model(ours, theirs, X)


def test_a_random_state_object_is_drawn_from_alike():
    X, y = data("binary")
    states = np.random.RandomState(8), np.random.RandomState(8)
    models = pair("binary", max_iter=10, early_stopping=True, batch_size=16)
    for model, state in zip(models, states, strict=True):
        model.set_params(random_state=state)
        quietly(model.fit, X, y)
        quietly(model.fit, X, y)
    assert_same_model(*models, X)
    assert states[0].randint(2**31) == states[1].randint(2**31)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("target", ["multiclass", "multi-output"])
def test_float32_starts_from_the_same_parameters_and_stays_near(solver, target):
    X, y = data(target)
    ours, theirs = pair(target, solver=solver, hidden_layer_sizes=8, max_iter=10, random_state=0, activation="tanh")
    for model in (ours, theirs):
        quietly(model.fit, X.astype(np.float32), y)
    assert_same_model(ours, theirs, X.astype(np.float32), tol=1e-4)
    assert ours.coefs_[0].dtype == (np.float64 if solver == "lbfgs" else np.float32)


def test_verbose_prints_what_scikit_learn_prints(capsys):
    X, y = data("binary")
    params = {"max_iter": 60, "verbose": True, "random_state": 0, "tol": 0.01, "n_iter_no_change": 3}
    for early_stopping in (False, True):
        for schedule in ("constant", "adaptive"):
            ours, theirs = pair(
                "binary",
                **params,
                solver="sgd",
                learning_rate=schedule,
                learning_rate_init=0.1,
                early_stopping=early_stopping,
            )
            printed = []
            for model in (ours, theirs):
                quietly(model.fit, X, y)
                printed.append(capsys.readouterr().out)
            assert printed[0] == printed[1]
            assert "consecutive epochs" in printed[0]


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_initial_weights_of_wide_layers_come_from_one_stream(activation):
    # drawn in parts of some million numbers
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((3, 2500)), np.ones(3)
    params = {"hidden_layer_sizes": (500,), "activation": activation, "max_iter": 1, "learning_rate_init": 1e-300}
    models = pair("regression", random_state=7, **params)
    for model in models:
        quietly(model.fit, X, y)
    for a, b in zip(models[0].coefs_ + models[0].intercepts_, models[1].coefs_ + models[1].intercepts_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_validation_rows_are_those_of_scikit_learn_where_a_class_is_rare():
    X, y = data("binary")
    for rare in (1, 2, 3):
        y = np.zeros(N, dtype=int)
        y[:rare] = 1
        models = pair("binary", max_iter=10, early_stopping=True, validation_fraction=0.3, random_state=1)
        errors = []
        for model in models:
            try:
                quietly(model.fit, X, y)
            except ValueError as error:
                errors.append(str(error))
        if errors:
            assert rare == 1 and errors[0] == errors[1]
        else:
            assert_same_model(*models, X)


def test_one_class_with_early_stopping():
    X, _ = data("binary")
    ours, theirs = pair("binary", early_stopping=True, max_iter=12, random_state=0)
    for model in (ours, theirs):
        quietly(model.fit, X, np.zeros(N))
    assert_same_model(ours, theirs, X)
