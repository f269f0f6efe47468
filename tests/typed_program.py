"""A user's program, for type checkers: mypy compares what it finds with what is asserted here, and the tests run it."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastmlp
from fastmlp import (
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    RecurrentRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
    TrainingCurveDisplay,
)
from fastmlp.data.sources import Source

X = np.random.default_rng(0).normal(size=(120, 16))
y = (X[:, 0] > 0).astype(int)


def stop_early(estimator: Any, epoch: int, metrics: dict[str, Any]) -> bool:
    return epoch == 3


def falling(update: int) -> float:
    return 0.01 / (1 + update)


def classification(path: Path) -> None:
    model = MLPClassifier((8,), "tanh", solver="sgd", learning_rate_init=0.1, callbacks=stop_early, random_state=0)
    assert_type(model.fit(X, y, sample_weight=np.ones(len(X)), X_val=X, y_val=y), MLPClassifier)
    assert_type(model.partial_fit(X.tolist(), y.tolist()), MLPClassifier)
    assert_type(model.predict(X), NDArray[Any])
    assert_type(model.predict_proba(X).shape, tuple[Any, ...] | Any)
    assert_type(model.score(X, y), float)
    assert_type(model.coefs_, list[NDArray[Any]])
    assert_type(model.loss_curve_, list[float])
    assert_type(model.best_loss_, float | None)
    assert_type(model.n_iter_, int)
    assert_type(model.alpha, float)
    assert_type(model.set_params(alpha=0.1), MLPClassifier)
    assert_type(model.input_gradients(X, target=1), NDArray[np.floating[Any]])
    assert_type(model.to_c(), str | None)
    model.save(path / "model.fastmlp")
    again: MLPClassifier = fastmlp.load(path / "model.fastmlp")
    assert (again.predict(X) == model.predict(X)).all()
    assert_type(Perceptron(max_iter=5, tol=None).fit(X, y).coef_, NDArray[Any])
    images = ConvClassifier([("conv", 4, 3), ("dense", 8)], max_iter=2, input_shape=(1, 4, 4)).fit(X, y)
    assert_type(images, ConvClassifier)
    assert_type(images.input_shape_, tuple[int, ...])
    assert isinstance(images, MLPClassifier)


def regression(path: Path) -> None:
    model = MLPRegressor(loss="quantile", quantile=[0.1, 0.9], lr_schedule=falling, max_iter=3).fit(X, X[:, 0])
    assert_type(model, MLPRegressor)
    assert_type(model.predict(X), NDArray[Any])
    sequences = [np.ones((2, length)) for length in (3, 4, 5)] * 4
    assert_type(RecurrentRegressor(hidden_layer_sizes=4, max_iter=1).fit(sequences, range(12)).loss_, float)
    np.save(path / "X.npy", X)
    source = fastmlp.scan_npy(path / "X.npy", X[:, 0], window_rows=64)
    assert_type(source, Source)
    assert_type(source.n_rows, int)
    assert_type(MLPRegressor(max_iter=1).fit(source).score(source), float)


def tables() -> None:
    table = {"size": [1.0, 2.0, None, 4.0] * 20, "colour": ["red", "green", None, "red"] * 20}
    model = TabularMLPClassifier(n_members=2, max_iter=2, random_state=0).fit(table, ["a", "b", "b", "a"] * 20)
    assert_type(model.classes_, NDArray[Any])
    assert_type(model.predict_proba({"size": 1.0, "colour": "red"}), NDArray[np.float32])
    assert_type(model.oof_score_, float)
    assert_type(TabularMLPRegressor(n_members=1, max_iter=1).fit(table, range(80)).predict(table), NDArray[Any])


def picture() -> None:
    display = TrainingCurveDisplay(loss=[3.0, 2.0, 1.0], name="net")
    assert_type(display.plot(), TrainingCurveDisplay)


def wrong() -> None:
    """What a type checker has to find; mypy complains of a comment that ignores nothing."""
    MLPClassifier(activation="rellu")  # type: ignore[arg-type]
    MLPClassifier(hidden_layers=3)  # type: ignore[call-arg]
    MLPRegressor().fit()  # type: ignore[call-arg]
    fastmlp.scan_npy("X.npy", window_rows="many")  # type: ignore[arg-type]
