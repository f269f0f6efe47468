"""fastmlp in a few lines, beside scikit-learn, on data that scikit-learn ships.

Only the import differs between the two: `from fastmlp import MLPClassifier` in place of
`from sklearn.neural_network import MLPClassifier`. Prints accuracy (or R2) on held-out rows and the time of `fit`
for both, and saves their loss curves to quickstart.png in the current folder. Takes a minute or so.

    python examples/quickstart.py
"""

import time
import warnings
from pathlib import Path

import numpy as np
import sklearn.neural_network
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp

LIBRARIES = {"scikit-learn": sklearn.neural_network, "fastmlp": fastmlp}
GRID = {"mlpclassifier__hidden_layer_sizes": [(50,), (100,)], "mlpclassifier__alpha": [1e-4, 1e-1]}


def classifier(library):
    """Scale the features, then a multilayer perceptron with one hidden layer of 100 units."""
    return make_pipeline(StandardScaler(), library.MLPClassifier(random_state=0))


def grid_search(library):
    """The best of four such pipelines by cross-validation."""
    return GridSearchCV(classifier(library), GRID, cv=3)


def regressor(library):
    """The same for a real number, which is scaled too."""
    mlp = library.MLPRegressor(hidden_layer_sizes=(50,), alpha=10, random_state=0)
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), mlp), transformer=StandardScaler())


# What is learned, the model, the data, and how often each library fits it (the best time counts).
TASKS = [
    ("digits", classifier, load_digits, 3),
    ("breast cancer", classifier, load_breast_cancer, 5),
    ("digits, grid search", grid_search, load_digits, 1),
    ("diabetes (R2)", regressor, load_diabetes, 5),
]


def compare(make, load, repeats):
    """Fit with each library in turn, `repeats` times: {library: (score on held-out rows, best time, fitted model)}."""
    X, y = load(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    models = {name: make(library) for name, library in LIBRARIES.items()}
    times = {name: [] for name in LIBRARIES}
    for _ in range(repeats):
        for name in LIBRARIES:
            models[name] = clone(models[name])
            begin = time.perf_counter()
            models[name].fit(X_train, y_train)
            times[name].append(time.perf_counter() - begin)
    return {name: (model.score(X_test, y_test), min(times[name]), model) for name, model in models.items()}


def fitted_mlp(model):
    """The MLP inside a fitted search, target transformer or pipeline."""
    model = getattr(model, "best_estimator_", getattr(model, "regressor_", model))
    return model[-1]


def plot_losses(results, path):
    """Loss by epoch, where the curves lie on one another, and by time."""
    figure = Figure(figsize=(3.6 * len(results), 6), layout="constrained")
    axes = figure.subplots(2, len(results))
    for (by_epoch, by_time), (task, result) in zip(axes.T, results.items(), strict=True):
        for (name, (_, seconds, model)), style in zip(result.items(), ({"lw": 5, "alpha": 0.4}, {}), strict=True):
            losses = fitted_mlp(model).loss_curve_
            by_epoch.plot(losses, label=name, **style)
            by_time.plot(np.linspace(0, seconds, len(losses)), losses, **style)
        by_epoch.set(title=task, xlabel="epoch")
        by_time.set(xlabel="seconds of fit")
    axes[0, 0].legend()
    for row in axes:
        row[0].set_ylabel("training loss")
    figure.savefig(path, dpi=110)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # "maximum iterations reached": the default of 200 is enough
    print(f"{'':20} {'score':>9} {'':>9} {'fit, seconds':>13}")
    print(f"{'':20} {'sklearn':>9} {'fastmlp':>9} {'sklearn':>9} {'fastmlp':>9} {'speed-up':>9}")
    results = {}
    for task, make, load, repeats in TASKS:
        results[task] = compare(make, load, repeats)
        (score, seconds, _), (our_score, our_seconds, _) = results[task].values()
        print(
            f"{task:20} {score:9.4f} {our_score:9.4f} {seconds:9.3f} {our_seconds:9.3f} {seconds / our_seconds:8.1f}x",
            flush=True,
        )
    path = Path("quickstart.png").resolve()
    plot_losses({task: result for task, result in results.items() if "search" not in task}, path)
    print(f"loss curves: {path}")


if __name__ == "__main__":
    main()
