"""A fit by epochs whose rows come window by window."""

from typing import NamedTuple

import numpy as np

from .documents import are_arrays, is_count, is_number, require
from .fits import Fit, check_held_out
from .identity import data_description

__all__ = ["Order", "StreamedFit", "SummedNetwork"]

_MOST = 2**63


class Order(NamedTuple):
    """Which rows of an epoch come when: all that it depends on beside the source."""

    seed: int | None  # of the order of blocks and of rows in a window; None: both as they are
    epoch: int
    held_by: int | None  # seed of the hash that holds rows out
    share: float  # of the rows that are held out
    room: int  # most rows that a window leaves over

    @property
    def picks(self):
        """Whether a window's rows are others than all of them in their own order."""
        return self.seed is not None or self.share > 0


class _Within(NamedTuple):
    """Where an epoch stands between two windows."""

    window: int = 0  # the next one
    done: int = 0  # rows trained on
    left: tuple | None = None  # X, y and weights of the rows that were left over: less than a batch


class SummedNetwork:
    """A network whose loss and gradient over all rows are sums over windows, in the order of the rows.

    Parameters
    ----------
    network : Network
    stream : Stream
    """

    def __init__(self, network, stream):
        self.coefs, self.intercepts = network.coefs, network.intercepts
        self._network, self._stream, self._n_calls = network, stream, 0

    def loss_and_grad(self, rows, alpha):
        """As `Network.loss_and_grad` of all rows.

        Parameters
        ----------
        rows : None
        alpha : float
        """
        gradients, total, weight = self._summed()
        n_coefs = len(self.coefs)
        for sums, coef in zip(gradients, self.coefs, strict=False):
            sums += alpha * coef
            total += 0.5 * alpha * float((coef**2).sum())
        for sums in gradients:
            sums /= weight
        return total / weight, gradients[:n_coefs], gradients[n_coefs:]

    def _summed(self):
        """Gradient and loss of all rows times their weight, and that weight."""
        total = weight = 0.0
        gradient_sums = [np.zeros_like(param) for param in self.coefs + self.intercepts]
        now, then = (Order(None, self._n_calls + i, None, 0.0, 0) for i in range(2))
        self._n_calls += 1
        for window in self._stream.windows(now, follows=then):
            self._network.bind(window.X, window.y, window.sample_weight)
            loss, of_window, gradients = self._network.sums()
            total += loss
            weight += of_window
            for sums, gradient in zip(gradient_sums, gradients, strict=True):
                sums += gradient
        return gradient_sums, total, weight


class StreamedFit(Fit):
    """A fit by epochs of rows that are not in memory together.

    An epoch is trained on window by window; rows that do not fill a batch are left over and begin the next window. So
    the batches are those of one call with the same rows in the same order, and so are all results, bit for bit.

    Parameters
    ----------
    network, params, random_state, validation_data, before
        As for `Fit`.
    data : Stream
        See `data.windows`.

    Attributes
    ----------
    seed : int or None
        All that is drawn at random for the order of rows and the rows held out.
    share : float
        Of the rows that are held out.
    """

    seed, share, n_held_out, within = None, 0.0, 0, None

    def _take_held_out(self, state):
        self.seed, self.share = state["seed"], state["share"]

    def hold_out(self, share):
        """Hold a share of the rows out, or what the checkpoint says.

        Returns
        -------
        data : Data
            The held-out rows.

        Raises
        ------
        ValueError
            If there are fewer than two, if they are all rows, or if none of them has a weight.
        """
        if self.resumed is None:
            self._draw_seed()
            self.share = share
        self.n_held_out = self.data.n_held_out(self.seed, self.share)
        if not 2 <= self.n_held_out < self.n_rows:
            raise ValueError(
                f"validation_fraction={share!r} holds {self.n_held_out} of {self.n_rows} rows out: at least 2 are"
                " needed, and not all."
            )
        data = self.data.held_out(self.seed, self.share)
        for weights in (data.sample_weight, data.score_weight):
            if weights is not None:
                check_held_out(weights)
        return data

    def _draw_seed(self):
        if self.seed is None:
            self.seed = int(self.random_state.randint(_MOST, dtype=np.int64))

    def _set_order(self):
        self.n_trained = self.n_rows - self.n_held_out
        if self.shuffle and self.resumed is None:
            self._draw_seed()

    # An epoch

    @property
    def n_parts(self):
        return self.data.n_windows(self._order(self.progress.n_iter))

    def _order(self, epoch):
        return Order(self.seed if self.shuffle else None, epoch, self.seed, self.share, self.batch_size - 1)

    def _pass(self):
        optimizer, epoch = self.optimizer, self.progress.n_iter
        at = self.within or _Within()
        optimizer.iteration_begins(self.n_batches, self.max_iter, done=at.done // self.batch_size)
        rates = optimizer.rates
        try:
            follows = self._order(epoch + 1) if epoch + 1 < self.max_iter else None
            for window in self.data.windows(self._order(epoch), at.window, follows):
                at, loss = self._train(window, at, rates)
                self._tell_part()
                if at.done == self.n_trained:
                    break
                self.within = at
                if self.verbose:
                    print(f"Iteration {epoch + 1}, {at.done} of {self.n_trained} rows")
                if self.checkpoint is not None and self.checkpoint.due():
                    self._write()
        except KeyboardInterrupt:
            self._end_epoch()
            raise
        finally:
            optimizer.rates = rates
        self.within = None
        return loss

    def _train(self, window, at, rates):
        """Train on the whole batches of a window and what was left over before it; gives where the epoch then is."""
        n_left = 0 if at.left is None else len(at.left[1])
        first = window.room - n_left
        arrays = [window.X, window.y, window.sample_weight]
        for array, left in zip(arrays, at.left or (), strict=False):
            if left is not None:
                array[first : window.room] = left
        n_rows = window.stop - first
        last = at.done + n_rows == self.n_trained
        if not last:
            n_rows -= n_rows % self.batch_size
        if window.order is None:
            rows, left = None, slice(first + n_rows, window.stop)
            arrays = [None if array is None else array[first : first + n_rows] for array in arrays]
        else:
            window.order[first : window.room] = np.arange(first, window.room)
            rows, left = window.order[first : first + n_rows], window.order[first + n_rows : window.stop]
        loss = None
        if n_rows:
            batch = at.done // self.batch_size
            self.optimizer.rates = None if rates is None else rates[batch : batch - (-n_rows // self.batch_size)]
            self.network.bind(*arrays)
            loss = self.network.epoch(
                rows, self.batch_size, self.optimizer, self.alpha, first_row=at.done, more=not last
            )
        whole = (window.X, window.y, window.sample_weight)
        left = tuple(None if array is None else array[left].copy() for array in whole)
        return _Within(at.window + 1, at.done + n_rows, left), loss

    def _end_epoch(self):
        """Let an epoch be over that was interrupted, unless it is: in the engine, where it was training."""
        X, y, rates = self.data.X, self.data.y, self.optimizer.rates
        self.optimizer.rates = None if rates is None else rates[:0]
        self.network.bind(np.zeros((1, X.shape[1]), X.dtype), np.zeros((1, *y.shape[1:]), y.dtype))
        none = np.empty(0, dtype=np.intp)
        self.network.epoch(none, self.batch_size, self.optimizer, self.alpha, first_row=self.batch_size)

    # What tells it from others

    def _description(self):
        judged = [self.data, self.validation_data] if self.early_stopping and not self.holds_out else [self.data]
        return "; ".join(data_description(array) for data in judged for array in data.telling())

    # The order of rows in a checkpoint

    def order_state(self):
        state = {"seed": self.seed, "share": self.share, "within": None}
        if self.within is not None:
            window, done, left = self.within
            loss = list(self.network.epoch_so_far) if done else [0.0, 0]
            state["within"] = {"window": window, "done": done, "left": list(left), "loss": loss}
        return state

    def set_order_state(self, state):
        self.seed, self.share, within = state["seed"], state["share"], state["within"]
        if within is not None:
            self.within = _Within(within["window"], within["done"], tuple(within["left"]))
        if self.within is not None and self.within.done:
            self.network.epoch_so_far = tuple(within["loss"])

    def check_order_state(self, state, with_values):
        seed, share, within = state["seed"], state["share"], state["within"]
        needed = self.shuffle or self.holds_out
        require(is_count(seed) if needed else seed is None, f"its seed is {seed!r}")
        require(type(share) is float and (0 < share < 1 if self.holds_out else share == 0), f"it holds {share!r} out")
        n_trained = self.n_rows - (self.data.n_held_out(seed, share) if share else 0)
        if within is None:
            return n_trained, 0
        batch = self.batch_of(n_trained)
        require(all(is_count(within[name]) for name in ("window", "done")), "it counts no windows")
        possible = within["done"] < n_trained and within["done"] % batch == 0 and within["window"] > 0
        require(possible, "it is at no place within an epoch")
        total, n_rows = within["loss"]
        require(is_number(total) and n_rows == within["done"], "it has no loss of the epoch")
        shapes = [self.data.X, self.data.y, np.empty(0) if self.data.weighted else None]
        _check_left(within["left"], shapes, most=batch - 1)
        return n_trained, 1


def _check_left(left, like, most):
    """Raise a ValueError unless these are rows that a window may have left over, of the dtypes and shapes of others."""
    require(isinstance(left, list) and len(left) == 3, "it has no rows left over")
    n_rows = len(left[1])
    require(n_rows <= most, "it has too many rows left over")
    for array, own in zip(left, like, strict=True):
        require((array is None) == (own is None), "it has other rows left over")
        if own is not None:
            fits = are_arrays([array], own.dtype.kind) and array.dtype == own.dtype
            require(fits and array.shape == (n_rows, *own.shape[1:]), "it has other rows left over")
