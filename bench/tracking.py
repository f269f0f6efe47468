"""What recording the epochs of a fit in MLflow costs, as a share of the fit's processor time.

Three fits in turn: without a callback, with `MLflowCallback` as a function, and set by `set_callbacks`. What a run
begins and ends with, such as the commit and the curves that are left, is reported apart. Processor time of the process,
the least of ROUNDS, so that other programs do not count.
"""

import os
import tempfile
import time
import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.tracking import MLflowCallback

ROUNDS = 9
EPOCHS = 600


class Timed(MLflowCallback):
    """Adds up the processor time and the time of what a run begins and ends with."""

    def _begin_root(self, *args):
        self.ends = [0.0, 0.0]
        self._timed(super()._begin_root, args)

    def _end_root(self, *args):
        self._timed(super()._end_root, args)

    def _timed(self, act, args):
        began = time.process_time(), time.perf_counter()
        act(*args)
        self.ends[0] += time.process_time() - began[0]
        self.ends[1] += time.perf_counter() - began[1]


def seconds(way, callback, X, y):
    """Processor time of the epochs of a fit, and time of what comes before and after them."""
    model = MLPClassifier(max_iter=EPOCHS, tol=0, n_iter_no_change=EPOCHS, random_state=0, n_jobs=1)
    callback.ends = [0.0, 0.0]
    began = time.process_time()
    if way == "function":
        model.set_params(callbacks=callback)
        with callback.run(model, X, y):
            model.fit(X, y)
    elif way == "set_callbacks":
        model.set_callbacks(callback).fit(X, y)
    else:
        model.fit(X, y)
    return time.process_time() - began - callback.ends[0], callback.ends[1]


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    ways = ["without", "function"] + ["set_callbacks"] * hasattr(MLPClassifier, "set_callbacks")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        callback = Timed("bench", tracking_uri="sqlite:///mlflow.db", log_model=False)
        callback.prepare()
        found = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                found[way].append(seconds(way, callback, X, y))
        os.chdir(os.path.dirname(folder))
    least = {way: [min(part) for part in zip(*rounds, strict=True)] for way, rounds in found.items()}
    without = least["without"][0]
    print(f"digits, {EPOCHS} epochs: {without:.3f} s of processor time (least of {ROUNDS})")
    for way in ways[1:]:
        spent, ends = least[way]
        each = 1e6 * (spent - without) / EPOCHS
        print(
            f"{way}: {spent / without - 1:+.2%} for the epochs, {each:.1f} us each; {ends:.2f} s before and after them"
        )


if __name__ == "__main__":
    main()
