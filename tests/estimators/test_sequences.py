"""Recurrent networks: sequences of one length and of several, and what a fitted one gives."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from twin_layers import pass_rows

import fastmlp
from fastmlp import RecurrentClassifier, RecurrentRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
SERIES, CODES = rng.standard_normal((60, 3, 12)), rng.integers(3, size=60)
RAGGED = [rng.standard_normal((2, n)) for n in [0, 1, 11, *rng.integers(12, size=57)]]

NETS = {
    "gru": (SERIES, {}),
    "lstm": (SERIES, {"cell": "lstm"}),
    "several layers": (SERIES, {"hidden_layer_sizes": (5, 3), "cell": "lstm"}),
    "both directions": (SERIES, {"bidirectional": True, "output": "mean"}),
    "both directions, several layers": (SERIES, {"bidirectional": True, "hidden_layer_sizes": (4, 3)}),
    "dense behind": (SERIES, {"output": "mean", "dense_layer_sizes": (6, 4), "activation": "tanh"}),
    "one channel": (SERIES[:, 0], {}),
    "lengths": (RAGGED, {}),
    "lengths, mean": (RAGGED, {"output": "mean", "cell": "lstm", "dense_layer_sizes": (5,)}),
    "lengths, both directions": (RAGGED, {"bidirectional": True}),
    "lengths, several layers": (RAGGED, {"hidden_layer_sizes": (5, 3, 4), "cell": "lstm"}),
    "lengths, both directions, several layers": (
        RAGGED,
        {"hidden_layer_sizes": (4, 3), "bidirectional": True, "output": "mean"},
    ),
    "truncated": (SERIES, {"truncation": 4, "hidden_layer_sizes": (5, 3)}),
    "lengths, truncated": (RAGGED, {"truncation": 3, "bidirectional": True}),
    "lengths, both directions, mean": (RAGGED, {"bidirectional": True, "cell": "lstm", "output": "mean"}),
}
every_net = pytest.mark.parametrize("net", NETS)
every_kind = pytest.mark.parametrize("kind", [RecurrentClassifier, RecurrentRegressor])


def fitted(net, kind=RecurrentClassifier, **params):
    X, options = NETS[net]
    y = CODES if kind is RecurrentClassifier else np.stack([CODES, CODES**2], axis=1)
    params = {"hidden_layer_sizes": 7, "random_state": 0, "max_iter": 3} | options | params
    return kind(**params).fit(X, y), X, y


def rows_of(X):
    """Rows as the network reads them."""
    if isinstance(X, np.ndarray):
        return X.reshape(len(X), -1)
    steps = max(row.shape[1] for row in X)
    return np.array([[*np.pad(row, [(0, 0), (0, steps - row.shape[1])]).ravel(), row.shape[1]] for row in X])


@every_net
@every_kind
def test_predictions_are_those_of_the_formulas(net, kind):
    model, X, _ = fitted(net, kind)
    inputs, *layers = model._layers(model.n_features_in_, model.n_outputs_)
    parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    z, _ = pass_rows(inputs, layers, parameters, rows_of(X))
    if kind is RecurrentRegressor:
        np.testing.assert_allclose(model.predict(X), z, rtol=1e-10, atol=1e-12)
    else:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        np.testing.assert_allclose(model.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-10)


@every_net
@every_kind
def test_it_travels(net, kind, tmp_path):
    model, X, _ = fitted(net, kind)
    predict = "predict_proba" if kind is RecurrentClassifier else "predict"
    expected = getattr(model, predict)(X)
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), fastmlp.load(tmp_path / "model")):
        assert np.array_equal(getattr(other, predict)(X), expected) and other.input_shape_ == model.input_shape_
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    rows = rows_of(X).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"X": rows})[-1], expected, atol=1e-5 * max(1, np.abs(expected).max()))
    with pytest.raises(ValueError, match="to_c has no recurrent layers"):
        model.to_c()


def test_a_sequence_is_the_same_among_longer_ones():
    """Steps behind its end are not read."""
    model, X, _ = fitted("lengths")
    together = model.predict_proba(X)
    for i in (0, 1, 2, 30):
        assert np.array_equal(model.predict_proba([X[i]])[0], together[i])
    same = [row for row in X if row.shape[1] == X[2].shape[1]]
    assert np.array_equal(model.predict_proba(np.stack(same)), model.predict_proba(same))
    # of one length as a list or as an array
    one, two = (RecurrentClassifier(5, max_iter=2, random_state=0).fit(Z, CODES) for Z in (SERIES, list(SERIES)))
    assert np.array_equal(one.predict_proba(SERIES), two.predict_proba(SERIES))
    flat = RecurrentClassifier(5, max_iter=2, random_state=0, input_shape=(3, 12)).fit(SERIES.reshape(60, -1), CODES)
    assert np.array_equal(flat.predict_proba(SERIES), one.predict_proba(list(SERIES)))


@pytest.mark.parametrize("n_jobs", [2, None])
@pytest.mark.parametrize("net", ["gru", "lengths, both directions, mean"])
def test_the_same_seed_gives_the_same_bits(net, n_jobs):
    (a, X, _), (b, _, _) = fitted(net, n_jobs=n_jobs), fitted(net, n_jobs=1)
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


@every_net
def test_gradients(net):
    model, X, _ = fitted(net)
    gradients = model.input_gradients(X[:3], raw_score=True)
    inputs, *layers = model._layers(model.n_features_in_, model.n_outputs_)
    parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    z, back = pass_rows(inputs, layers, parameters, rows_of(X)[:3])
    for k in range(3):
        seed = np.zeros(z.shape)
        seed[:, k] = 1
        expected = back(seed)[0]
        if isinstance(X, list):
            assert gradients.shape == (3, 3, *model.input_shape_)
            expected = expected[:, :-1]
        np.testing.assert_allclose(gradients[:, k].reshape(3, -1), expected, rtol=1e-9, atol=1e-12)


def test_what_is_refused():
    model, X, _ = fitted("lengths")
    with pytest.raises(ValueError, match="up to 99 steps, but .* is expecting 2 channels and at most 11"):
        model.predict([np.zeros((2, 99))])
    with pytest.raises(ValueError, match="sequences of 3 channels"):
        model.predict([np.zeros((3, 4))])
    with pytest.raises(ValueError, match="sequences of 2 and of 3 channels"):
        RecurrentClassifier().fit([np.zeros((2, 4)), np.zeros((3, 4))], [0, 1])
    with pytest.raises(ValueError, match="'truncation' parameter of RecurrentClassifier must be"):
        RecurrentClassifier(truncation=0).fit(X, CODES)
    with pytest.raises(ValueError, match="are no sequences"):
        RecurrentClassifier().fit(SERIES[:, None], CODES)
    with pytest.raises(ValueError, match="at least one recurrent layer"):
        RecurrentClassifier(()).fit(SERIES, CODES)
    with pytest.raises(ValueError, match="NaN"):
        model.predict([np.full((2, 3), np.nan)])
    of_one, _, _ = fitted("gru")
    with pytest.raises(ValueError, match="different lengths, but fit had such of one length"):
        of_one.predict([np.zeros((3, 4)), np.zeros((3, 5))])
    with pytest.raises(ValueError, match="X has rows of shape"):
        of_one.predict(SERIES[:, :, :5])
    assert clone(model).get_params() == model.get_params()


def test_an_order_of_numbers_is_learnt():
    """Which of two pulses comes first: no order of the steps says it but memory."""
    own = np.random.default_rng(1)
    n_steps = own.integers(6, 20, 400)
    X, y = [], own.integers(2, size=400)
    for n, which in zip(n_steps, y, strict=True):
        row = np.zeros((2, n))
        first, second = np.sort(own.choice(n, 2, replace=False))
        row[which, first] = row[1 - which, second] = 1
        X.append(row)
    model = RecurrentClassifier(12, learning_rate_init=0.02, max_iter=60, clip_norm=1.0, random_state=0)
    assert model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.95
    model.set_params(max_iter=2)
    assert np.isfinite(cross_val_score(model, X, y, cv=2)).all()


def test_partial_fits_and_early_stopping():
    model = RecurrentClassifier(5, random_state=0)
    for _ in range(3):
        model.partial_fit(SERIES, CODES, classes=[0, 1, 2])
    whole = RecurrentClassifier(5, random_state=0, max_iter=3, tol=0).fit(SERIES, CODES)
    assert model.t_ == whole.t_ and len(model.loss_curve_) == 3
    stopped = RecurrentClassifier(5, random_state=0, early_stopping=True, dropout=0.2, max_norm=1.0).fit(RAGGED, CODES)
    assert len(stopped.validation_scores_) == stopped.n_iter_
    assert stopped._told()["Layers"](stopped) == "2 x 11 → 5 x 1 GRU → 3 softmax"


def test_validation_data_of_a_first_fit_may_have_other_lengths():
    model = RecurrentClassifier(5, random_state=0, max_iter=3, early_stopping=True)
    model.fit(RAGGED[20:], CODES[20:], X_val=RAGGED[:20], y_val=CODES[:20])
    again = RecurrentClassifier(5, random_state=0, max_iter=3, early_stopping=True).fit(SERIES, CODES)
    again.fit(RAGGED[20:], CODES[20:], X_val=RAGGED[:20], y_val=CODES[:20])
    assert model.validation_scores_ == again.validation_scores_
    model.fit(SERIES, CODES, X_val=list(SERIES[:20]), y_val=CODES[:20])


def test_the_longest_sequence_may_be_asked_for():
    params = {"max_iter": 2, "random_state": 0}
    longer = RecurrentClassifier(5, input_shape=(2, 30), **params).fit(RAGGED, CODES)
    own = RecurrentClassifier(5, **params).fit(RAGGED, CODES)
    assert longer.input_shape_ == (2, 30) and own.input_shape_ == (2, 11)
    np.testing.assert_allclose(longer.predict_proba(RAGGED), own.predict_proba(RAGGED), rtol=1e-12)
    assert longer.predict([np.ones((2, 30))]).shape == (1,)
    # of one length, which is not the longest
    assert RecurrentClassifier(5, input_shape=(3, 20), **params).fit(list(SERIES), CODES).input_shape_ == (3, 20)
    for shape, message in {(2, 5): "up to 11 steps, but", (3, 20): "sequences of 2 channels", (2, -1): "> 0"}.items():
        with pytest.raises(ValueError, match=message):
            RecurrentClassifier(5, input_shape=shape).fit(RAGGED, CODES)
    search = GridSearchCV(RecurrentClassifier(5, input_shape=(2, 11), **params), {"cell": ["gru", "lstm"]}, cv=10)
    assert np.isfinite(search.fit(RAGGED, CODES).cv_results_["mean_test_score"]).all()


def test_bytes_and_arrays_of_arrays():
    given = [(np.abs(row) * 50).astype(np.uint8) for row in RAGGED]
    divided = [(row / np.float32(255)).astype(np.float32) for row in given]
    a, b = (RecurrentClassifier(5, max_iter=2, random_state=0).fit(X, CODES) for X in (given, divided))
    assert np.array_equal(a.predict_proba(given), b.predict_proba(divided))
    same = np.stack([row[:, :1] for row in given if row.shape[1] > 0])
    assert np.array_equal(a.predict_proba(same), a.predict_proba(list(same)))
    held = np.empty(len(RAGGED), dtype=object)
    held[:] = divided
    assert np.array_equal(b.predict_proba(held), b.predict_proba(divided))


def test_paths_keep_the_number_of_steps():
    model, X, _ = fitted("lengths")
    baseline = np.random.default_rng(0).standard_normal(model.input_shape_)

    def logits(X):
        rows = rows_of([*X, np.zeros(model.input_shape_)])[:-1]
        inputs, *layers = model._layers(model.n_features_in_, model.n_outputs_)
        parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
        return pass_rows(inputs, layers, parameters, rows)[0]

    starts = [baseline[:, : row.shape[1]] for row in X]
    for given in (baseline, starts):
        shares = model.integrated_gradients(X, baseline=given, raw_score=True, n_steps=40)
        difference = logits(X) - logits(starts)
        np.testing.assert_allclose(shares.sum(axis=(2, 3)), difference, atol=1e-9)
    shares = model.integrated_gradients(X, raw_score=True, n_steps=40)
    zeros = logits([0 * row for row in X])
    np.testing.assert_allclose(shares.sum(axis=(2, 3)), logits(X) - zeros, atol=1e-9)


def test_messages_name_what_is_wrong():
    model, X, _ = fitted("lengths")
    with pytest.raises(NotFittedError):
        RecurrentClassifier().predict(X)
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(np.empty((0, 2, 11)))
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.integrated_gradients([1.0, 2.0])
    with pytest.raises(TypeError, match="dense_layer_sizes must be integers"):
        RecurrentClassifier(dense_layer_sizes=[2.0]).fit(X, CODES)
    for rows in ([row[0] for row in X], [row[0].tolist() for row in X]):
        with pytest.raises(ValueError, match="different lengths: give each as an array"):
            RecurrentClassifier().fit(rows, CODES)
    with pytest.raises(ValueError, match="inhomogeneous"):
        RecurrentClassifier().fit([[[1, 2], [3]]] * 60, CODES)
