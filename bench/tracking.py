"""What recording a fit in MLflow costs: the time of a fit with `MLflowCallback` over that of the same fit without."""

import os
import statistics
import tempfile
import time
import warnings

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.tracking import MLflowCallback

ROUNDS = 7
EPOCHS = 300


class Epochs:
    """Passes epochs on to a callback, and adds up the time that this takes."""

    def __init__(self, callback):
        self.callback, self.seconds = callback, 0.0

    def __call__(self, estimator, epoch, metrics):
        begin = time.perf_counter()
        self.callback(estimator, epoch, metrics)
        self.seconds += time.perf_counter() - begin


def seconds(model, X, y):
    begin = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - begin


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        callback = MLflowCallback("bench", tracking_uri="sqlite:///mlflow.db", log_model=False)
        callback.prepare()
        without, recorded, shares, around = [], [], [], []
        for _ in range(ROUNDS):
            given = {"max_iter": EPOCHS, "tol": 0, "n_iter_no_change": EPOCHS, "random_state": 0}
            without.append(seconds(MLPClassifier(**given), X, y))
            epochs = Epochs(callback)
            model = MLPClassifier(**given, callbacks=epochs)
            begin = time.perf_counter()
            with callback.run(model, X, y):
                recorded.append(seconds(model, X, y))
            around.append(time.perf_counter() - begin - recorded[-1])
            shares.append(epochs.seconds / recorded[-1])
        os.chdir(os.path.dirname(folder))
    ratio = statistics.median(b / a for a, b in zip(without, recorded, strict=True))
    print(
        f"digits, {EPOCHS} epochs in {statistics.median(without):.2f} s: a recorded fit takes {ratio:.3f} as long;"
        f" {statistics.median(shares):.1%} of it is spent in the callback;"
        f" {statistics.median(around):.2f} s before and after it (median of {ROUNDS} rounds)"
    )


if __name__ == "__main__":
    main()
