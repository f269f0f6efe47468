"""Fits to sources: the bits of the fit in memory where the order of rows is the same, and the same bits ever again."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from streamed import CODES, KINDS, LABELS, NUMBERS, SMALL, WEIGHTS, WINDOW, F, N, X, assert_same, npy, parquet, targets

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.data import windows
from fastmlp.data.sources import NpySource
from fastmlp.engine import OPTIMIZERS
from fastmlp.training.streams import Order

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# The bits of the fit in memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("solver", OPTIMIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_their_order(kind, solver, dtype, tmp_path):
    model = kind(**SMALL, solver=solver, shuffle=False)
    expected = clone(model).fit(X.astype(dtype), targets(kind))
    for source in (npy(kind, dtype), parquet(tmp_path, kind, dtype)):
        assert_same(clone(model).fit(source), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_one_window(kind, dtype, tmp_path):
    model = kind(**SMALL, early_stopping=True)
    expected = clone(model).fit(X.astype(dtype), targets(kind))
    source = parquet(tmp_path, kind, dtype, window=N)
    assert_same(clone(model).fit(source), expected)
    assert_same(clone(model).fit(npy(kind, dtype, window=None)), expected)
    lbfgs = kind(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=20, random_state=0)
    np.testing.assert_array_equal(
        clone(lbfgs).fit(source).coefs_[0], clone(lbfgs).fit(X.astype(dtype), targets(kind)).coefs_[0]
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS * (np.arange(N) > 200)], ids=["", "weights"])
@pytest.mark.parametrize("kind", KINDS)
def test_lbfgs_sums_over_windows(kind, weights, tmp_path):
    model = kind(hidden_layer_sizes=(6, 4), solver="lbfgs", activation="tanh", alpha=0.1, max_iter=6, random_state=0)
    source = parquet(tmp_path, kind, weights=weights)
    streamed, expected = clone(model).fit(source), clone(model).fit(X, targets(kind), weights)
    assert streamed.n_iter_ == expected.n_iter_ and streamed.loss_ == pytest.approx(expected.loss_, rel=1e-9)
    for one, other in zip(streamed.coefs_ + streamed.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)
    again = clone(model).set_params(n_jobs=1).fit(source)
    for one, other in zip(streamed.coefs_, again.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="solver='lbfgs' does not use a validation set"):
        model.fit(source, X_val=source)


MORE = {
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
    "rates of each batch": {"lr_schedule": "one_cycle", "warmup": 5},
    "callable rate": {"lr_schedule": lambda step: 0.01 / (1 + step)},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "limits": {"clip_norm": 0.3, "max_norm": 1.0, "weight_decay": 0.01},
    "batches of a window": {"batch_size": 100},
    "batches larger than a window": {"batch_size": 170},
    "all rows in a batch": {"batch_size": N},
    "automatic batches": {"batch_size": "auto"},
    "one row in a batch": {"batch_size": 1, "max_iter": 1},
    "cast": {"dtype": "float32"},
    "linear": {"hidden_layer_sizes": ()},
    "threads": {"n_jobs": 1},
}


@pytest.mark.parametrize("case", MORE)
@pytest.mark.parametrize("kind", KINDS)
def test_parameters(kind, case):
    model = kind(**{**SMALL, **MORE[case]}, shuffle=False)
    assert_same(clone(model).fit(npy(kind)), clone(model).fit(X, targets(kind)))


@pytest.mark.parametrize("loss", ["focal", "hinge"])
def test_losses_of_classes(loss):
    model = MLPClassifier(**SMALL, loss=loss, shuffle=False)
    assert_same(clone(model).fit(npy(MLPClassifier)), clone(model).fit(X, LABELS))


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "log_cosh", "quantile", "poisson", "gamma", "tweedie"])
def test_losses_of_numbers(loss):
    y = np.abs(NUMBERS) + 0.1
    model = MLPRegressor(**SMALL, loss=loss, shuffle=False, quantile=[0.1, 0.9] if loss == "quantile" else 0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "quantile=", UserWarning)
        assert_same(clone(model).fit(npy(None, y=y)), clone(model).fit(X, y))


@pytest.mark.parametrize(
    "y",
    [
        CODES,
        (CODES > 0),
        CODES.astype(np.float64),
        np.stack([CODES > 0, CODES > 1, CODES < 2], axis=1).astype(int),
        np.stack([CODES, CODES[::-1] + 5], axis=1),
        np.full(N, "alone"),
    ],
    ids=["codes", "bools", "floats", "indicators", "several outputs", "one class"],
)
def test_kinds_of_labels(y):
    model = MLPClassifier(**SMALL, shuffle=False)
    streamed, expected = clone(model).fit(npy(None, y=y)), clone(model).fit(X, y)
    assert_same(streamed, expected)
    classes = (streamed.classes_, expected.classes_)
    for one, other in zip(*classes, strict=True) if isinstance(classes[0], list) else [classes]:
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    np.testing.assert_array_equal(streamed.predict(X), expected.predict(X))


def test_several_numbers():
    y = np.stack([NUMBERS, X[:, 2]], axis=1)
    model = MLPRegressor(**SMALL, shuffle=False)
    assert_same(clone(model).fit(npy(None, y=y)), clone(model).fit(X, y))
    integers = np.rint(5 * y).astype(int)
    assert_same(clone(model).fit(npy(None, y=integers)), clone(model).fit(X, integers))


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_features(kind, tmp_path):
    pandas = pytest.importorskip("pandas")
    source = parquet(tmp_path, kind)
    frame = pandas.DataFrame(X, columns=[f"f{j}" for j in range(F)])
    for window in (WINDOW, N):
        source.window_rows = window
        model = kind(**SMALL).fit(source)
        assert model.feature_names_in_.tolist() == list(frame.columns) and model.n_features_in_ == F
        np.testing.assert_array_equal(model.predict(frame), model.predict(source))
        other = fastmlp.scan_parquet(tmp_path, "y", features=["f1", "f0", *(f"f{j}" for j in range(2, F))])
        with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
            model.predict(other)
        with pytest.raises(ValueError, match=f"X has 2 features, but {kind.__name__} is expecting {F} features"):
            model.predict(fastmlp.scan_parquet(tmp_path, "y", features=["f1", "f0"]))


# The order of rows


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_rows_are_each_trained_on_once_an_epoch(kind, tmp_path):
    source = parquet(tmp_path, kind, weights=np.arange(1.0, N + 1))
    assert kind(**SMALL).fit(source)._optimizer.t == 4 * -(-N // 32)
    stream, *_ = kind(**SMALL)._stream(source, first=True)
    stream.in_precision(np.dtype(np.float64))
    seen = []
    for epoch in range(3):
        order = []
        for window in stream.windows(Order(5, epoch, None, 0.0, 31)):
            order += window.sample_weight[window.order[window.room : window.stop]].astype(int).tolist()
            assert len(window.X) <= 31 + WINDOW
        assert sorted(order) == list(range(1, N + 1))
        seen.append(order)
    stream.close()
    assert seen[0] != seen[1] != seen[2]


@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_is_one_of_the_same_rows_in_memory(kind, tmp_path):
    """The rows in the order in which their windows come, trained on in memory without shuffling."""
    source = parquet(tmp_path, kind, weights=np.arange(1.0, N + 1))
    model = kind(**{**SMALL, "max_iter": 1}).fit(source)
    other = kind(**{**SMALL, "max_iter": 1})
    stream, *_ = other._stream(source, first=True)
    stream.in_precision(np.dtype(np.float64))
    state = np.random.RandomState(0)
    units = [F, 9, 5, model.n_outputs_]
    for n_in, n_out in zip(units[:-1], units[1:], strict=True):  # what the initial weights draw
        state.uniform(size=(n_in, n_out))
        state.uniform(size=n_out)
    seed = int(state.randint(2**63, dtype=np.int64))
    order = []
    for window in stream.windows(Order(seed, 0, None, 0.0, 31)):
        order += (window.sample_weight[window.order[window.room : window.stop]].astype(int) - 1).tolist()
    stream.close()
    expected = other.set_params(shuffle=False).fit(X[order], targets(kind)[order], np.arange(1.0, N + 1)[order])
    assert_same(model, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits(kind, tmp_path):
    source = parquet(tmp_path, kind)
    model = kind(**SMALL, dropout=0.2).fit(source)
    assert_same(kind(**SMALL, dropout=0.2, n_jobs=1).fit(source), model)
    assert_same(
        kind(**SMALL, dropout=0.2).fit(pickle.loads(pickle.dumps(npy(kind, window=120)))),
        kind(**SMALL, dropout=0.2).fit(npy(kind, window=120)),
    )
    other = kind(**{**SMALL, "random_state": 1}, dropout=0.2).fit(source)
    assert other.loss_curve_ != model.loss_curve_
    source.window_rows = 2 * WINDOW
    assert kind(**SMALL, dropout=0.2).fit(source).loss_curve_ != model.loss_curve_


def test_sorted_files_train_as_shuffled_ones():
    values, labels = make_classification(6000, 10, n_informative=8, n_classes=2, random_state=0)
    by_label = np.argsort(labels[:5000], kind="stable")
    model = MLPClassifier((30,), random_state=0, max_iter=8)
    shuffled = clone(model).fit(values[:5000], labels[:5000]).score(values[5000:], labels[5000:])
    source = fastmlp.scan_npy(values[by_label], labels[by_label], window_rows=500)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The rows of")
        streamed = clone(model).fit(source).score(values[5000:], labels[5000:])
    assert shuffled > 0.85 and abs(streamed - shuffled) < 0.01


def test_a_window_that_is_too_small_for_sorted_files(tmp_path):
    rows = np.argsort(CODES, kind="stable")
    source = parquet(tmp_path, MLPClassifier, rows=rows, window=30)
    with pytest.warns(UserWarning, match="sorted or grouped by their targets: windows of at most 30 rows differ"):
        MLPClassifier(**SMALL).fit(source)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The rows of")
        MLPClassifier(**SMALL, shuffle=False).fit(source)


# What goes with a source


def test_what_is_refused():
    source = npy(MLPClassifier)
    model = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match=r"y must be None beside X=scan_npy\(X\): name it where the source is made"):
        model.fit(source, LABELS)
    with pytest.raises(ValueError, match="sample_weight must be None beside"):
        model.fit(source, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match=r"X has no targets: name them where scan_npy\(X\) is made"):
        model.fit(fastmlp.scan_npy(X))
    with pytest.raises(TypeError, match=r"partial_fit takes no source"):
        model.partial_fit(source, None, classes=np.unique(LABELS))
    with pytest.raises(TypeError, match="targets of a regression must be numbers"):
        MLPRegressor(**SMALL).fit(source)
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier(**SMALL).fit(npy(MLPRegressor))
    assert not hasattr(model, "coefs_") and not hasattr(model, "n_features_in_")


def test_others_say_what_takes_a_source():
    source, message = npy(MLPClassifier), r"scan_npy\(X\) is a source and no array: fit, score, predict"
    pipeline = make_pipeline(StandardScaler(), MLPClassifier())
    for model in (pipeline, fastmlp.Perceptron(), StandardScaler()):
        with pytest.raises(TypeError, match=message):
            model.fit(source, LABELS)
    with pytest.raises(TypeError, match=message):
        MLPClassifier(**SMALL).fit(X, LABELS).input_gradients(source)


@pytest.mark.parametrize("kind", KINDS)
def test_warm_starts(kind):
    model = kind(**SMALL, shuffle=False, warm_start=True)
    streamed, expected = clone(model).fit(npy(kind)), clone(model).fit(X, targets(kind))
    assert_same(streamed.fit(npy(kind)), expected.fit(X, targets(kind)))
    with pytest.raises(ValueError, match="X has 3 features"):
        streamed.fit(fastmlp.scan_npy(X[:, :3].copy(), targets(kind), window_rows=WINDOW))
    if kind is MLPClassifier:
        with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
            streamed.fit(npy(None, y=CODES.astype(str)))


class Tasks:
    """A callback that keeps the tasks that it is told of, and asks to stop after one of them."""

    def __init__(self, stops=None):
        self.ended, self.stops = [], stops

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.ended.append((context.task_name, context.max_subtasks))
        return len(self.ended) == self.stops


def test_scikit_learn_s_callbacks_are_told_of_windows():
    callback = pytest.importorskip("sklearn.callback")
    source = npy(MLPClassifier)
    model = MLPClassifier(**SMALL).set_callbacks(tasks := Tasks())
    model.fit(source)
    epoch = [*[("part", 0)] * 6, ("epoch", 6)]
    assert tasks.ended == [*epoch * 4, ("fit", 4)]
    model.set_callbacks(tasks := Tasks(stops=9)).fit(source)
    assert tasks.ended == [*epoch * 2, ("fit", 4)] and model.n_iter_ == 2
    pytest.importorskip("rich")
    with_bar = MLPClassifier(**SMALL).set_callbacks(callback.ProgressBar()).fit(source)
    assert_same(with_bar, MLPClassifier(**SMALL).fit(source))


def test_verbose_counts_rows_within_an_epoch(capsys):
    MLPClassifier(**SMALL | {"max_iter": 1}, shuffle=False, verbose=True).fit(npy(MLPClassifier))
    *within, last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Iteration 1,")]
    # windows have 96 rows, batches 32
    assert within == [f"Iteration 1, {96 * i} of {N} rows" for i in range(1, 6)]
    assert last.startswith("Iteration 1, loss = ")


def test_callbacks_are_told_of_epochs():
    told = []

    def callback(estimator, epoch, metrics):
        told.append((epoch, metrics["loss"], estimator.predict(X).shape))
        return epoch == 2

    model = MLPClassifier(**SMALL, callbacks=callback).fit(npy(MLPClassifier))
    assert told == [(i + 1, loss, (N,)) for i, loss in enumerate(model.loss_curve_)] and model.n_iter_ == 2


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0, 1.6])
@pytest.mark.parametrize("solver", ["adam", "schedule_free_adamw"])
def test_an_interrupt_between_windows_keeps_the_model(solver, share, monkeypatch):
    """Parameters are those after the last batch: of an optimizer that averages, the averages."""
    source = npy(MLPClassifier)
    read, blocks = NpySource.read, []

    def interrupting(self, block, X=None, targets=True):
        blocks.append(block)
        if X is not None and len(blocks) > (1 + share) * len(source.blocks):
            raise KeyboardInterrupt
        return read(self, block, X, targets)

    monkeypatch.setattr(NpySource, "read", interrupting)
    model = MLPClassifier(**SMALL, solver=solver, shuffle=False)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(source)
    monkeypatch.undo()
    n_epochs, n_batches = divmod(model._optimizer.t, -(-N // 32))
    assert model.n_iter_ == n_epochs == (share >= 1) and (n_batches > 0) == (share % 1 > 0)
    expected = MLPClassifier(**{**SMALL, "max_iter": 1}, solver=solver, shuffle=False)
    if n_epochs:
        expected.partial_fit(X, LABELS, classes=np.unique(LABELS))
    if n_batches:
        expected.partial_fit(X[: 32 * n_batches], LABELS[: 32 * n_batches], classes=np.unique(LABELS))
    if not n_epochs and not n_batches:
        return
    for one, other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_that_turn_bad_leave_the_estimator_as_it_was(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    source = parquet(tmp_path, MLPClassifier)
    model = MLPClassifier(**SMALL).fit(source)
    before = dict(vars(model))
    weights = [array.copy() for array in model.coefs_]

    def change(estimator, epoch, metrics):
        if epoch == 2:
            pq.write_table(pq.read_table(tmp_path / "2.parquet").slice(1), tmp_path / "2.parquet")

    model.callbacks = before["callbacks"] = change
    with pytest.raises(ValueError, match=r"2.parquet' has changed since it was scanned"):
        model.fit(source)
    assert vars(model) == before
    for one, other in zip(model.coefs_, weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_reader_that_is_ended_from_outside_is_named(monkeypatch):
    made = []

    class Pool(windows.ThreadPoolExecutor):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(windows, "ThreadPoolExecutor", Pool)
    model = MLPClassifier(**SMALL, callbacks=lambda *_: made[0].shutdown())
    with pytest.raises(RuntimeError, match=r"The thread that reads scan_npy\(.*\) ahead was ended: cannot"):
        model.fit(npy(MLPClassifier))
    assert not hasattr(model, "coefs_") and len(made) == 1


def test_two_threads_fit_to_one_source(tmp_path):
    source = parquet(tmp_path, MLPClassifier)
    expected = MLPClassifier(**SMALL).fit(source)
    with ThreadPoolExecutor(2) as threads:
        for model in threads.map(lambda _: MLPClassifier(**SMALL).fit(source), range(2)):
            assert_same(model, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_is_named(kind, tmp_path):
    values = X.copy()
    values[400, 3] = np.nan
    np.save(tmp_path / "X.npy", values)
    model = kind(**SMALL)
    with pytest.raises(ValueError, match=r"Input X contains NaN: column 3, row 400 of .*X.npy'"):
        model.fit(fastmlp.scan_npy(tmp_path / "X.npy", targets(kind), window_rows=WINDOW))
    values[400, 3] = 1e300
    source = fastmlp.scan_npy(values, targets(kind), window_rows=WINDOW)
    with pytest.raises(ValueError, match="X has values beyond float32, in which it is trained"):
        kind(**SMALL, dtype="float32").fit(source)
    fitted = kind(**SMALL, dtype="float32").fit(X, targets(kind))
    with pytest.raises(ValueError, match="X has values beyond float32, the precision of the model, in rows 396 to 401"):
        fitted.predict(source)
    assert not hasattr(model, "coefs_")


def test_targets_that_are_not_finite_are_named():
    y = NUMBERS.copy()
    y[77] = np.inf
    with pytest.raises(ValueError, match=r"X: Input y contains NaN or infinity, the first in row 5 of it"):
        MLPRegressor(**SMALL).fit(npy(None, y=y))
    weights = WEIGHTS.copy()
    weights[77] = -1
    with pytest.raises(ValueError, match=r"X: sample_weight must be >= 0, got -1.0"):
        MLPRegressor(**SMALL).fit(npy(MLPRegressor, weights=weights))
    with pytest.raises(ValueError, match="sample_weight must have a positive, finite sum"):
        MLPRegressor(**SMALL).fit(npy(MLPRegressor, weights=np.zeros(N)))
    with pytest.raises(ValueError, match="needs y > 0, got"):
        MLPRegressor(**SMALL, loss="gamma").fit(npy(MLPRegressor))


def test_the_limit_on_epochs_warns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        MLPClassifier(**SMALL).fit(npy(MLPClassifier))
