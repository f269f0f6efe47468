"""Which rows a shard has, and how a process reads and keeps them."""

import pickle

import numpy as np
import pytest

from fastmlp import scan_npy
from fastmlp.data.shards import Shard, Shards, _Kept, dealt_pieces
from fastmlp.training.arrays import Data


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7])
@pytest.mark.parametrize("blocks", [[101], [5] * 40, [1, 50, 3, 3, 90, 2], [1000] * 300], ids=len)
def test_each_row_is_in_one_shard_and_shards_are_of_about_one_size(blocks, n_shards):
    shards = dealt_pieces(blocks, n_shards)
    rows = [(block, row) for pieces in shards for block, start, stop in pieces for row in range(start, stop)]
    assert sorted(rows) == [(block, row) for block, n_rows in enumerate(blocks) for row in range(n_rows)]
    sizes = [sum(stop - start for _, start, stop in pieces) for pieces in shards]
    assert max(sizes) - min(sizes) <= max(blocks)
    assert max(sizes) <= 1.2 * sum(blocks) / n_shards + 1
    assert shards == dealt_pieces(np.array(blocks), n_shards)
    assert all(pieces == sorted(pieces) for pieces in shards)


@pytest.mark.parametrize("blocks", [[3000], [100] * 30, [10] * 300], ids=len)
def test_shards_of_sorted_rows_differ_little(blocks):
    positions = np.repeat(np.arange(len(blocks)) * (3000 // len(blocks)), blocks)
    within = np.concatenate([np.arange(n) for n in blocks])
    values = (positions + within) / 3000
    starts = np.cumsum([0, *blocks])
    for pieces in dealt_pieces(blocks, 4):
        own = np.concatenate([values[starts[b] + start : starts[b] + stop] for b, start, stop in pieces])
        assert abs(own.mean() - 0.5) < 0.05
        assert np.abs(np.histogram(own, 5, (0, 1))[0] / len(own) - 0.2).max() < 0.08


def _encode(y, weight):
    return y, weight


def _shards(n_rows=997, n_replicas=3, window=100_000, weights=None):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n_rows, 4)), np.arange(n_rows, dtype=float)[:, None]
    source = scan_npy(X, y, weights, window_rows=window)
    shards = Shards(source, _encode, y[:2], weights is not None, None, tasks=None, n_replicas=n_replicas)
    return X, shards.in_precision(np.dtype(np.float64))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_shards_have_the_rows_of_the_source_with_what_belongs_to_them(share):
    weights = np.arange(997.0) / 2
    X, shards = _shards(weights=weights)
    held, trained = [], []
    for number, n_trained in enumerate(shards.counts(5, share)):
        shard = shards.read_shard(number, 5, share)
        rows = shard.data.y[:, 0].astype(int)
        np.testing.assert_array_equal(shard.data.X, X[rows])
        np.testing.assert_array_equal(shard.data.sample_weight, weights[rows])
        assert len(shard.order()) == n_trained
        trained.append(rows[shard.order()])
        if share:
            own = shard.held_out()
            np.testing.assert_array_equal(own.X, X[own.labels[:, 0].astype(int)])
            np.testing.assert_array_equal(own.score_weight, weights[own.labels[:, 0].astype(int)])
            held.append(own.y[:, 0].astype(int))
        else:
            assert shard.data.labels is shard.data.score_weight is None
    assert sorted(np.concatenate(trained + held)) == list(range(997))
    if share:
        # by position and seed alone, whatever the shards
        of_stream = super(Shards, shards).held_out(5, share)
        np.testing.assert_array_equal(np.sort(np.concatenate(held)), of_stream.y[:, 0])


def test_a_shard_larger_than_a_window_is_several():
    _, shards = _shards(n_replicas=3, window=150)
    assert shards.n_slots == 3
    assert shards.counts(None, 0.0).max() <= 150


def test_more_shards_than_rows_are_refused():
    with pytest.raises(ValueError, match="n_replicas=9 is too many for the 5 rows"):
        _shards(n_rows=5, n_replicas=9)


def test_an_order_is_a_function_of_its_seed():
    shard = Shard(Data(np.zeros((50, 1)), np.zeros(50), None, None, None), None)
    first = shard.order(1, 2, 3).copy()
    assert sorted(first) == list(range(50))
    assert not np.array_equal(first, shard.order(1, 2, 4))
    np.testing.assert_array_equal(first, shard.order(1, 2, 3))
    np.testing.assert_array_equal(shard.order(), np.arange(50))


def test_a_shard_that_arrives_at_an_odd_address_is_aligned():
    shard = Shard(Data(np.ones((5, 3)), np.arange(5), np.ones(5), None, None), None)
    buffers = []
    pickled = pickle.dumps(shard, protocol=5, buffer_callback=buffers.append)
    odd = [memoryview(bytearray(b"x" + bytes(buffer.raw())))[1:] for buffer in buffers]
    arrived = pickle.loads(pickled, buffers=odd)
    for array, original in zip(arrived.data[:3], shard.data[:3], strict=True):
        assert array.flags.aligned
        np.testing.assert_array_equal(array, original)


def test_a_process_keeps_the_shards_used_last():
    kept, reads = _Kept(most=2 * 80), []

    def get(key):
        def read():
            reads.append(key)
            return Shard(Data(np.zeros((10, 1)), np.empty(0), None, None, None), None)

        return kept.get(key, read)

    for key in "abacab":
        get(key)
    assert reads == ["a", "b", "c", "b"]
    large = kept.get("large", lambda: Shard(Data(np.zeros((99, 9)), np.empty(0), None, None, None), None))
    assert kept.get("large", None) is large  # one is kept, however large
