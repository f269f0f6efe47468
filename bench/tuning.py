"""TPESearchCV beside RandomizedSearchCV with the same number of epochs, on open sets and on dask-ml's example.

    python bench/tuning.py --data FOLDER [--seeds 5] [--sets magic letter california] > bench/results/tuning.md
    python bench/tuning.py --data FOLDER --same seconds

FOLDER has the sets as its `load.py` gives them. All searches draw from one space. Fits do all their epochs, so that
epochs can be counted: a fit that is stopped after epoch n counts as n, and with halving each round that goes on counts
one more, which is done again. Seconds mean nothing there: the machine may do other things.

With `--same seconds`, on a machine that does nothing else, fits stop early as users let them, and TPESearchCV has the
seconds that N_RANDOM trials of random search have taken on the same cores just before.

dask-ml's example is made after its description (Sievert, Augspurger, Rocklin, SciPy 2019): four classes of points on
circles in two dimensions, four dimensions of noise, 50,000 rows to train on and 10,000 to score, networks of 24
neurons, at most 81 epochs. Its noise is not published there; with ours no model can come to more than about 85 %.
"""

import argparse
import importlib.util
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
from joblib import parallel_config
from scipy.stats import loguniform, uniform
from sklearn.base import clone
from sklearn.model_selection import KFold, RandomizedSearchCV, ShuffleSplit

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.tuning import TPESearchCV

FOLDS, EPOCHS, N_RANDOM, ROWS = 3, 27, 20, 2000
PATIENT_EPOCHS = 200  # of fits that stop early
SPACE = {
    "hidden_layer_sizes": [(width,) * depth for depth in (1, 2, 3) for width in (32, 64, 128)],
    "activation": ["relu", "tanh"],
    "alpha": loguniform(1e-7, 1e-1),
    "learning_rate_init": loguniform(1e-4, 1e-1),
    "batch_size": [32, 64, 128, 256],
    "dropout": uniform(0, 0.5),
}
ALWAYS = {"tol": 0.0, "n_iter_no_change": np.inf, "n_jobs": 1}
OF_CIRCLES = {
    "hidden_layer_sizes": [(24,), (12, 12), (8, 8, 8), (6, 6, 6, 6), (12, 6, 3, 3)],
    "batch_size": [32, 64, 128, 256, 512],
    "learning_rate": ["constant", "invscaling"],
    "learning_rate_init": loguniform(1e-4, 1e-1),
    "alpha": loguniform(1e-6, 1e-3),
    "power_t": uniform(0.1, 0.8),
    "momentum": uniform(0, 1),
}
PASSES = 350


def circles(n, rng):
    """Points on four circles, and four columns of noise."""
    y = rng.integers(4, size=n)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = 0.4 + 0.4 * y + rng.normal(scale=0.155, size=n)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-2, 2, (n, 4))])
    return np.float32(np.clip(X, -2, 2)), y


def random_search(model, space, X, y, cv, epochs, budget, seed):
    """Best parameters of random search; all trials go to the end."""
    n_trials = budget // (epochs * cv.get_n_splits())
    search = RandomizedSearchCV(model, space, n_iter=n_trials, cv=cv, random_state=seed, refit=False).fit(X, y)
    return search.best_params_, search.best_score_, n_trials, n_trials * epochs * cv.get_n_splits()


def median(model, space, X, y, cv, epochs, budget, seed):
    """Best parameters of the trials that came to their end within the budget."""
    n_trials = 4 * budget // (epochs * cv.get_n_splits())
    search = TPESearchCV(model, space, n_trials=n_trials, cv=cv, random_state=seed, refit=False).fit(X, y)
    results = search.cv_results_
    passes = np.cumsum(results["epochs"]) * cv.get_n_splits()
    n = int(np.searchsorted(passes, budget, side="right"))
    best = int(np.nanargmax(results["mean_test_score"][:n]))
    return results["params"][best], results["mean_test_score"][best], n, int(passes[n - 1])


def halving(model, space, X, y, cv, epochs, budget, seed):
    """Best parameters of the most trials that halving has within the budget."""
    first = -(-epochs // (9 if epochs < 81 else 27))

    def passes_of(n):
        rounds, total, before = [first], 0, 0
        while rounds[-1] * 3 < epochs:
            rounds.append(rounds[-1] * 3)
        for until in [*rounds, epochs]:
            total += n * (until - before)
            before, n = until - 1, -(-n // 3)
        return total * cv.get_n_splits()

    n_trials = max(n for n in range(1, 1000) if passes_of(n) <= budget)
    search = TPESearchCV(
        model, space, n_trials=n_trials, cv=cv, random_state=seed, refit=False, pruner="halving", min_epochs=first
    ).fit(X, y)
    return search.best_params_, search.best_score_, n_trials, passes_of(n_trials)


def compare_seconds(name, model, space, data, cv, seeds):
    """Print a row for each search: the mean over seeds."""
    X, y, X_test, y_test = data
    model = clone(model).set_params(early_stopping=True, n_iter_no_change=10)
    common = {"cv": cv, "refit": False}
    rows = {"random": [], "TPE, median": []}
    for seed in range(seeds):
        searches = {
            "random": RandomizedSearchCV(model, space, n_iter=N_RANDOM, n_jobs=-1, random_state=seed, **common),
            "TPE, median": TPESearchCV(model, space, n_trials=None, random_state=seed, **common),
        }
        limit = None
        for title, search in searches.items():
            if limit:
                search.set_params(timeout=limit)
            began = time.perf_counter()
            with parallel_config("threading"):
                search.fit(X, y)
            seconds = time.perf_counter() - began
            limit = limit or seconds
            test = clone(model).set_params(**search.best_params_).fit(X, y).score(X_test, y_test)
            rows[title].append((len(search.cv_results_["params"]), seconds, search.best_score_, test))
    for title, found in rows.items():
        n_trials, seconds, score, test = np.mean(found, axis=0)
        spread = np.std(found, axis=0)[3]
        print(
            f"| {name} | {title} | {n_trials:.0f} | {seconds:.1f} | {score:.4f} | {test:.4f} ± {spread:.4f} |",
            flush=True,
        )


SEARCHES = {"random": random_search, "TPE, median": median, "TPE, halving": halving}


def compare(name, model, space, data, cv, epochs, budget, seeds):
    """Print a row for each search: the mean over seeds."""
    X, y, X_test, y_test = data
    for title, search in SEARCHES.items():
        rows = []
        for seed in range(seeds):
            params, score, n_trials, passes = search(model, space, X, y, cv, epochs, budget, seed)
            rows.append((n_trials, passes, score, clone(model).set_params(**params).fit(X, y).score(X_test, y_test)))
        n_trials, passes, score, test = np.mean(rows, axis=0)
        spread = np.std(rows, axis=0)[3]
        counts = f"{n_trials:.0f} | {passes:.0f}"
        print(f"| {name} | {title} | {counts} | {score:.4f} | {test:.4f} ± {spread:.4f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="*", default=["magic", "letter", "california"])
    parser.add_argument("--no-circles", action="store_true")
    parser.add_argument("--same", choices=["epochs", "seconds"], default="epochs")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = importlib.util.spec_from_file_location("load", args.data / "load.py")
    sets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sets)
    print(f"| set | search | trials | {args.same} | best score | test score |")
    print("|---|---|---:|---:|---:|---:|")
    for name in args.sets:
        X, X_test, y, y_test = sets.split(name)
        regression = y.dtype.kind == "f"
        if regression:
            y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
        model = (MLPRegressor if regression else MLPClassifier)(max_iter=EPOCHS, random_state=0, **ALWAYS)
        cv = KFold(FOLDS, shuffle=True, random_state=0)
        data = X[:ROWS], y[:ROWS], X_test, y_test
        if args.same == "seconds":
            compare_seconds(name, model.set_params(max_iter=PATIENT_EPOCHS), SPACE, data, cv, args.seeds)
        else:
            compare(name, model, SPACE, data, cv, EPOCHS, N_RANDOM * FOLDS * EPOCHS, args.seeds)
    if args.same == "epochs" and not args.no_circles:
        X, y = circles(60_000, np.random.default_rng(0))
        X_test, y_test = circles(10_000, np.random.default_rng(1))
        model = MLPClassifier(solver="sgd", max_iter=81, random_state=0, **ALWAYS)
        cv = ShuffleSplit(1, test_size=10_000, random_state=0)
        compare("circles", model, OF_CIRCLES, (X, y, X_test, y_test), cv, 81, PASSES, args.seeds)


if __name__ == "__main__":
    main()
