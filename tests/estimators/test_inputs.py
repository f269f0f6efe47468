"""Every form of the same data gives the same model, and none is changed or copied without need."""

import contextlib
from itertools import chain

import numpy as np
import pytest
from parity import N_FEATURES, N, data, quietly
from scipy import sparse

from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators import base, networks

PARAMS = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0, "batch_size": 16}
# multiples of 1/8 are the same in float32, and whole after scaling
X = np.round(data("multiclass")[0] * 8) / 8
LABELS = data("multiclass")[1]


def _memmap(tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def _strided(tmp_path):
    wide = np.zeros((N * 2, N_FEATURES + 3))
    wide[::2, 1:-2] = X
    return wide[::2, 1:-2]


def _unaligned(tmp_path):
    raw = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(np.float64).reshape(X.shape)
    view[...] = X
    assert not view.flags.aligned
    return view


def _readonly(tmp_path):
    copied = X.copy()
    copied.flags.writeable = False
    return copied


def _unsorted(tmp_path):
    matrix = sparse.csr_matrix(X)
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[start:stop] = matrix.indices[start:stop][::-1].copy()
        matrix.data[start:stop] = matrix.data[start:stop][::-1].copy()
    assert not sparse.csr_matrix(matrix).has_sorted_indices
    return matrix


def _duplicated(tmp_path):
    halves = sparse.csr_matrix(X)
    indices = np.repeat(halves.indices, 2)
    matrix = sparse.csr_matrix((np.repeat(halves.data / 2, 2), indices, halves.indptr * 2), shape=X.shape)
    assert matrix.nnz == 2 * halves.nnz
    return matrix


def _long_indices(tmp_path):
    matrix = sparse.csr_matrix(X)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def _mixed_indices(tmp_path):
    matrix = sparse.csr_matrix(X)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def _spare_room(tmp_path):
    matrix = sparse.csr_matrix(X)
    matrix.indices = np.append(matrix.indices, np.int32([10**6, -7]))
    matrix.data = np.append(matrix.data, [0.0, 0.0])
    return matrix


DENSE = {
    "list": lambda tmp_path: X.tolist(),
    "fortran": lambda tmp_path: np.asfortranarray(X),
    "strided": _strided,
    "memmap": _memmap,
    "readonly": _readonly,
    "unaligned": _unaligned,
    "big-endian": lambda tmp_path: X.astype(">f8"),
    "object": lambda tmp_path: X.astype(object),
    "longdouble": lambda tmp_path: X.astype(np.longdouble),
}
SPARSE = {
    "csr_matrix": lambda tmp_path: sparse.csr_matrix(X),
    "csr_array": lambda tmp_path: sparse.csr_array(X),
    "csc": lambda tmp_path: sparse.csc_matrix(X),
    "coo": lambda tmp_path: sparse.coo_matrix(X),
    "unsorted": _unsorted,
    "duplicated": _duplicated,
    "int64": _long_indices,
    "int32 and int64": _mixed_indices,
    "room at the end": _spare_room,
    "float32": lambda tmp_path: sparse.csr_matrix(X),
}


def _fit_and_predict(X):
    model = quietly(MLPClassifier(**PARAMS).fit, X, LABELS)
    first = model.predict_proba(X)
    model.partial_fit(X, LABELS)
    return first, model.predict_proba(X)


@pytest.mark.parametrize("form", DENSE)
def test_forms_of_dense_data_are_one(form, tmp_path):
    for got, expected in zip(_fit_and_predict(DENSE[form](tmp_path)), _fit_and_predict(X), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("form", SPARSE)
def test_forms_of_sparse_data_are_one_and_as_dense(form, tmp_path):
    given = SPARSE[form](tmp_path)
    csr = given.tocsr()
    before = [array.copy() for array in (csr.data, csr.indices, csr.indptr)]
    reference = sparse.csr_matrix(X)
    for got, expected, dense in zip(
        _fit_and_predict(given), _fit_and_predict(reference), _fit_and_predict(X), strict=True
    ):
        if form == "duplicated":  # the halves are added one by one
            np.testing.assert_allclose(got, expected, rtol=1e-12)
        else:
            np.testing.assert_array_equal(got, expected)
        np.testing.assert_allclose(got, dense, rtol=1e-12)
    csr = given.tocsr()
    for array, values in zip((csr.data, csr.indices, csr.indptr), before, strict=True):
        np.testing.assert_array_equal(array, values)


def test_columns_that_were_permuted_in_place():
    permuted = sparse.csr_matrix(X)
    assert permuted.has_sorted_indices  # and will say so from now on
    order = np.random.RandomState(0).permutation(N_FEATURES).astype(np.int32)
    permuted.indices[:] = order[permuted.indices]
    assert permuted.has_sorted_indices
    reference = sparse.csr_matrix(permuted.toarray())
    for got, expected in zip(_fit_and_predict(permuted), _fit_and_predict(reference), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_rows_without_entries():
    rows = X.copy()
    rows[[0, 1, 17, N - 1]] = 0
    for got, expected in zip(_fit_and_predict(sparse.csr_matrix(rows)), _fit_and_predict(rows), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    empty = sparse.csr_matrix(X.shape)
    np.testing.assert_array_equal(_fit_and_predict(empty)[0], _fit_and_predict(np.zeros_like(X))[0])


def test_integers_are_trained_in_float64():
    whole = np.round(X * 8).astype(np.int16)
    for form in (whole, sparse.csr_matrix(whole)):
        for got, expected in zip(_fit_and_predict(form), _fit_and_predict(form.astype(float)), strict=True):
            assert got.dtype == np.float64
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sparse.csr_matrix, sparse.csc_matrix])
def test_float32_is_trained_and_predicted_in_float32(make):
    single = make(X.astype(np.float32))
    model = quietly(MLPClassifier(**PARAMS).fit, single, LABELS)
    arrays = model.coefs_ + model.intercepts_ + list(chain(*model._optimizer.moments))
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    assert model.predict_proba(single).dtype == model.predict_log_proba(single).dtype == np.float32
    np.testing.assert_allclose(model.predict_proba(single), _fit_and_predict(X)[0], rtol=2e-3)


@pytest.mark.parametrize("coefs", [np.float32, np.float64])
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, bool])
def test_the_dtype_of_a_prediction_is_that_of_the_product(coefs, given):
    y = X[:, 0] / 3
    model = quietly(MLPRegressor(**PARAMS).fit, X.astype(coefs), y)
    rows = np.round(X).astype(given)
    expected = np.result_type(given, coefs)
    assert model.predict(rows).dtype == expected
    reference = quietly(MLPRegressor(**PARAMS).fit, X.astype(coefs), y)
    reference.coefs_ = [coef.astype(np.float64) for coef in reference.coefs_]
    np.testing.assert_allclose(model.predict(rows), reference.predict(rows.astype(float)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_rows_are_trained_where_they_lie(form, early_stopping, monkeypatch):
    bound = []

    class Watched(networks.Network):
        def bind(self, X, y, sample_weight=None):
            bound.append(X)
            super().bind(X, y, sample_weight)

    monkeypatch.setattr(networks, "Network", Watched)
    given = X if form == "dense" else sparse.csr_matrix(X)
    quietly(MLPClassifier(**PARAMS, early_stopping=early_stopping).fit, given, LABELS)
    (seen,) = bound
    assert np.shares_memory(seen if form == "dense" else seen.data, given if form == "dense" else given.data)


def test_partial_fit_lets_go_of_the_data():
    import gc
    import weakref

    class Rows(np.ndarray):
        """An array that can be watched."""

    owner = Rows(X.shape)  # owns its memory, so any view keeps it alive
    owner[...] = X
    alive = weakref.ref(owner)
    model = MLPRegressor(**PARAMS)
    for _ in range(2):
        model.partial_fit(owner, X[:, 0])
    del owner
    gc.collect()
    assert alive() is None
    model.partial_fit(X, X[:, 0])


def test_the_short_way_of_predict_is_the_long_way():
    model = quietly(MLPClassifier(**PARAMS).fit, X, LABELS)
    for n in (1, 2, N):
        np.testing.assert_array_equal(model.predict_proba(X[:n]), model.predict_proba(np.asfortranarray(X[:n])))


def test_finite_values_of_an_infinite_sum_are_predicted_for():
    model = quietly(MLPClassifier(**PARAMS).fit, X.astype(np.float32), LABELS)
    big = np.full((40, N_FEATURES), 3e38, dtype=np.float32)
    with np.errstate(over="ignore"):
        assert not np.isfinite(big.sum())
    assert model.predict(big).shape == (40,)


def test_blas_is_held_to_one_thread_where_it_serves(monkeypatch):
    entered = []

    @contextlib.contextmanager
    def guard():
        entered.append(None)
        yield

    monkeypatch.setattr(base, "single_threaded_blas", guard)
    quietly(MLPRegressor(**PARAMS).fit, X, X[:, 0])
    assert not entered
    wide = {**PARAMS, "hidden_layer_sizes": (2**11, 2**12), "max_iter": 1}
    quietly(MLPRegressor(**wide).fit, X.astype(np.float32), X[:, 0])
    assert len(entered) == 1


def test_misaligned_arrays_are_copied():
    def misaligned(array):
        room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        room[...] = array
        return room

    y, weight = X[:, 0].copy(), np.arange(1.0, N + 1)
    plain = quietly(MLPRegressor(**PARAMS).fit, X, y, weight)
    other = quietly(MLPRegressor(**PARAMS).fit, misaligned(X), misaligned(y), misaligned(weight))
    assert plain.loss_curve_ == other.loss_curve_
    np.testing.assert_array_equal(plain.predict(X), other.predict(misaligned(X)))


def test_weights_that_training_takes_for_zero_are_refused():
    for values, dtype in ((1e-312, np.float64), (1e-42, np.float32)):
        with pytest.raises(ValueError, match="sample_weight must have a positive, finite sum"):
            MLPRegressor(**PARAMS).fit(X.astype(dtype), X[:, 0], np.full(N, values))
