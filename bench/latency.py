"""The time of predict_proba for one row of each kind, fastmlp and scikit-learn by turns: 20-100-3, microseconds."""

import time
import warnings

import numpy as np
import pandas as pd
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning

import fastmlp

ROUNDS, CALLS = 15, 100
X = np.random.default_rng(0).standard_normal((500, 20))
Y = np.arange(500) % 3
FRAME = pd.DataFrame(X).add_prefix("feature_")
CASES = {  # parameters, data of the fit, row
    "float64": ({}, X, X[:1]),
    "float32, float64 model": ({}, X, X[:1].astype(np.float32)),
    "float64, float32 model": ({}, X.astype(np.float32), X[:1]),
    "int64": ({}, X, X[:1].astype(np.int64)),
    "list": ({}, X, X[:1].tolist()),
    "pandas": ({}, FRAME, FRAME[:1]),
    "n_jobs=-1": ({"n_jobs": -1}, X, X[:1]),
}


def fitted(module, params, data):
    model = module.MLPClassifier((100,), max_iter=2, random_state=0)
    known = {name: value for name, value in params.items() if name in model.get_params()}
    return model.set_params(**known).fit(data, Y)


def microseconds(model, row):
    begin = time.perf_counter()
    for _ in range(CALLS):
        model.predict_proba(row)
    return (time.perf_counter() - begin) / CALLS * 1e6


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'row':28}{'fastmlp':>10}{'scikit-learn':>14}")
    for name, (params, data, row) in CASES.items():
        models = [fitted(module, params, data) for module in (fastmlp, sklearn.neural_network)]
        ours, theirs = np.min([[microseconds(model, row) for model in models] for _ in range(ROUNDS)], axis=0)
        print(f"{name:28}{ours:10.1f}{theirs:14.1f}")


if __name__ == "__main__":
    main()
