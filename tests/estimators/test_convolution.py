"""Convolutional networks: rows of any shape, the layers that are described, and what a fitted one gives."""

import ctypes
import pickle
import signal
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from twin_layers import pass_rows

import fastmlp
from fastmlp import ConvClassifier, ConvRegressor, RecurrentClassifier, RecurrentRegressor
from fastmlp.engine.architecture import AveragePool, Convolution, Dense, Inputs, LayerNorm, MaxPool, Residual
from fastmlp.estimators.planes import layers_for

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
IMAGES, DIGITS = load_digits().images[:300] / 16, load_digits().target[:300]
SMALL = [("conv", 6, 3), ("pool", 2), ("conv", 9, 3, {"padding": "valid"}), ("dense", 11)]
rng = np.random.default_rng(0)
COLOURED = rng.standard_normal((60, 3, 7, 6))
SERIES = rng.standard_normal((60, 4, 30))
CODES = rng.integers(3, size=60)

# layers of every kind and option, for rows of a shape
NETS = {
    "images": (IMAGES[:60], "images", SMALL),
    "channels": (COLOURED, "images", [("conv", 5, (3, 2), {"stride": 2}), ("average_pool", 2), ("dense", 7)]),
    "groups": (COLOURED, "images", [("conv", 6, 3, {"groups": 3}), ("conv", 4, 1), ("global_pool",)]),
    "dilated": (
        COLOURED, "images", [("conv", 4, 2, {"dilation": (2, 1), "activation": "gelu"}), ("pool", 3, {"stride": 1})]
    ),
    "series": (
        SERIES, "series", [("conv", 6, 5), ("pool", 2), ("conv", 3, 3, {"padding": (0, 2, 0, 1)}), ("global_pool",)]
    ),
    "padded": (COLOURED, "images", [("conv", 3, 3, {"padding": (1, 0, 2, 1)}), ("pool", (2, 1)), ("dense", 5)]),
    "normalised": (
        COLOURED, "images",
        [("conv", 6, 3, {"activation": "identity"}), ("norm", {"activation": "relu"}), ("pool", 2), ("norm",),
         ("dense", 9), ("norm",)],
    ),
    "residual": (
        COLOURED, "images",
        [("norm",), ("conv", 3, 3), ("conv", 3, 3, {"activation": "identity"}), ("residual", {"activation": "relu"}),
         ("residual", 4), ("conv", 5, 3), ("conv", 5, 3), ("residual", 1), ("global_pool",), ("dense", 5),
         ("dense", 5), ("residual",)],
    ),
    "dense alone": (COLOURED, "images", [("dense", 8, {"activation": "tanh"}), ("dense", 5)]),
    "nothing": (SERIES, "series", []),
    "default": (IMAGES[:60], "images", "auto"),
    "default of series": (SERIES, "series", "auto"),
}  # fmt: skip
every_net = pytest.mark.parametrize("net", NETS)


def fitted(net, kind=ConvClassifier, **params):
    X, data, layers = NETS[net]
    y = CODES if kind is ConvClassifier else np.stack([CODES, X.reshape(60, -1)[:, 0]], axis=1)
    return kind(layers=layers, data=data, random_state=0, max_iter=3, **params).fit(X, y), X, y


def test_layers():
    made = layers_for([("conv", 4, 3), ("pool",), ("conv", 2, (1, 2), {"stride": (1, 2), "padding": "valid"}),
                       ("average_pool", 2), ("dense", 5, {"activation": "tanh"})], "relu", (3, 8, 9), 2)  # fmt: skip
    assert made == (
        Inputs(216), Convolution((3, 8, 9), 4, (3, 3), "relu", padding="same"), MaxPool((4, 8, 9), (2, 2)),
        Convolution((4, 4, 4), 2, (1, 2), "relu", (1, 2)), AveragePool((2, 4, 2), (2, 2)), Dense(5, "tanh"), Dense(2),
    )  # fmt: skip
    assert layers_for([("norm",), ("conv", 2), ("conv", 3), ("residual", {"activation": "relu"}), ("dense", 4),
                       ("norm", {"activation": "tanh"}), ("residual", 1)], "relu", (3, 2, 2), 1)[1:-1] == (
        LayerNorm((3, 2, 2)), Convolution((3, 2, 2), 2, (3, 3), "relu", padding="same"),
        Convolution((2, 2, 2), 3, (3, 3), "relu", padding="same"), Residual((3, 2, 2), 2, "relu"), Dense(4, "relu"),
        LayerNorm((4,), "tanh"), Residual((4,), 1),
    )  # fmt: skip
    # a number is of each axis along which planes are longer than 1
    assert layers_for([("conv", 4, 3), ("pool", 2)], "relu", (1, 1, 9), 2)[1:3] == (
        Convolution((1, 1, 9), 4, (1, 3), "relu", padding="same"), MaxPool((4, 1, 9), (1, 2))
    )  # fmt: skip


@pytest.mark.parametrize(
    "layers, message",
    [
        ([("cnv", 3)], r"'cnv' is none of .*; did you mean 'conv'\?"),
        ([3], "begins with one of"),
        ([()], "begins with one of"),
        ([("conv",)], "channels and a size"),
        ([("conv", 3, 3, 3)], "channels and a size"),
        ([("conv", 3.0)], "integer > 0"),
        ([("conv", 0)], "integer > 0"),
        ([("dense", True)], "integer > 0"),
        ([("conv", 3, "3")], "the size must be an integer or two"),
        ([("conv", 3, 3, {"strides": 2})], "not 'strides'"),
        ([("pool", 2, {"padding": "same"})], "not 'padding'"),
        ([("global_pool", 2)], "stands nothing"),
        ([("conv", 3, 3, {"padding": "full"})], 'padding=.full.: "valid", "same"'),
        ([("conv", 3, 3, {"padding": -1})], "padding"),
        ([("conv", 3, 3, {"stride": 0})], "stride"),
        ([("conv", 3, 3, {"groups": 2})], "groups=2: divides 1"),
        ([("conv", 3, 3, {"activation": "softmax"})], r"layers has .*: 'softmax' is none of"),
        ([("dense", 3, {"activation": ["relu"]})], r"layers has .*: \['relu'\] is none of"),
        ([("dense", 3, {"activation": None})], "None is none of"),
        ([("conv", 3, 9, {"padding": "valid"})], "reaches over 9"),
        ([("pool", 9)], "reaches over 9"),
        ([("norm", 4)], "behind 'norm' stands nothing"),
        ([("norm", {"activation": "relu7"})], "'relu7' is none of"),
        ([("residual", 2, 3)], "behind 'residual' stands a number of layers"),
        ([("residual",)], r"layers has \('residual',\): .*layers is an integer from 1 to 0"),
        ([("conv", 1), ("residual", 2)], "layers is an integer from 1 to 1"),
        ([("conv", 1), ("residual", 1.0)], "layers is an integer from 1 to 1"),
        ([("conv", 3), ("residual", 1)], r"layers has .*: .*adds 64 numbers to 192"),
        ([("dense", 4), ("conv", 3)], "behind a dense layer"),
        ([("dense", 4), ("pool", 2)], "behind a dense layer"),
        ("automatic", "layers"),
    ],
)
def test_layers_that_are_refused(layers, message):
    model = ConvClassifier(layers=layers)
    with pytest.raises(ValueError, match=message):
        model.fit(IMAGES, DIGITS)
    assert not hasattr(model, "coefs_") and not hasattr(model, "input_shape_")


@every_net
@pytest.mark.parametrize("kind", [ConvClassifier, ConvRegressor])
def test_predictions_are_those_of_the_formulas(net, kind):
    model, X, _ = fitted(net, kind)
    inputs, *layers = model._layers(model.n_features_in_, model.n_outputs_)
    parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    z, _ = pass_rows(inputs, layers, parameters, X.reshape(len(X), -1))
    if kind is ConvRegressor:
        np.testing.assert_allclose(model.predict(X), z, rtol=1e-11, atol=1e-13)
    else:
        p = np.exp(z - z.max(axis=1, keepdims=True))
        np.testing.assert_allclose(model.predict_proba(X), p / p.sum(axis=1, keepdims=True), rtol=1e-11)


def test_a_row_may_have_any_axes():
    flat = COLOURED.reshape(60, -1)
    models = [
        ConvClassifier(SMALL[:2], random_state=0, max_iter=2, input_shape=shape, dtype=dtype).fit(X, CODES)
        for X, shape, dtype in (
            (COLOURED, None, None), (flat, (3, 7, 6), None), (COLOURED, [3, 7, 6], None),
            (COLOURED.tolist(), None, None), (np.asfortranarray(COLOURED), None, None),
            (COLOURED[:, ::-1][:, ::-1], None, None),
        )
    ]  # fmt: skip
    expected = models[0].predict_proba(COLOURED)
    for model in models:
        assert model.input_shape_ == (3, 7, 6)
        for X in (COLOURED, flat, COLOURED.tolist(), np.asfortranarray(COLOURED)):
            assert np.array_equal(model.predict_proba(X), expected)
    # one channel: (n, height, width) and (n, 1, height, width) are the same network
    same = [ConvClassifier(SMALL, random_state=0, max_iter=2).fit(X, DIGITS) for X in (IMAGES, IMAGES[:, None])]
    assert np.array_equal(same[0].predict_proba(IMAGES), same[1].predict_proba(IMAGES[:, None]))


def test_bytes_are_divided_by_255():
    X = np.round(IMAGES * 255).astype(np.uint8)
    models = [ConvClassifier(SMALL, random_state=0, max_iter=2).fit(Z, DIGITS) for Z in (X, X / np.float32(255))]
    assert models[0].coefs_[0].dtype == np.float32
    assert np.array_equal(models[0].predict_proba(X), models[1].predict_proba(X / np.float32(255)))


@pytest.mark.parametrize("dtype", [None, "float64"])
def test_bytes_are_read_where_they_lie(tmp_path, dtype):
    X = np.round(IMAGES * 255).astype(np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    divided = X / np.dtype(dtype or "float32").type(255)
    params = {"random_state": 0, "max_iter": 3, "early_stopping": True, "dtype": dtype}
    models = [ConvClassifier(SMALL, **params).fit(Z, DIGITS) for Z in (X, mapped, divided)]
    for model in models[:2]:
        assert all(map(np.array_equal, model.coefs_, models[2].coefs_))
        assert model.validation_scores_ == models[2].validation_scores_
        for Z in (X, mapped, X.reshape(300, -1), X[:, None][:, 0], np.asfortranarray(X)):
            assert np.array_equal(model.predict_proba(Z), models[2].predict_proba(divided))
        assert np.array_equal(model.input_gradients(X[:3]), models[2].input_gradients(divided[:3]))
        shares = model.integrated_gradients(X[:3], baseline=X[3:4], target=1)
        expected = models[2].integrated_gradients(divided[:3], baseline=divided[3:4], target=1)
        assert np.array_equal(shares, expected)
    first, second = (
        models[i].set_params(early_stopping=False).partial_fit(Z, DIGITS) for i, Z in ((0, X), (2, divided))
    )
    assert all(map(np.array_equal, first.coefs_, second.coefs_))
    with pytest.raises(ValueError, match="features"):
        models[0].predict(X.reshape(300, -1)[:, :7])


def test_a_fit_takes_no_copy_of_bytes():
    X = np.random.default_rng(0).integers(256, size=(20000, 16, 16), dtype=np.uint8)
    model = ConvClassifier([("pool", 4)], max_iter=1, batch_size=500, random_state=0)
    tracemalloc.start()
    try:
        model.fit(X, np.arange(20000) % 2).predict(X)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < X.nbytes


def test_augmentation():
    moves = {"shift": 1, "flip": "horizontal", "noise": 0.05}
    models = [
        ConvClassifier(SMALL, random_state=0, max_iter=3, augmentation=augmentation, n_jobs=n_jobs).fit(IMAGES, DIGITS)
        for augmentation, n_jobs in ((moves, 1), (moves, 2), (None, 1), ({}, 1))
    ]
    predicted = [model.predict_proba(IMAGES) for model in models]
    assert np.array_equal(predicted[0], predicted[1]) and np.array_equal(predicted[2], predicted[3])
    assert not np.array_equal(predicted[0], predicted[2])
    # rows that are moved are told apart by a model that has seen such
    shifted = np.roll(IMAGES, 1, axis=2)
    params = {"random_state": 0, "max_iter": 25, "learning_rate_init": 0.01, "tol": 0, "n_iter_no_change": 100}
    plain, moved = (
        ConvClassifier([("conv", 8, 3), ("dense", 16)], augmentation=augmentation, **params).fit(IMAGES, DIGITS)
        for augmentation in (None, {"shift": (0, 1)})
    )
    assert moved.score(shifted, DIGITS) > plain.score(shifted, DIGITS) + 0.1
    series = ConvRegressor(layers=[("conv", 4, 3)], data="series", augmentation={"shift": 3, "flip": "horizontal"})
    assert series.set_params(max_iter=2, random_state=0).fit(SERIES, SERIES[:, 0, 0]).predict(SERIES).shape == (60,)


@pytest.mark.parametrize(
    "augmentation, message",
    [
        ({"turn": 3}, "'turn' is none of 'shift', 'flip', 'noise'"),
        ({"flip": "diagonal"}, "flip='diagonal' is none of 'horizontal', 'vertical', 'both'"),
        ({"flip": ["both"]}, "flip="),
        ({"shift": 8}, "shift="),
        ({"shift": (1, 2, 3)}, "shift="),
        ({"shift": "1"}, "shift="),
        ({"noise": -1}, "noise=-1"),
        ({"noise": "a"}, "noise='a'"),
    ],
)
def test_augmentation_that_is_refused(augmentation, message):
    model = ConvClassifier(SMALL, augmentation=augmentation)
    with pytest.raises(ValueError, match=f"augmentation=.*: .*{message}"):
        model.fit(IMAGES, DIGITS)
    assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="'augmentation' parameter of ConvClassifier must be"):
        ConvClassifier(SMALL, augmentation="shift").fit(IMAGES, DIGITS)


def test_shapes_that_are_refused():
    with pytest.raises(ValueError, match=r"input_shape=\(3, 5\) does not go with rows of X of shape \(8, 8\)"):
        ConvClassifier(input_shape=(3, 5)).fit(IMAGES, DIGITS)
    with pytest.raises(ValueError, match=r"input_shape=\(3, 5\) does not go with rows of X of shape \(64,\)"):
        ConvClassifier(input_shape=(3, 5)).fit(IMAGES.reshape(300, -1), DIGITS)
    with pytest.raises(ValueError, match="integers > 0"):
        ConvClassifier(input_shape=(-8, -8)).fit(IMAGES, DIGITS)
    with pytest.raises(ValueError, match=r"are no series, which have \(length,\) or \(channels, length\)"):
        ConvClassifier(data="series").fit(IMAGES[:, None], DIGITS)
    with pytest.raises(ValueError, match=r"are no images, which have \(height, width\)"):
        ConvClassifier().fit(IMAGES[:, None, None], DIGITS)
    with pytest.raises(TypeError, match="dense data is required"):
        ConvClassifier().fit(csr_array(IMAGES.reshape(300, -1)), DIGITS)
    model = ConvClassifier(SMALL, max_iter=1).fit(IMAGES, DIGITS)
    with pytest.raises(ValueError, match=r"X has rows of shape \(4, 16\), but ConvClassifier is expecting \(8, 8\)"):
        model.predict(IMAGES.reshape(300, 4, 16))
    with pytest.raises(ValueError, match="X_val has rows of shape"):
        ConvClassifier(SMALL).fit(IMAGES, DIGITS, X_val=IMAGES.reshape(300, 4, 16), y_val=DIGITS)
    with pytest.raises(ValueError, match="features"):
        model.predict(IMAGES.reshape(300, -1)[:, :7])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, 8, 8), np.nan))
    with pytest.raises(ValueError, match="empty|0 sample"):
        model.fit(IMAGES[:0], DIGITS[:0])
    assert model.predict(IMAGES).shape == (300,)


@pytest.mark.parametrize("n_jobs", [2, None])
def test_the_same_seed_gives_the_same_bits(n_jobs):
    a, b = (ConvClassifier(SMALL, random_state=3, max_iter=3, n_jobs=jobs).fit(IMAGES, DIGITS) for jobs in (n_jobs, 1))
    assert all(map(np.array_equal, a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_))


def test_digits_are_learnt():
    digits = load_digits()
    model = ConvClassifier(random_state=0, max_iter=20, tol=0, learning_rate_init=3e-3, dtype="float32")
    model.fit(digits.images[:1400] / 16, digits.target[:1400])
    assert model.score(digits.images[1400:] / 16, digits.target[1400:]) > 0.95


def test_controls_of_the_training():
    params = {"early_stopping": True, "dropout": [0.1, 0, 0.2], "weight_decay": 0.1, "max_norm": 2.0, "random_state": 0}
    params |= {"lr_schedule": "one_cycle", "learning_rate_init": 0.01, "n_iter_no_change": 30}
    model = ConvClassifier(SMALL, solver="adamw", max_iter=30, **params).fit(IMAGES, DIGITS)
    assert len(model.validation_scores_) == model.n_iter_ and max(model.validation_scores_) > 0.7
    assert all(np.linalg.norm(coef, axis=0).max() < 2.0 + 1e-6 for coef in model.coefs_)
    one, more = (ConvClassifier(SMALL, random_state=0, shuffle=False) for _ in range(2))
    for _ in range(3):
        one.partial_fit(IMAGES, DIGITS, classes=np.arange(10))
    more.set_params(max_iter=3, tol=0).fit(IMAGES, DIGITS)
    np.testing.assert_allclose(one.predict_proba(IMAGES), more.predict_proba(IMAGES), rtol=1e-9)
    before = more.predict_proba(IMAGES)
    more.set_params(warm_start=True, max_iter=1).fit(IMAGES, DIGITS)
    assert not np.array_equal(before, more.predict_proba(IMAGES))
    with pytest.raises(ValueError, match="does not go on from coefs_ of shapes"):
        more.set_params(layers=[("conv", 5, 3)]).fit(IMAGES, DIGITS)
    lbfgs = ConvRegressor(layers=SMALL, solver="lbfgs", activation="tanh", max_iter=30, random_state=0)
    assert lbfgs.fit(IMAGES[:80], DIGITS[:80]).loss_ < 1


def test_a_layer_of_another_kind_is_another_network():
    """Of the same numbers: a greatest and a mean of the same windows."""
    layers = [[("conv", 6, 3), (pool, 2), ("dense", 5)] for pool in ("pool", "average_pool")]
    first, second = (ConvClassifier(layers[0], random_state=0) for _ in range(2))
    for model in (first, second):
        model.partial_fit(IMAGES, DIGITS, classes=np.arange(10))
    second = pickle.loads(pickle.dumps(second))  # which has no network that it could go on with
    for model in (first, second):
        model.set_params(layers=layers[1]).partial_fit(IMAGES, DIGITS)
    assert all(map(np.array_equal, first.coefs_, second.coefs_))


def test_a_killed_fit_goes_on_to_the_same_bits(tmp_path):
    program = """
        import os, signal, sys
        import numpy as np
        from sklearn.datasets import load_digits
        from fastmlp import ConvClassifier

        def stop(estimator, epoch, metrics):
            if epoch == 3 and sys.argv[2] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)

        digits = load_digits()
        layers = [("conv", 6, 3), ("pool", 2), ("conv", 9, 3, {"padding": "valid"}), ("dense", 11)]
        model = ConvClassifier(
            layers, random_state=0, max_iter=5, tol=0, checkpoint_path=sys.argv[1], callbacks=stop,
            augmentation={"shift": 1, "noise": 0.1},
        )
        model.fit(digits.images[:300] / 16, digits.target[:300])
        np.save(sys.argv[1] + ".npy", model.predict_proba(digits.images[:300] / 16))
    """
    run = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(tmp_path / "fit")]
    assert subprocess.run([*run, "kill"]).returncode == -signal.SIGKILL
    assert subprocess.run([*run, "go"]).returncode == 0
    moves = {"shift": 1, "noise": 0.1}
    whole = ConvClassifier(SMALL, random_state=0, max_iter=5, tol=0, augmentation=moves).fit(IMAGES, DIGITS)
    assert np.array_equal(np.load(tmp_path / "fit.npy"), whole.predict_proba(IMAGES))


def test_within_scikit_learn():
    flat = IMAGES.reshape(300, -1)
    layers = [("conv", 4, 3), ("pool", 2)]
    model = ConvClassifier(layers, input_shape=(8, 8), max_iter=8, learning_rate_init=0.01, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, {"convclassifier__layers": [layers, [("dense", 8)]]}, cv=2).fit(flat, DIGITS)
    assert search.best_score_ > 0.4
    bagged = BaggingClassifier(pipeline[-1], n_estimators=2, random_state=0).fit(flat, DIGITS)
    assert bagged.score(flat, DIGITS) > 0.5
    model = clone(pipeline[-1])
    assert model.get_params() == pipeline[-1].get_params()


@every_net
def test_gradients_have_the_shape_of_a_row_and_are_those_of_differences(net):
    model, X, _ = fitted(net, activation="tanh")
    gradients = model.input_gradients(X[:2], raw_score=True)
    assert gradients.shape == (2, 3, *X.shape[1:])
    shares = model.integrated_gradients(X[:2], baseline=X[2:3], target=1, raw_score=True, n_steps=300)
    assert shares.shape == X[:2].shape
    inputs, *layers = model._layers(model.n_features_in_, model.n_outputs_)
    parameters = [array for pair in zip(model.coefs_, model.intercepts_, strict=True) for array in pair]
    z, back = pass_rows(inputs, layers, parameters, X[:2].reshape(2, -1))
    for k in range(3):
        seed = np.zeros(z.shape)
        seed[:, k] = 1
        np.testing.assert_allclose(gradients[:, k].reshape(2, -1), back(seed)[0], rtol=1e-9, atol=1e-12)


@every_net
@pytest.mark.parametrize("kind", [ConvClassifier, ConvRegressor])
def test_it_travels(net, kind, tmp_path):
    model, X, _ = fitted(net, kind)
    predict = model.predict_proba if kind is ConvClassifier else model.predict
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), fastmlp.load(tmp_path / "model")):
        assert np.array_equal(getattr(other, predict.__name__)(X), predict(X))
        assert other.get_params().keys() == model.get_params().keys() and other.input_shape_ == model.input_shape_
    rows = X.reshape(len(X), -1).astype(np.float32)
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    del onnx
    session = runtime.InferenceSession(model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": rows})[-1], predict(X), atol=1e-5)
    for dtype, close in (("float32", 1e-5), ("int8", 0.1)):
        (tmp_path / "net.c").write_text(model.to_c(dtype=dtype))
        library = tmp_path / f"{dtype}.so"
        flags = "-std=c99 -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -O1 -shared -fPIC".split()
        subprocess.run(["gcc", *flags, "-o", library, tmp_path / "net.c", "-lm"], check=True)
        function = getattr(ctypes.CDLL(str(library)), f"fastmlp_{predict.__name__}")
        function.restype = None
        out, expected = np.empty(model.n_outputs_, np.float32), predict(X)
        for row, expect in zip(rows[:10], expected, strict=False):
            function(row.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p))
            np.testing.assert_allclose(out, expect, atol=close * max(1, np.abs(expected).max()))


def test_a_file_with_other_shapes_is_refused(tmp_path):
    model, _, _ = fitted("images")
    model.input_shape_ = (4, 16, 2)
    with pytest.raises(ValueError, match="cannot be saved"):
        model.save(tmp_path / "model")


def test_what_notebooks_show_and_what_scikit_learn_lacks():
    model, _, _ = fitted("images")
    layers = model._told()["Layers"](model)
    assert layers == "8 x 8 → 6 x 8 x 8 relu → 6 x 4 x 4 MaxPool → 9 x 2 x 2 relu → 11 relu → 3 softmax"
    assert layers in model._repr_html_()
    with pytest.raises(ValueError, match="scikit-learn has no counterpart"):
        model.to_sklearn()


def test_sources_of_rows(tmp_path):
    np.save(tmp_path / "X.npy", IMAGES.reshape(300, -1))
    np.save(tmp_path / "y.npy", DIGITS)
    source = fastmlp.scan_npy(tmp_path / "X.npy", tmp_path / "y.npy")
    models = [ConvClassifier(SMALL, input_shape=(8, 8), random_state=0, max_iter=3) for _ in range(2)]
    models[0].fit(source)
    models[1].fit(IMAGES.reshape(300, -1), DIGITS)
    assert np.array_equal(models[0].predict_proba(source), models[1].predict_proba(IMAGES))


def test_sources_of_bytes_are_refused(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((20, 64), np.uint8))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    source = fastmlp.scan_npy(tmp_path / "X.npy", tmp_path / "y.npy")
    model = ConvClassifier(SMALL, input_shape=(8, 8), max_iter=1)
    with pytest.raises(ValueError, match="has bytes, which count as divided by 255 in an array alone"):
        model.fit(source)
    model.fit(np.zeros((20, 64), np.uint8), np.arange(20) % 2)
    with pytest.raises(ValueError, match="has bytes"):
        model.predict(source)
    streamed = fastmlp.scan_npy(tmp_path / "X.npy", tmp_path / "y.npy", window_rows=8)
    with pytest.raises(ValueError, match="has bytes"):
        model.fit(streamed)
    assert fastmlp.MLPClassifier((3,), max_iter=1).fit(source).predict(source).shape == (20,)


def test_images_in_folders(tmp_path):
    """As the page on images has it: class folders to a file of bytes, which is trained on where it lies."""
    Image = pytest.importorskip("PIL.Image")
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / name).mkdir()
        for i in range(8):
            pixels = np.random.default_rng(i).integers(level - 30, level + 30, size=(20, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    files = sorted(tmp_path.glob("*/*.png"))
    images = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (len(files), 3, 8, 8))
    for image, file in zip(images, files, strict=True):
        image[:] = np.moveaxis(np.asarray(Image.open(file).convert("RGB").resize((8, 8))), 2, 0)
    images.flush()
    mapped, labels = np.load(tmp_path / "images.npy", mmap_mode="r"), [file.parent.name for file in files]
    model = ConvClassifier([("conv", 4, 3), ("global_pool",)], max_iter=60, learning_rate_init=0.02, random_state=0)
    assert model.fit(mapped, labels).score(mapped, labels) == 1


def test_weights_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    model, X, _ = fitted("channels", ConvRegressor, activation="tanh")
    conv = torch.nn.Conv2d(3, 5, (3, 2), stride=2, padding=0, dtype=torch.float64)
    with torch.no_grad():
        conv.weight[:] = torch.tensor(model.coefs_[0].T.reshape(5, 3, 3, 2))
        conv.bias[:] = torch.tensor(model.intercepts_[0])
        # height 7 with stride 2 lacks two rows, width 6 none
        planes = torch.nn.functional.pad(torch.tensor(X), (0, 0, 1, 1))
        z = torch.nn.functional.avg_pool2d(torch.tanh(conv(planes)), 2).flatten(1).numpy()
    z = np.tanh(z @ model.coefs_[1] + model.intercepts_[1]) @ model.coefs_[2] + model.intercepts_[2]
    np.testing.assert_allclose(model.predict(X), z, rtol=1e-10, atol=1e-12)


def test_layers_that_were_changed_in_place_are_those_of_the_next_fit():
    model = ConvClassifier([("conv", 3, 3)], data="images", max_iter=1, random_state=0).fit(COLOURED, CODES)
    before = model.predict_proba(COLOURED)
    model.layers[0] = ("conv", 4, 3)
    assert np.array_equal(model.predict_proba(COLOURED), before)
    with pytest.raises(ValueError, match="does not go on from coefs_"):
        model.partial_fit(COLOURED, CODES)
    assert model.fit(COLOURED, CODES).coefs_[0].shape == (27, 4)


def test_skl2onnx_converts_pipelines():
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    fastmlp.register_onnx_converters()
    X = COLOURED.reshape(60, -1)
    kinds = {
        ConvClassifier: (3, 7, 6), ConvRegressor: (3, 7, 6), RecurrentClassifier: (3, 42), RecurrentRegressor: (3, 42)
    }  # fmt: skip
    for kind, shape in kinds.items():
        classifies, model = hasattr(kind, "predict_proba"), kind(input_shape=shape, max_iter=1, random_state=0)
        pipeline = make_pipeline(StandardScaler(), model).fit(X, CODES)
        options = {"zipmap": False} if classifies else None
        graph = skl2onnx.to_onnx(pipeline, X[:1].astype(np.float32), options=options)
        session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = pipeline.predict_proba(X) if classifies else pipeline.predict(X)
        (outputs,) = session.run(None, {"X": X.astype(np.float32)})[-1:]
        np.testing.assert_allclose(outputs.reshape(expected.shape), expected, atol=1e-4)


def test_a_baseline_has_the_shape_of_a_row_or_of_x():
    model, X, _ = fitted("channels")
    whole = model.integrated_gradients(X[:4], baseline=np.repeat(X[9:10], 4, axis=0), n_steps=3)
    for baseline in (X[9], X[9:10], X[9].ravel(), X[9].reshape(1, -1)):
        assert np.array_equal(model.integrated_gradients(X[:4], baseline=baseline, n_steps=3), whole)
