"""Input gradients and integrated gradients of fitted models."""

import functools
import pickle

import numpy as np
import pandas
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_linnerud
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import scale

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.engine import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STEP = 1e-5


def iris():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


def targets():
    """Name -> estimator, data, and its outputs as `target` counts them, (n_samples, n_columns)."""
    X, y = iris()
    several = np.stack([y, y > 0], axis=1)
    yes_and_no = np.stack([y == 0, y > 0, X[:, 0] > 0], axis=1).astype(int)
    measures, exercises = (scale(a) for a in load_linnerud(return_X_y=True))
    classifier = MLPClassifier((9,), "tanh", max_iter=60, random_state=0)
    regressor = MLPRegressor(hidden_layer_sizes=(9,), activation="tanh", max_iter=60, random_state=0)
    probabilities = MLPClassifier.predict_proba

    def margins(model, X):
        d = model.decision_function(X)
        return np.stack([-d, d], axis=1) if d.ndim == 1 else d

    def with_loss(estimator, **params):
        return type(estimator)(**(estimator.get_params() | params))

    return {
        "multiclass": (classifier, X, y, probabilities),
        "two classes": (classifier, X, y > 0, probabilities),
        "labels as text": (classifier, X, np.array(["no", "yes"])[(y > 0).astype(int)], probabilities),
        "multilabel": (classifier, X, yes_and_no, probabilities),
        "several outputs": (classifier, X, several, lambda model, X: np.hstack(model.predict_proba(X))),
        "focal": (with_loss(classifier, loss="focal"), X, y, probabilities),
        "hinge": (with_loss(classifier, loss="hinge"), X, y, margins),
        "hinge, two classes": (with_loss(classifier, loss="hinge"), X, y > 0, margins),
        "regression": (regressor, X, X[:, 0] * X[:, 1], MLPRegressor.predict),
        "several targets": (regressor, measures, exercises, MLPRegressor.predict),
        "poisson": (with_loss(regressor, loss="poisson"), X, y, MLPRegressor.predict),
        "quantiles": (with_loss(regressor, loss="quantile", quantile=[0.1, 0.9]), X, X[:, 0], MLPRegressor.predict),
        "no hidden layer": (with_loss(classifier, hidden_layer_sizes=()), X, y, probabilities),
    }


TARGETS = targets()


@pytest.fixture(scope="module", params=TARGETS)
def model_data_outputs(request):
    model, X, y, outputs = TARGETS[request.param]

    def columns(X):
        values = outputs(model, X)
        return values[:, None] if values.ndim == 1 else values

    return model.fit(X, y), X, columns


def differences(columns, X):
    steps = STEP * np.eye(X.shape[1])
    return np.stack([(columns(X + step) - columns(X - step)) / (2 * STEP) for step in steps], axis=2)


def is_single(model, expected):
    """Whether all outputs are one: a number, or the probability of the second of two classes."""
    return model.n_outputs_ == 1 or expected.shape[1] == 1


def test_gradients_are_those_of_the_predictions(model_data_outputs):
    model, X, columns = model_data_outputs
    expected = differences(columns, X)
    gradients = model.input_gradients(X)
    shown = expected[:, -1] if is_single(model, expected) else expected
    assert gradients.shape == shown.shape
    np.testing.assert_allclose(gradients, shown, rtol=1e-6, atol=1e-8)
    n_columns = expected.shape[1]
    for k in range(n_columns):
        np.testing.assert_allclose(model.input_gradients(X, target=k), expected[:, k], rtol=1e-6, atol=1e-8)
    each = np.random.default_rng(0).integers(n_columns, size=len(X))
    of_each = expected[np.arange(len(X)), each]
    for indices in (each, list(each), each.astype(np.uint8), pandas.Series(each)):
        np.testing.assert_allclose(model.input_gradients(X, target=indices), of_each, rtol=1e-6, atol=1e-8)
    for wrong in (n_columns, -1, np.full(len(X), n_columns)):
        with pytest.raises(ValueError, match=f"at least 0 and below {n_columns}, got"):
            model.input_gradients(X, target=wrong)


def test_integrated_gradients_are_complete(model_data_outputs):
    model, X, columns = model_data_outputs
    n_columns = columns(X).shape[1]
    for baseline, start in ((None, np.zeros_like(X)), (X.mean(axis=0), X.mean(axis=0) + 0 * X), (X[::-1], X[::-1])):
        expected = columns(X) - columns(start)
        close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-9 * abs(expected).max())
        attributions = model.integrated_gradients(X, baseline=baseline)
        shown = expected[:, -1] if is_single(model, expected) else expected
        assert attributions.shape == (*shown.shape, X.shape[1])
        close(attributions.sum(axis=-1), shown)
        for k in range(n_columns):
            attributions = model.integrated_gradients(X, baseline=baseline, target=k)
            assert attributions.shape == X.shape
            close(attributions.sum(axis=1), expected[:, k])
        each = np.arange(len(X)) % n_columns
        attributions = model.integrated_gradients(X, baseline=baseline, target=each)
        close(attributions.sum(axis=1), expected[np.arange(len(X)), each])


@pytest.mark.parametrize("name, link", [("two classes", "logit"), ("poisson", "log"), ("multiclass", "softmax")])
def test_raw_scores(name, link):
    model, X, y, outputs = TARGETS[name]
    p = outputs(model.fit(X, y), X)
    gradients, raw = model.input_gradients(X), model.input_gradients(X, raw_score=True)
    shares = model.integrated_gradients(X, baseline=X[:1], raw_score=True)
    if link == "logit":
        np.testing.assert_allclose(gradients, raw * (p[:, :1] * p[:, 1:]), rtol=1e-9, atol=1e-15)
        z = np.log(p[:, 1] / p[:, 0])
        np.testing.assert_array_equal(model.input_gradients(X, target=0, raw_score=True), -raw)
    elif link == "log":
        np.testing.assert_allclose(gradients, raw * p[:, None], rtol=1e-9, atol=1e-15)
        z = np.log(p)
    else:
        mean = np.einsum("nk,nkj->nj", p, raw)
        np.testing.assert_allclose(gradients, p[:, :, None] * (raw - mean[:, None]), rtol=1e-9, atol=1e-15)
        # logits are known but for a number that is the same for all classes
        shares, z = shares[:, 1] - shares[:, 0], np.log(p[:, 1] / p[:, 0])
    np.testing.assert_allclose(shares.sum(axis=1), z - z[0], rtol=0, atol=1e-9)


def test_linear_models_are_their_coefficients():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(hidden_layer_sizes=(7,), activation="identity", max_iter=20, random_state=0).fit(X, y)
    slope = (model.coefs_[0] @ model.coefs_[1])[:, 0]
    np.testing.assert_allclose(model.input_gradients(X), np.tile(slope, (len(X), 1)), rtol=1e-12)
    # one node is enough where the gradient is the same everywhere
    attributions = model.integrated_gradients(X, baseline=X[0], n_steps=1)
    np.testing.assert_allclose(attributions, (X - X[0]) * slope, rtol=1e-12, atol=1e-15)


def test_more_steps_come_closer():
    """Far faster than any power for tanh, slower across the kinks of relu."""
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    errors = {}
    for activation in ("tanh", "relu"):
        model = MLPClassifier((20,), activation, max_iter=100, random_state=0).fit(X, y)
        difference = model.predict_proba(X)[:, 1] - model.predict_proba(np.zeros((1, X.shape[1])))[:, 1]
        errors[activation] = [
            abs(model.integrated_gradients(X, n_steps=n).sum(axis=1) - difference).max() for n in (5, 20, 80, 320)
        ]
    assert errors["tanh"][2] < 1e-4 * errors["tanh"][0]
    assert errors["tanh"][3] < 1e-12
    assert errors["relu"][3] < 0.1 * errors["relu"][0]
    assert errors["relu"][3] < 2e-3


def test_input_of_every_kind():
    X, y = load_digits(return_X_y=True)
    X = X[:300] / 16
    model = MLPClassifier((16,), max_iter=20, random_state=0).fit(X, y[:300])
    expected, shares = model.input_gradients(X), model.integrated_gradients(X, n_steps=7)
    apart = np.zeros((300, 128))[:, ::2]
    apart[:] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    for other in (np.asfortranarray(X), apart, read_only, X.tolist(), csr_matrix(X), csr_matrix(X).tocsc()):
        np.testing.assert_allclose(model.input_gradients(other), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(model.integrated_gradients(other, n_steps=7), shares, rtol=0, atol=1e-12)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.input_gradients(X), expected)


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_precision_is_that_of_predict(dtype):
    X, y = iris()
    single = X.astype(np.float32)
    model = MLPClassifier((9,), max_iter=20, random_state=0, dtype=dtype).fit(single, y)
    for rows in (single, X):
        expected = model.predict_proba(rows).dtype
        assert model.input_gradients(rows).dtype == expected
        assert model.integrated_gradients(rows, baseline=X[0]).dtype == expected
    fine = MLPClassifier((9,), max_iter=20, random_state=0, dtype="float64").fit(X, y)
    expected = fine.integrated_gradients(X, baseline=X[0])
    fine.coefs_ = [W.astype(np.float32) for W in fine.coefs_]
    fine.intercepts_ = [b.astype(np.float32) for b in fine.intercepts_]
    fine.dtype = "float32"
    coarse = fine.integrated_gradients(X, baseline=X[0])
    assert coarse.dtype == np.float32
    np.testing.assert_allclose(coarse, expected, rtol=0, atol=1e-5)


def test_feature_names():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = MLPClassifier((9,), max_iter=20, random_state=0).fit(X, y)
    gradients = model.input_gradients(X)
    np.testing.assert_array_equal(gradients, model.input_gradients(X.loc[:, :]))
    model.integrated_gradients(X, baseline=X.mean())
    with pytest.raises(ValueError, match="feature names should match"):
        model.input_gradients(X.iloc[:, ::-1])
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(model.input_gradients(X.to_numpy()), gradients)


def test_parameters_that_were_set_count():
    X, y = iris()
    model = MLPClassifier((9,), "tanh", max_iter=20, random_state=0).fit(X, y)
    model.coefs_[0][:] = 0
    np.testing.assert_array_equal(model.input_gradients(X), np.zeros((150, 3, 4)))


def test_bad_input():
    X, y = iris()
    model = MLPClassifier((9,), max_iter=20, random_state=0)
    for explain in (model.input_gradients, model.integrated_gradients):
        with pytest.raises(NotFittedError):
            explain(X)
    model.fit(X, y)
    for explain in (model.input_gradients, model.integrated_gradients):
        with pytest.raises(ValueError, match="X has 3 features"):
            explain(X[:, :3])
        with pytest.raises(ValueError, match="NaN"):
            explain(np.where(X > 1, np.nan, X))
        for target in (1.0, "setosa", True, [True] * 150, [0.0] * 150, [None] * 150, []):
            with pytest.raises(TypeError, match="target must be None or indices of outputs"):
                explain(X, target=target)
        for target in ([0, 1], [[0]] * 150):
            with pytest.raises(ValueError, match=r"target must be an index or of shape \(150,\), one for each sample"):
                explain(X, target=target)
    for baseline in (np.zeros(3), np.zeros((2, 4)), np.zeros((4, 150)), 0.0):
        with pytest.raises(ValueError, match=r"baseline|array"):
            model.integrated_gradients(X, baseline=baseline)
    with pytest.raises(ValueError, match="baseline contains NaN"):
        model.integrated_gradients(X, baseline=[0, 0, np.nan, 0])
    with pytest.raises(TypeError, match="[sS]parse"):
        model.integrated_gradients(X, baseline=csr_matrix(X))
    with pytest.raises(ValueError, match="n_steps == 0"):
        model.integrated_gradients(X, n_steps=0)
    with pytest.raises(TypeError, match="n_steps"):
        model.integrated_gradients(X, n_steps=5.0)
    model.set_params(dtype="float32").fit(X, y)
    with pytest.raises(ValueError, match="baseline has values beyond float32"):
        model.integrated_gradients(X, baseline=np.full(4, 1e300))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_agrees(activation, dtype):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    functions = {"identity": lambda z: z, "logistic": torch.sigmoid, "tanh": torch.tanh, "hard_swish": F.hardswish}
    # torch's own hard_sigmoid has a slope of single precision
    functions |= {"gelu_tanh": lambda z: F.gelu(z, approximate="tanh"), "hard_sigmoid": lambda z: F.relu6(z + 3) / 6}
    X, y = load_digits(return_X_y=True)
    X = (X[:100] / 16).astype(dtype)
    model = MLPClassifier((20, 7), activation, max_iter=30, random_state=0, dtype=dtype).fit(X, y[:100])
    inputs = torch.tensor(X, requires_grad=True)
    a = inputs
    for i, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        a = a @ torch.tensor(W) + torch.tensor(b)
        if i < 2:
            a = functions.get(activation, getattr(F, activation, None))(a)
    for raw_score, outputs in ((True, a), (False, torch.softmax(a, dim=1))):
        for k in range(10):
            (expected,) = torch.autograd.grad(outputs[:, k].sum(), inputs, retain_graph=True)
            gradients = model.input_gradients(X, target=k, raw_score=raw_score)
            tolerance = 32 * np.finfo(dtype).eps * max(1, float(abs(expected).max()))
            np.testing.assert_allclose(gradients, expected.numpy(), rtol=0, atol=tolerance)


def test_sorted_quantiles_are_explained_before_they_are_sorted():
    X = np.random.RandomState(0).standard_normal((30, 4))
    model = MLPRegressor("quantile", (5,), quantile=[0.9, 0.1], max_iter=3, random_state=0).fit(X, X[:, 0])
    gradients, shares = model.input_gradients(X), model.integrated_gradients(X)
    model.sort_quantiles = True
    for explain, expected in ((model.input_gradients, gradients), (model.integrated_gradients, shares)):
        with pytest.raises(ValueError, match="raw_score=True explains the outputs as they are before they are sorted"):
            explain(X)
        np.testing.assert_array_equal(explain(X, raw_score=True), expected)
