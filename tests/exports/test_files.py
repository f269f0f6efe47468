"""Models in files: all of them comes back, and what is not whole, ours and consistent is refused by name."""

import functools
import json
import os
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from comparing import same, state, through_file
from scipy import sparse
from sklearn import linear_model, neural_network
from sklearn.datasets import load_iris, load_wine

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, Perceptron, from_sklearn
from fastmlp.engine import ACTIVATIONS, LOSS_ROWS, OPTIMIZERS
from fastmlp.exports import files
from fastmlp.training.schedules import SCHEDULES

safetensors = pytest.importorskip("safetensors")
forging = pytest.importorskip("forging")
put, refusal, tensor = forging.put, forging.refusal, forging.tensor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, IRIS = load_iris(return_X_y=True)
Z = load_wine().data[:150, :3] / load_wine().data.max(axis=0)[:3]  # numbers to regress on
SMALL = {"hidden_layer_sizes": (5, 3), "max_iter": 3, "random_state": 0}


def check_goes_on(model, tmp_path, X=X, y=IRIS):
    """A model comes back, predicts alike, and training goes on as after a pickle."""
    loaded, pickled = through_file(model, tmp_path), pickle.loads(pickle.dumps(model))
    for name in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, name):
            expected = getattr(model, name)(X)
            if sparse.issparse(expected):
                assert (expected != loaded.predict(X)).nnz == 0 and type(loaded.predict(X)) is type(expected)
            else:
                assert same(getattr(loaded, name)(X), expected)
    for copied in (loaded, pickled):
        copied.set_params(warm_start=True).fit(X, y)
    assert same(state(loaded), state(pickled))
    for copied in (loaded, pickled):
        if isinstance(model, Perceptron):
            copied.set_params(early_stopping=False).partial_fit(X, y).partial_fit(X, y)
        elif model.solver in OPTIMIZERS:
            copied.set_params(early_stopping=False, scoring=None).partial_fit(X, y).partial_fit(X, y)
    assert same(state(loaded), state(pickled))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation, dtype, tmp_path):
    model = MLPClassifier(**SMALL, activation=activation).fit(X.astype(dtype), IRIS)
    check_goes_on(model, tmp_path, X=X.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", None])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["lbfgs", *OPTIMIZERS])
def test_every_solver(solver, kind, dtype, tmp_path):
    y = IRIS if kind is MLPClassifier else Z
    dtype = None if solver == "lbfgs" else dtype
    check_goes_on(kind(**SMALL, solver=solver, dtype=dtype).fit(X, y), tmp_path, y=y)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(schedule, solver, tmp_path):
    options = {"patience": 1, "factor": 0.5} if schedule == "plateau" else {}
    model = MLPClassifier(**SMALL, solver=solver, lr_schedule=schedule, lr_schedule_params=options, warmup=5)
    check_goes_on(model.fit(X, IRIS), tmp_path)


@pytest.mark.parametrize("loss", [name for name, row in LOSS_ROWS.items() if row.target == "real"])
def test_every_loss_of_numbers(loss, tmp_path):
    options = {"quantile": [0.2, 0.5, 0.9]} if loss == "quantile" else {}
    check_goes_on(MLPRegressor(loss, **SMALL, **options).fit(X, Z[:, 0]), tmp_path, y=Z[:, 0])


MORE = {
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3},
    "scored": {"early_stopping": True, "scoring": "balanced_accuracy"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "dropout": {"dropout": [0.1, 0.2], "input_dropout": 0.1},
    "weights": {"class_weight": {0: 1.0, np.int64(1): 2, 2: np.float32(0.1)}, "weight_decay": 0.1, "max_norm": 2.0},
    "clipped": {"solver": "adamw", "weight_decay": 0, "clip_norm": 0.5},
    "by layer": {"activation": ["tanh", "relu"], "label_smoothing": 0.1},
    "focal": {"loss": "focal", "focal_gamma": 1},
    "hinge": {"loss": "hinge", "n_iter_no_change": np.inf},
    "random state": {"random_state": np.random.RandomState(7)},
    "precision": {"dtype": np.float32, "n_jobs": 1},
    "sizes as an array": {"hidden_layer_sizes": np.array([5, 3], dtype=np.int16)},
    "one size": {"hidden_layer_sizes": 4},
    "no hidden layer": {"hidden_layer_sizes": []},
    "no seed": {"random_state": None, "batch_size": 30},
}


@pytest.mark.parametrize("case", MORE)
def test_other_parameters(case, tmp_path):
    model = MLPClassifier(**{**SMALL, **MORE[case]}).fit(X, IRIS)
    if case == "no seed":  # each goes on as the global random state has it
        loaded = through_file(model, tmp_path)
        assert same(loaded.predict_proba(X), model.predict_proba(X))
    else:
        check_goes_on(model, tmp_path)


PERCEPTRONS = {
    "two classes": ({}, IRIS > 0),
    "words": ({"penalty": "elasticnet", "eta0": 0.1}, np.array(["a", "größe", "c"])[IRIS]),
    "early stopping": ({"early_stopping": True, "validation_fraction": 0.3}, IRIS),
    "weights": ({"class_weight": {0: 1.0, np.int64(1): 2, 2: np.float32(0.1)}}, IRIS),
    "balanced": ({"class_weight": "balanced", "fit_intercept": False, "n_jobs": 2}, IRIS - 1.0),
    "random state": ({"random_state": np.random.RandomState(5), "tol": None}, IRIS),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", PERCEPTRONS)
def test_perceptrons(case, dtype, tmp_path):
    params, y = PERCEPTRONS[case]
    rows = X.astype(dtype)
    check_goes_on(Perceptron(**{"max_iter": 4, **params}).fit(rows, y), tmp_path, X=rows, y=y)


def test_perceptrons_that_are_not_fitted_or_of_scikit_learn(tmp_path):
    through_file(Perceptron(alpha=0.5), tmp_path)
    frame = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c", "größe"])
    theirs = linear_model.Perceptron(max_iter=4).fit(frame, IRIS)
    check_goes_on(from_sklearn(theirs), tmp_path, X=frame)
    model = Perceptron().partial_fit(X, IRIS, classes=[0, 1, 2, 7])
    loaded = through_file(model, tmp_path).partial_fit(X, IRIS)
    assert same(state(loaded), state(model.partial_fit(X, IRIS)))


def test_a_sparse_perceptron_is_refused(tmp_path):
    model = Perceptron().fit(X, IRIS).sparsify()
    with pytest.raises(ValueError, match="coef_ is sparse: call densify"):
        model.save(tmp_path / "model")
    assert not os.listdir(tmp_path)
    check_goes_on(model.densify(), tmp_path)


FORGED_PERCEPTRONS = {
    "coef_ and intercept_ must be of shapes": [
        lambda fitted, tensors: tensors.update(coef_=tensors["coef_"][:2]),
        lambda fitted, tensors: tensors.update(intercept_=tensors["intercept_"][:1]),
        lambda fitted, tensors: fitted.update(n_features_in_=5),
        lambda fitted, tensors: tensors.update(classes_=tensors["classes_"][:2]),
    ],
    "no array of floats": [
        lambda fitted, tensors: tensors.update(coef_=tensors["coef_"].astype(int)),
        lambda fitted, tensors: fitted.update(intercept_=tensors.pop("intercept_").tolist()),
    ],
    "classes_ are not labels": [
        lambda fitted, tensors: tensors.update(classes_=tensors["classes_"][:1]),
        lambda fitted, tensors: fitted.update(classes_=tensors.pop("classes_").tolist()),
    ],
    "t_ is": [lambda fitted, tensors: fitted.update(t_=float("nan")), lambda fitted, tensors: fitted.update(t_="1")],
    "n_iter_ is -1": [lambda fitted, tensors: fitted.update(n_iter_=-1)],
    "it lacks classes_": [lambda fitted, tensors: (fitted.pop("classes_"), tensors.pop("classes_"))],
    "has no attributes out_activation_": [lambda fitted, tensors: fitted.update(out_activation_="identity")],
    "feature_names_in_ has other features": [lambda fitted, tensors: fitted.update(feature_names_in_=["a"])],
}


@pytest.mark.parametrize("said, forge", [(said, forge) for said, row in FORGED_PERCEPTRONS.items() for forge in row])
def test_forged_perceptrons(said, forge, tmp_path):
    path = tmp_path / "model"
    Perceptron().fit(X, IRIS).save(path)
    document, tensors = forging.taken_apart(path)
    path.write_bytes(forging.put_together(document, tensors))
    assert same(fastmlp.load(path).coef_, tensors["coef_"])
    forge(document["fitted"], tensors)
    path.write_bytes(forging.put_together(document, tensors))
    with pytest.raises(ValueError, match="is corrupt: .*" + said):
        fastmlp.load(path)


@pytest.mark.parametrize("levels", [[0.1, 0.5, 0.9], (0.9, 0.1, 0.5)])
def test_sorted_quantiles(levels, tmp_path):
    model = MLPRegressor("quantile", **SMALL, quantile=levels, sort_quantiles=True).fit(X, Z[:, 0])
    check_goes_on(model, tmp_path, y=Z[:, 0])
    assert (np.diff(fastmlp.load(tmp_path / "model.fastmlp").predict(X)[:, np.argsort(levels)]) >= 0).all()
    model.quantile = [0.2, 0.4]
    with pytest.raises(ValueError, match="2 levels to sort the predictions by, but the fitted network has 3 outputs"):
        model.save(tmp_path / "model.fastmlp")
    model.quantile = [0.2, "0.3", 0.4]
    with pytest.raises(ValueError, match=r"must have levels in \(0, 1\)"):
        model.save(tmp_path / "model.fastmlp")


def test_a_random_state_within_a_pair_of_normal_numbers(tmp_path):
    random_state = np.random.RandomState(3)
    random_state.standard_normal()
    loaded = through_file(MLPRegressor(random_state=random_state), tmp_path)
    np.testing.assert_array_equal(loaded.random_state.standard_normal(5), random_state.standard_normal(5))


LABELS = {
    "int64": np.array([-3, 5, 2**62]),
    "int8": np.array([-128, 0, 127], dtype=np.int8),
    "uint8": np.array([0, 7, 255], dtype=np.uint8),
    "uint64": np.array([0, 7, 2**64 - 1], dtype=np.uint64),
    "big-endian": np.array([1, 2, 3], dtype=">i4"),
    "two": np.array([4, 9], dtype=np.int32),
    "bool": np.array([False, True]),
    "float": np.array([-1.0, 2.0, 7.0], dtype=np.float32),
    "str": np.array(["a", "größe", '\U0001f600 [{"\\']),
    "wide str": np.array(["a", "b", "c"], dtype="<U40"),
    "big-endian str": np.array(["a", "bb", "ccc"], dtype=">U3"),
    "surrogate": np.array(["a\ud800", "b", "c"]),
    "object": np.array(["setosa", "virginica", "x"], dtype=object),
    "one class": np.array(["all"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_every_type_of_labels(name, tmp_path):
    labels = LABELS[name]
    y = labels[np.minimum(IRIS, len(labels) - 1)]
    model = MLPClassifier(**SMALL).fit(X, y)
    check_goes_on(model, tmp_path, y=y)
    assert fastmlp.load(tmp_path / "model.fastmlp").predict(X).dtype == model.classes_.dtype


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_indicators(loss, container, tmp_path):
    y = container(np.eye(3, dtype=int)[IRIS] + np.eye(3, dtype=int)[IRIS[::-1]] > 0)
    check_goes_on(MLPClassifier(**SMALL, loss=loss).fit(X, y), tmp_path, y=y)


@pytest.mark.parametrize("columns", [[IRIS, IRIS[::-1]], [np.array(["x", "yy", "z"])[IRIS], IRIS > 0, IRIS * 2.0]])
def test_several_outputs_of_classes(columns, tmp_path):
    y = np.empty((len(X), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        y[:, i] = column.tolist()
    if len(columns) == 2:
        y = y.astype(np.int16)
    check_goes_on(MLPClassifier(**SMALL).fit(X, y), tmp_path, y=y)


def test_a_model_made_by_partial_fit(tmp_path):
    model = MLPClassifier(**SMALL).partial_fit(X[:20], IRIS[:20], classes=[0, 1, 2])
    check_goes_on(model, tmp_path)
    model = MLPRegressor(**SMALL).partial_fit(X, Z, X_val=X, y_val=Z)
    assert len(model.validation_loss_curve_) == 1
    check_goes_on(model, tmp_path, y=Z)


def test_names_of_features(tmp_path):
    frame = load_iris(as_frame=True).data
    model = through_file(MLPClassifier(**SMALL).fit(frame, IRIS), tmp_path)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"sepal length (cm)": "other"}))


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_model_of_scikit_learn(solver, kind, tmp_path):
    y = IRIS if kind == "MLPClassifier" else Z[:, 0]
    theirs = getattr(neural_network, kind)(**SMALL, solver=solver, learning_rate="adaptive").fit(X, y)
    loaded = through_file(from_sklearn(theirs), tmp_path)
    np.testing.assert_allclose(loaded.partial_fit(X, y).coefs_[0], theirs.partial_fit(X, y).coefs_[0])
    loaded.to_sklearn()


def test_not_fitted(tmp_path):
    loaded = through_file(MLPClassifier((7,), alpha=0.25, class_weight=[{"a": 1}, {"b": 2}]), tmp_path)
    assert loaded.alpha == 0.25 and not hasattr(loaded, "coefs_")
    through_file(MLPRegressor(quantile=(0.1, 0.9), loss="quantile"), tmp_path)


@pytest.mark.parametrize("dtype", [np.float16, ">f4", ">f8"])
def test_weights_that_somebody_assigned(dtype, tmp_path):
    model = MLPRegressor(**SMALL).fit(X, Z)
    model.coefs_ = [np.asfortranarray(coef.astype(dtype)) for coef in model.coefs_]
    model.intercepts_[0] = np.ones(1, dtype=dtype)
    path = tmp_path / "model"
    model.save(path)
    loaded = fastmlp.load(path)
    assert [coef.dtype for coef in loaded.coefs_] == [np.dtype(dtype)] * 3
    assert same(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("y", [IRIS, np.stack([IRIS, IRIS[::-1]], axis=1)])
def test_a_model_mapped_from_a_file_of_joblib(y, tmp_path):
    model = MLPClassifier(**SMALL | {"random_state": np.random.RandomState(0)}).fit(X, y)
    model.save(tmp_path / "model")
    joblib.dump(model, tmp_path / "joblib")
    mapped = joblib.load(tmp_path / "joblib", mmap_mode="r")
    assert type(mapped._optimizer.moments[0][0]) is np.memmap
    mapped.save(tmp_path / "mapped")
    assert (tmp_path / "mapped").read_bytes() == (tmp_path / "model").read_bytes()


# The file


def test_other_programs_can_read_the_weights(tmp_path):
    model = MLPClassifier(**SMALL).fit(X.astype(np.float32), np.array(["a", "b", "c"])[IRIS])
    model.save(tmp_path / "model.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    for i in range(3):
        assert same(tensors[f"coefs_.{i}"], model.coefs_[i]) and same(tensors[f"intercepts_.{i}"], model.intercepts_[i])
    assert tensors["loss_curve_"].tolist() == model.loss_curve_
    assert same(tensors["_optimizer.moments.1.0"], model._optimizer.moments[1][0])
    document, _ = forging.taken_apart(tmp_path / "model.safetensors")
    assert document["class"] == "MLPClassifier" and document["params"]["alpha"] == 0.0001
    assert document["fitted"]["classes_"]["array"]["strings"] == ["a", "b", "c"]


def test_an_import_does_not_load_safetensors():
    code = "import sys, fastmlp; fastmlp.load; assert 'safetensors' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_safetensors_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for call in (lambda: MLPClassifier().save(tmp_path / "m"), lambda: fastmlp.load(tmp_path / "m")):
        with pytest.raises(ImportError, match=re.escape('pip install "fastmlp[files]"')):
            call()


def test_a_file_is_replaced_whole_or_not_at_all(monkeypatch, tmp_path):
    path, link = tmp_path / "model", tmp_path / "link"
    MLPClassifier(alpha=0.5).save(path)
    link.symlink_to(path)
    content = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            MLPClassifier(alpha=0.75).save(link)
    assert path.read_bytes() == content and sorted(os.listdir(tmp_path)) == ["link", "model"]
    MLPClassifier(alpha=0.75).save(link)
    assert link.is_symlink() and fastmlp.load(path).alpha == 0.75


def test_what_the_system_says_is_handed_on(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastmlp.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        MLPClassifier().save(tmp_path / "none" / "model")
    with pytest.raises((IsADirectoryError, PermissionError)):
        fastmlp.load(tmp_path)
    with pytest.raises(TypeError, match="path-like|bytes-like|str"):
        fastmlp.load(3)


# What is not saved


def halved(step):
    return 0.1 / (step + 1)


def accuracy(estimator, X, y):
    return estimator.score(X, y)


LEFT_OUT = {
    "callbacks": {"callbacks": [lambda estimator, epoch, metrics: None]},
    "lr_schedule": {"lr_schedule": halved},
    "scoring": {"scoring": accuracy, "early_stopping": True},
    "checkpoint_every, checkpoint_path": {"checkpoint_path": "checkpoint", "checkpoint_every": 2},
}


@pytest.mark.parametrize("names", LEFT_OUT)
def test_what_is_only_for_training_is_left_out_by_name(names, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    model = MLPClassifier(**SMALL, **LEFT_OUT[names]).fit(X, IRIS)
    with pytest.warns(UserWarning, match=rf"^Not saved, because a file holds nothing but data: {names}\.$") as caught:
        model.save("model")
    assert caught[0].filename == __file__
    loaded = fastmlp.load("model")
    default = MLPClassifier().get_params()
    assert all(loaded.get_params()[name] == default[name] for name in names.split(", "))
    assert same(loaded.predict_proba(X), model.predict_proba(X)) and loaded.loss_curve_ == model.loss_curve_
    # another score than that which the best is of; a schedule that is gone takes its optimizer with it
    assert names != "scoring" or loaded._scored == ("a function", False)
    assert (names == "lr_schedule") == (not hasattr(loaded, "_optimizer"))
    loaded.set_params(early_stopping=False).partial_fit(X, IRIS)


def test_what_others_added_is_left_out_by_name(tmp_path):
    model = MLPClassifier(**SMALL).fit(X, IRIS)
    model.note_ = "mine"
    with pytest.warns(UserWarning, match=r"nothing but data: note_\."):
        model.save(tmp_path / "model")
    assert not hasattr(fastmlp.load(tmp_path / "model"), "note_")


class Derived(MLPClassifier):
    pass


def test_subclasses_are_refused_by_name(tmp_path):
    with pytest.raises(TypeError, match=r"test_files.Derived cannot be saved"):
        Derived().save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


UNSAVED = [
    ({"hidden_layer_sizes": range(2, 4)}, TypeError, "hidden_layer_sizes cannot be saved: .* type builtins.range"),
    ({"random_state": np.random.RandomState(np.random.PCG64(0))}, TypeError, "random_state=.* only RandomStates of MT"),
    ({"class_weight": {3 + 1j: 1}}, TypeError, "class_weight cannot be saved: .* builtins.complex"),
    ({"alpha": -1}, ValueError, "MLPClassifier cannot be saved: The 'alpha' parameter"),
    ({"hidden_layer_sizes": (3, 0)}, ValueError, "cannot be saved: hidden_layer_sizes must be > 0"),
    ({"max_iter": 10**25}, ValueError, "cannot be saved: an integer has 26 digits"),
]


@pytest.mark.parametrize("params, error, match", UNSAVED)
def test_other_parameters_that_are_no_data_are_refused_by_name(params, error, match, tmp_path):
    with pytest.raises(error, match=match):
        MLPClassifier(**params).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_attributes_that_are_no_model_are_not_saved(tmp_path):
    model = MLPClassifier(**SMALL).fit(X, IRIS)
    for name, value, error, match in (
        ("coefs_", model.coefs_[:2], ValueError, "coefs_ and intercepts_ must have one entry per layer"),
        ("coefs_", [coef.astype(int) for coef in model.coefs_], ValueError, "coefs_ are not arrays of floats"),
        ("coefs_", [coef.astype(np.longdouble) for coef in model.coefs_], TypeError, "coefs_ cannot be saved"),
        ("classes_", model.classes_[:2], ValueError, "2 multiclass classes_ are not those of 3 outputs"),
        ("classes_", np.array(["a", None, "b"], dtype=object), TypeError, "classes_ cannot be saved"),
        ("classes_", np.array(["a", "b", "c"], dtype="<U9999999"), TypeError, "classes_ cannot be saved"),
        ("n_features_in_", 5, ValueError, "n_features_in_ is 5, by coefs_ it is 4"),
        ("activation", ["relu"], ValueError, "cannot be saved: "),
    ):
        changed = pickle.loads(pickle.dumps(model))
        setattr(changed, name, value)
        with pytest.raises(error, match=match):
            changed.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# What is not read


@pytest.fixture(scope="module")
def model():
    """A model that uses most of what a file can hold."""
    params = {"random_state": np.random.RandomState(0), "early_stopping": True, "scoring": "accuracy"}
    return MLPClassifier(**{**SMALL, **params}, class_weight={"a": 1, "b": 2}).fit(X, np.array(["a", "b", "c"])[IRIS])


@pytest.fixture
def parts(model, tmp_path):
    """Its document and tensors, to be changed."""
    model.save(tmp_path / "model")
    return forging.taken_apart(tmp_path / "model")


def test_the_forger_makes_files_that_are_read(parts, tmp_path):
    document, tensors = parts
    path = tmp_path / "forged"
    path.write_bytes(forging.put_together(document, tensors))
    assert same(state(fastmlp.load(path)), state(fastmlp.load(tmp_path / "model")))
    at, entries, data = 0, {}, b""
    for name, tensor in tensors.items():
        kind = {"f8": "F64", "u4": "U32"}[tensor.dtype.str[1:]]
        entries[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [at, at := at + tensor.nbytes]}
        data += tensor.tobytes()
    path.write_bytes(forging.with_header(document, json.dumps(entries)[1:-1], data))
    assert same(state(fastmlp.load(path)), state(fastmlp.load(tmp_path / "model")))


def test_every_truncation_is_told(model, tmp_path):
    path = tmp_path / "model"
    model.save(path)
    content = path.read_bytes()
    for length in [*range(300), *range(300, len(content), 97), len(content) - 1]:
        assert refusal(content[:length], tmp_path).startswith("is truncated: it has ")


def test_every_flipped_bit_is_told(model, tmp_path):
    path = tmp_path / "model"
    model.save(path)
    content = path.read_bytes()
    kinds = ("is corrupt: ", "is truncated: ", "is too large: ", "is not a fastmlp file: ", "was written by a newer ")
    for at in [*range(200), *range(200, len(content), 23)]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        said = refusal(bytes(flipped), tmp_path)
        assert said.startswith(kinds if at < 200 else "is corrupt: its checksum does not match")


def _foreign():
    yield "a pickle", pickle.dumps(MLPClassifier())
    yield "a PNG", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "text", b"sepal length,sepal width\n" * 10
    yield "zeros", bytes(1000)
    yield "another's safetensors", safetensors.numpy.save({"weight": np.zeros((3, 3))}, {"format": "pt"})
    yield "safetensors without metadata", safetensors.numpy.save({"weight": np.zeros((3, 3))})


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in _foreign()])
def test_files_of_others(content, tmp_path):
    assert refusal(content, tmp_path) == "is not a fastmlp file: it does not begin as one."


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a fastmlp file: it is not a regular file"):
            fastmlp.load(path)


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    for name, file in (("pipe", "pipe"), ("link", "pipe"), ("folder", "folder")):
        with pytest.raises(OSError, match=rf"Not a regular file: '.*{file}'$"):
            MLPClassifier().save(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo() and sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]


def test_newer_versions(parts, tmp_path):
    document, tensors = parts
    content = forging.put_together({**document, "version": 2}, tensors)
    said = "was written by a newer version: its format is version 2, this fastmlp reads up to 1."
    assert refusal(content, tmp_path) == said
    # whatever else has changed
    start = 8 + len(files._MAGIC)
    assert refusal(content[: start + 2] + b"other" * 50, tmp_path) == said
    document["params"]["later"] = 1
    said = "was written by a newer version: MLPClassifier has no later here."
    assert refusal(forging.put_together(document, tensors), tmp_path) == said
    older = forging.put_together({**document, "version": 0}, tensors)
    assert refusal(older, tmp_path) == "is corrupt: its beginning is damaged."


def test_too_large(parts, tmp_path, monkeypatch):
    document, tensors = parts
    content = forging.put_together(document, tensors)
    for length in (2**25 + 1, 2**63, 2**64 - 1):
        said = refusal(struct.pack("<Q", length) + content[8:], tmp_path)
        assert said == f"is too large: its header has {length} bytes, {2**25} are allowed."
    with monkeypatch.context() as patched:
        patched.setattr(files, "physical_memory", lambda: len(content) - 1)
        said = f"is too large: it has {len(content)} bytes, this machine's memory {len(content) - 1}."
        assert refusal(content, tmp_path) == said
    with monkeypatch.context() as patched:
        patched.setattr(files, "MOST_TENSORS", len(tensors) - 1)
        assert refusal(content, tmp_path) == f"is too large: it has more than {len(tensors) - 1} arrays."

    def no_memory(content):
        raise MemoryError

    monkeypatch.setattr(safetensors.numpy, "load", no_memory)
    assert refusal(content, tmp_path) == "is too large: it takes more memory than there is."


def test_a_file_that_claims_a_terabyte_is_not_read(parts, tmp_path):
    content = bytearray(forging.put_together(*parts))
    size = re.search(rb'data_bytes\\":(\d+),', content)
    huge = content[: size.start(1)] + str(2**40).encode() + content[size.end(1) :]
    (length,) = struct.unpack("<Q", huge[:8])
    huge[:8] = struct.pack("<Q", length + len(huge) - len(content))
    assert refusal(bytes(huge), tmp_path).startswith("is truncated: it has ")
    path = tmp_path / "sparse"
    path.write_bytes(huge)
    header = 8 + length + len(huge) - len(content)
    try:
        os.truncate(path, header + 2**40)
    except OSError:
        pytest.skip("no sparse files here")
    with pytest.raises(ValueError, match=r"is too large: it has \d{13} bytes, this machine's memory"):
        fastmlp.load(path)


@functools.cache
def _deep(character, closing):
    return character * 100_000 + closing * 100_000


DOCUMENTS = [
    ('"params":' + _deep("[", "]") + "}", "nested more than 32 levels"),
    ('"params":' + _deep("[", "") + "}", "nested more than 32 levels"),
    ('"params":' + _deep('{"a":', "}")[:600_000], "nested more than 32 levels"),
    ('"class":"MLPClassifier","params":{"alpha":' + "1" * 1_000_000 + '},"fitted":{}}', "integer has 1000000 digits"),
    ('"class":"MLPClassifier","params":{"alpha":' + "1" * 9_000 + '.5},"fitted":{}}', "'alpha' parameter .* inf"),
    ('"class":"MLPClassifier","params":{"alpha":1,"alpha":2},"fitted":{}}', "has a name twice"),
    ('"class":"MLPClassifier","params":{"alpha":NaN},"fitted":{}}', "'alpha' parameter .* nan"),
    ('"class":"MLPClassifier","params":{},"fitted":{}', "delimiter"),
    ('"class":"' + '\\"' * 100_000, "Unterminated string"),
    ('"class":"MLPClassifier","params":{},"fitted":{}}x', "Extra data"),
    ('"class":"MLPClassifier","fitted":{},"params":{}}', "its document has"),
    ('"class":"MLPClassifier","params":{},"' + "a" * 100_000 + '":{}}', r"its document has .*aaa\.\.\.$"),
    ('"class":"Pipeline","params":{},"fitted":{}}', "its class 'Pipeline' is none of MLPClassifier, MLPRegressor"),
    ('"class":["MLPClassifier"],"params":{},"fitted":{}}', "unhashable"),
    ('"class":"MLPClassifier","params":[],"fitted":{}}', "list"),
    ('"class":"MLPClassifier","params":{"alpha":{"array":"a"}},"fitted":{}}', "there is no array 'a' left"),
    ('"class":"MLPClassifier","params":{"alpha":{"pickle":"a"}},"fitted":{}}', "pickle"),
    ('"class":"MLPClassifier","params":{"alpha":{"tuple":1,"dict":2}},"fitted":{}}', "too many values"),
    ('"class":"MLPClassifier","params":{"callbacks":"os.system"},"fitted":{}}', "callbacks is not for files"),
    ('"class":"MLPClassifier","params":{"checkpoint_path":"/etc/x"},"fitted":{}}', "checkpoint_path is not for files"),
]


@pytest.mark.parametrize("text, match", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_documents_that_are_none(text, match, tmp_path):
    said = refusal(forging.put_together({}, {}, text), tmp_path)
    assert said.startswith("is corrupt: ") and re.search(match, said), said[:200]
    assert len(said) < 1000


def test_many_brackets(tmp_path):
    text = '"class":' + "[" + "[]," * 2**20 + "0]}"
    said = refusal(forging.put_together({}, {}, text), tmp_path)
    assert said == f"is too large: its document has more than {2**20} brackets."


def test_many_arrays_whatever_the_spelling_of_their_names(tmp_path):
    entries = ",".join(f'"{i}":{{"\\u0064type":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(2**16 + 1))
    document = {"class": "MLPClassifier", "params": {}, "fitted": {}}
    said = refusal(forging.with_header(document, entries, b""), tmp_path)
    assert said == f"is too large: it has more than {2**16} arrays."


FLOAT = '"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}'
HEADERS = [
    ('"a":{"dtype":"F64","shape":[9223372036854775808,2],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"F64","shape":[0,4611686018427387904],"data_offsets":[0,0]}', 0),
    ('"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"F64","shape":[1.0],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"F64","shape":[' + ",".join("1" * 100) + '],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}', 8),
    ('"a":{"dtype":"F64","shape":[1],"data_offsets":[0,18446744073709551615]}', 8),
    ('"a":{"dtype":"F64","shape":[1],"data_offsets":[4,12]}', 12),
    (FLOAT + ',"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}', 8),
    (FLOAT + ',"b":{"dtype":"F64","shape":[1],"data_offsets":[4,12]}', 12),
    (FLOAT, 16),
    (FLOAT + "," + FLOAT, 8),
    ('"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}', 8),
    ('"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}', 8),
    ('"a":' + "[" * 100_000, 8),
    ('"a":NaN', 0),
    ('"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]', 8),
    (FLOAT + ',"__metadata__":{"fastmlp":"{}"}', 8),
]


@pytest.mark.parametrize("entries, length", HEADERS, ids=range(len(HEADERS)))
def test_headers_that_are_none(entries, length, tmp_path):
    document = {"class": "MLPClassifier", "params": {"alpha": {"array": "a"}}, "fitted": {}}
    said = refusal(forging.with_header(document, entries, b"\xff" * length), tmp_path)
    assert said.startswith("is corrupt: ") and len(said) < 1000, said


def _optimizer(name, value):
    return put("fitted", "_optimizer", name, value)


def _state(position, value):
    return put("params", "random_state", "tuple", position, value)


def _strings(**changed):
    return put("fitted", "classes_", "array", {"strings": ["a", "b", "c"], "dtype": "<U1"} | changed)


def _without(*names):
    def change(document, tensors):
        for name in names:
            del document["fitted"][name]

    return change


CHANGES = {
    "alpha of another type": (put("params", "alpha", "much"), "'alpha' parameter"),
    "unknown activation": (put("params", "activation", "eval"), "'activation' parameter"),
    "unknown activation in a list": (
        put("params", "activation", ["relu", "eval"]),
        "'eval'.* must name functions among",
    ),
    "softmax inside": (put("params", "activation", ["softmax", "relu"]), "'softmax'.* must name functions among"),
    "more activations": (put("params", "activation", ["relu"] * 3), "activation"),
    "sizes that are none": (put("params", "hidden_layer_sizes", [[]]), "hidden_layer_sizes must be integers"),
    "no size": (put("params", "hidden_layer_sizes", [0]), "hidden_layer_sizes must be > 0"),
    "dtype": (put("params", "dtype", {"tuple": ["object"]}), "object"),
    "n_jobs": (put("params", "n_jobs", 0), "n_jobs"),
    "no epoch": (put("params", "max_iter", 0), "'max_iter' parameter"),
    "unhashable key": (put("params", "class_weight", {"dict": [[[], 1]]}), "unhashable"),
    "other generator": (_state(0, "PCG64"), "random_state is of 'PCG64'"),
    "position before": (_state(2, -1), "random_state is at -1"),
    "position behind": (_state(2, 625), "random_state is at 625"),
    "has_gauss": (_state(3, 7), "has_gauss is 7"),
    "gauss": (_state(4, float("nan")), "gauss is nan"),
    "zero keys": (tensor("params.random_state.1", np.zeros_like), "random_state gives only zeros"),
    "few keys": (tensor("params.random_state.1", lambda keys: keys[:600]), "random_state has no keys"),
    "wide keys": (tensor("params.random_state.1", lambda keys: keys.astype(np.uint64)), "random_state has no keys"),
    "unknown attribute": (put("fitted", "__class__", 1), "MLPClassifier has no attributes __class__"),
    "method": (put("fitted", "predict", 1), "has no attributes predict"),
    "no coefs": (_without("coefs_"), "nothing refers to its arrays"),
    "no attributes": (put("fitted", "n_layers_", 7), "n_layers_ is 7, by coefs_ it is 4"),
    "n_features": (put("fitted", "n_features_in_", 3), "n_features_in_ is 3, by coefs_ it is 4"),
    "n_outputs": (put("fitted", "n_outputs_", 2), "n_outputs_ is 2, by coefs_ it is 3"),
    "a bool": (put("fitted", "n_iter_", True), "n_iter_ is True"),
    "negative": (put("fitted", "t_", -1), "t_ is -1"),
    "beyond 63 bits": (put("fitted", "t_", 2**63), "t_ is 9223372036854775808"),
    "loss": (put("fitted", "loss_", "low"), "loss_ is 'low'"),
    "output": (put("fitted", "out_activation_", "relu"), "out_activation_ is 'relu'"),
    "output of numbers": (put("fitted", "out_activation_", "exp"), "out_activation_ is 'exp'"),
    "output of two": (put("fitted", "out_activation_", "logistic"), "multiclass with logistic"),
    "missing": (_without("n_outputs_"), "it lacks n_outputs_"),
    "no classes": (_without("classes_"), "classes_ are not labels"),
    "no binarizer": (_without("_label_binarizer"), "it has no _label_binarizer"),
    "few classes": (_strings(strings=["a", "b"]), "2 multiclass classes_ are not those of 3 outputs"),
    "label that is none": (_strings(strings=["a", "b", 3]), "labels are not strings"),
    "labels that are none": (_strings(strings="abc"), "labels are not strings"),
    "long label": (_strings(strings=["a", "b", "cc"]), "labels are longer than their dtype '<U1'"),
    "wide labels": (_strings(dtype="<U999999999"), "labels take more than"),
    "structured labels": (_strings(dtype="<U1,O"), "labels have dtype"),
    "labels and more": (_strings(more=1), "unexpected keyword"),
    "kind of target": (put("fitted", "_label_binarizer", "y_type", "binary"), "3 binary classes_"),
    "unknown target": (put("fitted", "_label_binarizer", "y_type", "unknown"), "_label_binarizer is"),
    "sparse": (put("fitted", "_label_binarizer", "sparse_input", 1), "_label_binarizer is"),
    "scored": (put("fitted", "_scored", {"tuple": [1, False]}), "_scored is no scoring"),
    "shape": (tensor("coefs_.1", lambda coef: coef.T), r"coefs_\[1\] must be of shape \(5, fan_out\)"),
    "vector": (tensor("coefs_.1", np.ravel), r"coefs_\[1\] must be of shape"),
    "empty": (tensor("coefs_.0", lambda coef: coef[:0]), r"coefs_\[0\] must be of shape"),
    "integers": (tensor("coefs_.0", lambda coef: coef.astype(int)), "coefs_ are not arrays of floats"),
    "intercepts": (tensor("intercepts_.1", lambda intercept: intercept[:2]), r"intercepts_\[1\] must be of shape"),
    "fewer layers": (put("fitted", "coefs_", []), "nothing refers to its arrays"),
    "coefs that are none": (put("fitted", "coefs_", 3), "nothing refers to its arrays"),
    "one array twice": (put("fitted", "coefs_", 1, {"array": "coefs_.0"}), "there is no array 'coefs_.0' left"),
    "byte order": (put("fitted", "coefs_", 0, {"array": ["coefs_.0", "O"]}), "coefs_.0 has byte order 'O'"),
    "a curve of integers": (tensor("loss_curve_", lambda curve: curve.astype(int)), "loss_curve_ is no curve"),
    "a curve of curves": (tensor("loss_curve_", lambda curve: curve[:, None]), "loss_curve_ is no curve"),
    "an array of bools": (
        lambda document, tensors: (
            put("params", "hidden_layer_sizes", {"array": "loss"})(document, tensors),
            tensors.update(loss=np.array([2, 3], dtype=np.uint8).view(bool)),
        ),
        "loss is not of bools",
    ),
    "unknown optimizer": (_optimizer("name", "lbfgs"), "_optimizer is 'lbfgs'"),
    "another optimizer": (_optimizer("name", "sgd"), "momentum"),
    "optimizer with fewer moments": (_optimizer("name", "lion"), "_optimizer has"),
    "rate": (_optimizer("rate", "fast"), "_optimizer has no rate"),
    "updates": (_optimizer("t", -1), "_optimizer counts -1"),
    "many updates": (_optimizer("t", 2**64), "_optimizer counts"),
    "memory": (_optimizer("memory", [[]]), "_optimizer has no memory"),
    "seed": (_optimizer("dropout_seed", -3), "_optimizer counts -3"),
    "watched": (_optimizer("watched", 3), "unpack"),
    "hyper": (_optimizer("hyper", {"dict": [["beta_1", 7], ["beta_2", 0.9], ["epsilon", 1]]}), "'beta_1' parameter"),
    "more hyperparameters": (
        _optimizer("hyper", {"dict": [["beta_1", 0.7], ["beta_2", 0.9], ["epsilon", 1], ["state", 1]]}),
        "_optimizer has hyperparameters",
    ),
    "schedule": (_optimizer("lr_schedule", "eval"), "lr_schedule must be"),
    "options": (_optimizer("options", {"dict": [["gamma", 3]]}), "lr_schedule_params has 'gamma'"),
    "another attribute": (put("fitted", "_optimizer", "dict", 10, 0, "__class__"), "_optimizer has .*__class__"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_attributes_that_are_no_model(case, parts, tmp_path):
    document, tensors = parts
    change, match = CHANGES[case]
    said = forging.refusal_of(change, document, tensors, tmp_path)
    assert re.match(f"is corrupt: .*{match}", said), said


def test_parameters_that_need_not_fit_the_model_allocate_nothing(parts, tmp_path):
    document, tensors = parts
    document["params"] |= {"hidden_layer_sizes": [2**30, 2**30], "n_jobs": 2**40, "early_stopping": False}
    document["params"] |= {"scoring": None, "class_weight": None}
    path = tmp_path / "forged"
    path.write_bytes(forging.put_together(document, tensors))
    loaded = fastmlp.load(path)
    assert loaded.predict(X).tolist() == fastmlp.load(tmp_path / "model").predict(X).tolist()
    with pytest.raises(ValueError, match="does not go on from coefs_ of shapes"):
        loaded.partial_fit(X, np.array(["a", "b", "c"])[IRIS])


def test_moments_of_other_shapes_are_not_gone_on_with(parts, tmp_path):
    document, tensors = parts
    tensors["_optimizer.moments.0.0"] = np.ones((2, 2))
    document["params"] |= {"early_stopping": False, "scoring": None}
    path = tmp_path / "forged"
    path.write_bytes(forging.put_together(document, tensors))
    loaded, anew = fastmlp.load(path), fastmlp.load(path)
    del anew._optimizer
    y = np.array(["a", "b", "c"])[IRIS]
    assert same(loaded.partial_fit(X, y).coefs_, anew.partial_fit(X, y).coefs_)
