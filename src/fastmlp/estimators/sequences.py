"""Recurrent networks for sequences, classification and regression."""

from math import prod
from numbers import Integral
from typing import ClassVar

import numpy as np

from ..borrowed import Interval, StrOptions
from ..engine import ACTIVATIONS
from ..engine.architecture import GRU, LSTM, Dense, Inputs
from .classifier import MLPClassifier
from .fitted import Attribute
from .inputs import hidden_units
from .parameters import DOCUMENTATION, constructor
from .regressor import MLPRegressor
from .shapes import ShapedRowsMixin, axes_of
from .values import LOSS_DOCUMENTATION

__all__ = ["RecurrentClassifier", "RecurrentRegressor", "SequencesMixin"]

_CONSTRAINTS = {
    "activation": [StrOptions(set(ACTIVATIONS))],
    "cell": [StrOptions({"gru", "lstm"})],
    "dense_layer_sizes": ["array-like"],
    "bidirectional": ["boolean"],
    "output": [StrOptions({"last", "mean"})],
    "truncation": [Interval(Integral, 1, None, closed="left"), None],
    "input_shape": [tuple, list, None],
}
_POSITIONAL = {"hidden_layer_sizes": (64,), "cell": "gru"}
_BY_KEYWORD = {
    "bidirectional": False,
    "output": "last",
    "dense_layer_sizes": (),
    "activation": "relu",
    "truncation": None,
    "input_shape": None,
}
_OF_SEQUENCES = {"input_shape_": Attribute("shape", needed=True)}
_DOCUMENTATION = """\
    hidden_layer_sizes : array-like of int or int, default=(64,)
        Units of each recurrent layer; one behind another reads the states of the one before at every step.
    cell : {"gru", "lstm"}, default="gru"
        Gated recurrent units, Cho et al. (2014), or long short-term memory, Hochreiter and Schmidhuber (1997), both
        with PyTorch's formulas; docs/images-and-sequences.md has them.
    bidirectional : bool, default=False
        Read each sequence from both ends, by units of their own for each direction.
    output : {"last", "mean"}, default="last"
        What is read of the last recurrent layer: its state behind the last step, or the mean of its states.
    dense_layer_sizes : array-like of int, default=()
        Units of the dense layers behind it.
    activation : str, default="relu"
        Activation of these, as of `MLPClassifier`.
    truncation : int, default=None
        Steps of a part, in truncated backpropagation through time, Williams and Peng (1990). A sequence is cut into
        parts. States go from part to part. Deltas go back to the first step of their part. None: they go back to the
        first step of the sequence.
    input_shape : tuple of int, default=None
        (channels, length) of a row of X with two axes; of a list the length of the longest sequence that the network
        takes. None: one channel, and the longest that `fit` has."""
_SHAPE = """\
    input_shape_ : tuple of int
        (channels, length) of a row; the length is that of the longest."""
_X = """\
    X has shape (n_samples, channels, length), as in aeon and sktime, or (n_samples, channels * length), channel after
    channel, or is a list of arrays of shape (channels, length) whose lengths differ: what is behind the end of a
    sequence is not read, and takes next to no time where sequences of like lengths follow one another. A model that was
    fitted to sequences of different lengths predicts for all that are no longer than the longest of them, or than
    `input_shape` says, which cross-validation needs: a part may lack the longest. Arrays of bytes (uint8) are divided
    by 255."""


_TRAINING = DOCUMENTATION["training"].replace("min(200, n_samples)", "min(64, n_samples)")


class SequencesMixin(ShapedRowsMixin):
    """An estimator of matrices whose rows are sequences; goes before it."""

    def _check_row_shape(self, shape):
        if len(shape) > 2:
            raise ValueError(f"rows of shape {shape} are no sequences, which have (channels, length) or (length,).")

    def _hidden_units(self):
        recurrent = hidden_units(self.hidden_layer_sizes)
        dense = hidden_units(self.dense_layer_sizes, "dense_layer_sizes")
        if not recurrent:
            raise ValueError("hidden_layer_sizes must have at least one recurrent layer, got ().")
        return (*recurrent, *dense)

    def _structure(self):
        return (
            self.hidden_layer_sizes, self.cell, self.bidirectional, self.output, self.dense_layer_sizes,
            self.activation, self.truncation,
        )  # fmt: skip

    def _has_lengths(self):
        """Whether a row ends in the number of its steps."""
        # a fit takes validation data when it has found the shape of a row, but no weights yet
        return hasattr(self, "input_shape_") and self.n_features_in_ == prod(self.input_shape_) + 1

    def _make_layers(self, n_features, n_outputs):
        channels, steps = self.input_shape_ if len(self.input_shape_) == 2 else (1, *self.input_shape_)
        sizes, lengths = hidden_units(self.hidden_layer_sizes), n_features == prod(self.input_shape_) + 1
        kind = {"gru": GRU, "lstm": LSTM}[self.cell]
        made = [Inputs(channels * steps + lengths)]
        for i, units in enumerate(sizes):
            output = self.output if i == len(sizes) - 1 else "all"
            layer = kind(
                steps, channels, units, output, False, bool(self.bidirectional), lengths, truncation=self.truncation
            )
            made.append(layer)
            channels, lengths = layer.shape_out[0], lengths and "inputs"
        made += [Dense(units, self.activation) for units in hidden_units(self.dense_layer_sizes)]
        return (*made, Dense(n_outputs))

    def _as_matrix(self, X, name, fitted):
        padded = fitted and self._has_lengths()
        if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype == object:
            X = list(X)
        if isinstance(X, list | tuple) and len(X) and all(axes_of(row) == 2 for row in X):
            X = [np.asarray(row) for row in X]
            if len(channels := {len(row) for row in X}) > 1:
                raise ValueError(f"{name} has sequences of {min(channels)} and of {max(channels)} channels.")
            lengths, asked = {row.shape[1] for row in X}, None if fitted else self._longest()
            if padded or len(lengths) > 1 or (asked is not None and lengths != {asked[1]}):
                if fitted and not padded:
                    raise ValueError(f"{name} has sequences of different lengths, but fit had such of one length.")
                return self._padded(X, name, self.input_shape_ if fitted else asked)
            X = np.stack(X)
        elif isinstance(X, list | tuple) and len({np.shape(row) if axes_of(row) == 1 else None for row in X}) > 1:
            raise ValueError(f"{name} has sequences of different lengths: give each as an array (channels, length).")
        elif padded and getattr(X, "ndim", 2) == 3 and len(X):
            return self._padded(list(np.asarray(X)), name, self.input_shape_)
        return super()._as_matrix(X, name, fitted)

    def _longest(self):
        """(channels, length) that are asked for, or None."""
        shape = self._asked_shape()
        return (1, *shape) if shape is not None and len(shape) == 1 else shape

    def _padded(self, rows, name, shape):
        """Sequences as rows of one shape, that of the longest if None, with their lengths behind; and that shape."""
        lengths = [row.shape[1] for row in rows]
        shape = shape or (len(rows[0]), max(lengths))
        if len(rows[0]) != shape[0] or max(lengths) > shape[1]:
            raise ValueError(
                f"{name} has sequences of {len(rows[0])} channels and up to {max(lengths)} steps, but"
                f" {type(self).__name__} is expecting {shape[0]} channels and at most {shape[1]} steps."
            )
        if all(row.dtype == np.uint8 for row in rows):
            rows = [np.divide(row, np.float32(255), dtype=np.float32) for row in rows]
        dtype = np.result_type(np.float32, *{row.dtype for row in rows})
        padded = np.zeros((len(rows), prod(shape) + 1), dtype)
        for row, out in zip(rows, padded, strict=True):
            out[:-1].reshape(shape)[:, : row.shape[1]] = row
        padded[:, -1] = lengths
        return padded, shape

    def _shape_of_rows(self, shape, n_features):
        if shape is not None and n_features == prod(shape) + 1:
            return shape
        return super()._shape_of_rows(shape, n_features)

    def _in_shape(self, gradients, X):
        if self._has_lengths():
            return gradients[..., :-1].reshape(*gradients.shape[:-1], *self.input_shape_)
        return super()._in_shape(gradients, X)

    def integrated_gradients(self, X, *, baseline=None, target=None, raw_score=False, n_steps=50):
        if self._has_lengths():
            X, baseline = self._as_in_fit(X), self._baseline_as_in_fit(baseline)
            if np.shape(X)[1:] == (self.n_features_in_,):
                # a path keeps the number of steps, in which outputs are no continuous function
                starts = np.zeros(np.shape(X))
                starts[:, :-1] = 0 if baseline is None else np.asarray(baseline)[..., :-1]
                starts[:, -1] = np.asarray(X)[:, -1]
                baseline = starts
        return super().integrated_gradients(X, baseline=baseline, target=target, raw_score=raw_score, n_steps=n_steps)

    integrated_gradients.__doc__ = ShapedRowsMixin.integrated_gradients.__doc__


class RecurrentClassifier(SequencesMixin, MLPClassifier):
    __doc__ = f"""Recurrent network for classification of sequences: gated recurrent units, or long short-term memory.

    The neuron applied step by step, its outputs fed back to it at the next step, behind gates that say what is kept.
    Labels, losses, solvers and all controls of the training are those of `MLPClassifier`; `clip_norm` holds gradients
    through long sequences in bounds, Pascanu et al. (2013).
{_X}

    Parameters
    ----------
{_DOCUMENTATION}
{_TRAINING}
{DOCUMENTATION["classification"]}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["classes"]}
{DOCUMENTATION["attributes"]}
{_SHAPE}
{DOCUMENTATION["outputs of classes"]}

    See Also
    --------
    RecurrentRegressor : The same network for regression.
    ConvClassifier : A window that slides over a series.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import RecurrentClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=300)  # whether a wave goes fast or slow
    >>> X = [np.sin((0.5 + 0.4 * fast) * np.arange(rng.integers(8, 30)))[None] for fast in y]
    >>> model = RecurrentClassifier(16, learning_rate_init=0.01, max_iter=40, random_state=0).fit(X[:200], y[:200])
    >>> model.score(X[200:], y[200:]) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict] = MLPClassifier._parameter_constraints | _CONSTRAINTS
    _attributes: ClassVar[dict] = MLPClassifier._attributes | _OF_SEQUENCES

    __init__ = constructor(MLPClassifier, _POSITIONAL, **_BY_KEYWORD)


class RecurrentRegressor(SequencesMixin, MLPRegressor):
    __doc__ = f"""Recurrent network for regression on sequences: gated recurrent units, or long short-term memory.

    `RecurrentClassifier`'s layers with the losses of `MLPRegressor`. With the values to come as the columns of y it
    forecasts several steps at once.
{_X}

    Parameters
    ----------
    loss : str, default="squared_error"
        As of `MLPRegressor`.
{_DOCUMENTATION}
{_TRAINING}
{LOSS_DOCUMENTATION.format(training="Training is the same.", unit="")}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["attributes"]}
{_SHAPE}
{DOCUMENTATION["outputs of numbers"]}

    See Also
    --------
    RecurrentClassifier : The same network for classification.

    Examples
    --------
    A forecast of two steps from the twenty before:

    >>> import numpy as np
    >>> from fastmlp import RecurrentRegressor
    >>> wave = np.sin(np.arange(500) / 3)
    >>> windows = np.lib.stride_tricks.sliding_window_view(wave, 22)
    >>> model = RecurrentRegressor(hidden_layer_sizes=16, learning_rate_init=0.01, max_iter=60, random_state=0)
    >>> model.fit(windows[:400, :20], windows[:400, 20:]).score(windows[400:, :20], windows[400:, 20:]) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict] = MLPRegressor._parameter_constraints | _CONSTRAINTS
    _attributes: ClassVar[dict] = MLPRegressor._attributes | _OF_SEQUENCES

    __init__ = constructor(MLPRegressor, {"loss": "squared_error"} | _POSITIONAL, **_BY_KEYWORD)
