"""What recording the epochs of a fit in MLflow costs, in processor time of an epoch.

Three fits in turn: without a callback, with `MLflowCallback` as a function, and set by `set_callbacks`; of iris, whose
epochs are so short that what is added shows. What a run begins and ends with, such as the commit and the curves that
are left, is reported apart. The order turns by one a round; medians of the rounds' differences, with the quartiles.
"""

import os
import tempfile
import time
import warnings

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.tracking import MLflowCallback

ROUNDS = 21
EPOCHS = 2000


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
    X, y = load_iris(return_X_y=True)
    ways = ["without", "function"] + ["set_callbacks"] * hasattr(MLPClassifier, "set_callbacks")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        callback = Timed("bench", tracking_uri="sqlite:///mlflow.db", log_model=False)
        callback.prepare()
        found = {way: [] for way in ways}
        for i in range(ROUNDS):
            turn = i % len(ways)
            for way in ways[turn:] + ways[:turn]:
                found[way].append(seconds(way, callback, X, y))
        os.chdir(os.path.dirname(folder))
    without = np.array(found["without"])[:, 0]
    print(f"iris, {EPOCHS} epochs: {1e6 * np.median(without) / EPOCHS:.1f} us of processor time an epoch")
    for way in ways[1:]:
        spent, ends = np.array(found[way]).T
        lower, added, upper = 1e6 * np.quantile(spent - without, [0.25, 0.5, 0.75]) / EPOCHS
        print(
            f"{way}: {added:.1f} us more an epoch (quartiles {lower:.1f} and {upper:.1f}), 1 % of epochs of"
            f" {added / 10:.1f} ms; {np.median(ends):.2f} s before and after them"
        )


if __name__ == "__main__":
    main()
