"""What networks are made of, as :class:`Network` takes it: a list that begins with :class:`Inputs` and ends with
:class:`Dense`.

Layers that read the inputs beside each other (:class:`Numbers`, :class:`Periodic`, :class:`Piecewise`,
:class:`Indicators`, :class:`Embedding`) come first, and the next layer reads their outputs as one row in the order of
the list. Without them a first `Dense` reads the numbers and, as one-hot columns, the categories.

Layers whose windows slide (:class:`Convolution`, :class:`MaxPool`, :class:`AveragePool`) read a row as planes, channel
after channel, and leave planes. Recurrent layers (:class:`GRU`, :class:`LSTM`) read a row as a sequence of as many
steps as a channel has. :class:`LayerNorm` and :class:`Residual` leave the shape that they read.
"""

from math import prod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "GRU",
    "LSTM",
    "Augmentation",
    "AveragePool",
    "Convolution",
    "Dense",
    "Embedding",
    "Indicators",
    "Inputs",
    "LayerNorm",
    "MaxPool",
    "Numbers",
    "Parametric",
    "Periodic",
    "Piecewise",
    "Residual",
    "Scale",
]

MAX_SIDE = 0x7FFFFFFF


class Shape(NamedTuple):
    """A parameter's name, shape and group, and whether it shrinks: by weight decay and by the L2 penalty."""

    name: str
    rows: int
    columns: int
    group: str
    shrinks: bool

    @property
    def of_array(self):
        """The shape of the array: what does not shrink is a vector."""
        return (self.rows, self.columns) if self.shrinks else (self.columns,)


class Place(NamedTuple):
    """A layer in its network: what it reads and leaves, and its parameters.

    Layers that stand beside each other leave their outputs in one trace: `shared` is the first of them, `at` the column
    where this one's outputs begin.
    """

    layer: Any
    n_in: int
    n_out: int
    shared: int
    at: int
    reads_codes: bool
    parameters: list[Shape]


def has_units(layer):
    """Whether a layer has units: weighted sums, each with a bias."""
    return isinstance(layer, Dense | Convolution | GRU | LSTM)


def has_weights(layer):
    """Whether a layer has weights and biases; those of a normalisation are a factor and a shift of each channel."""
    return has_units(layer) or isinstance(layer, LayerNorm)


def weight_shapes(layers):
    """Shapes of weights, and numbers of biases, of each layer that has them, of a network's inputs and layers."""
    found = [place.parameters for place in places(layers[0], layers[1:]) if has_weights(place.layer)]
    return [(weights.of_array, biases.columns) for weights, biases in found]


def sources(inputs, layers):
    """Of each residual connection, by its number among the layers, the layer whose outputs it adds; -1: the inputs.

    Raises
    ------
    ValueError
        If there is no such output, or one of another size.
    """
    # of layers beside each other the last stands for all
    ends, widths, found = [-1], [inputs.n_features], {}
    for i, place in enumerate(places(inputs, layers)):
        if isinstance(place.layer, Residual):
            n = place.layer.layers
            if not (isinstance(n, Integral) and 1 <= n < len(ends)):
                raise ValueError(f"{place.layer}: layers is an integer from 1 to {len(ends) - 1}, the layers before")
            if widths[-1 - n] != place.n_out:
                raise ValueError(f"{place.layer}: adds {widths[-1 - n]} numbers to {place.n_out}")
            found[i] = ends[-1 - n]
        if place.shared == i:
            ends.append(i)
            widths.append(0)
        ends[-1], widths[-1] = i, place.at + place.n_out
    return found


def places(inputs, layers):
    """Each layer's :class:`Place`."""
    found, n_in, shared, at = [], inputs.n_features, 0, 0
    for i, layer in enumerate(layers):
        if not layer.beside or i == 0:
            if i > 0:
                n_in = found[-1].at + found[-1].n_out
            shared, at = i, 0
        reads_codes = i == 0 and bool(inputs.levels) and not layer.beside
        n_out = layer.outputs(n_in, inputs)
        parameters = layer.parameters(n_in, inputs, reads_codes)
        found.append(Place(layer, n_in, n_out, shared, at, reads_codes, parameters))
        at += n_out
    return found


class Inputs(NamedTuple):
    """What a row of the data has.

    Parameters
    ----------
    n_features : int
        Numbers.
    levels : tuple of int, default=()
        Levels of each category: its codes go from 0 to levels - 1. A negative code stands for no level.
    """

    n_features: int
    levels: tuple[int, ...] = ()

    def numbers(self, columns):
        """The range of all numeric columns, or `columns` itself."""
        return _within(range(self.n_features), columns, "numbers")

    def categories(self, columns):
        """The range of all categories, or `columns` itself."""
        return _within(range(len(self.levels)), columns, "categories")


def _within(all_of_them, columns, name):
    if columns is None:
        columns = all_of_them
    if not isinstance(columns, range) or columns.step != 1 or not len(columns):
        raise ValueError(f"columns={columns!r}: a range of the {len(all_of_them)} {name}, of one or more")
    if columns[0] < 0 or columns[-1] not in all_of_them:
        raise ValueError(f"columns={columns!r}: there are {len(all_of_them)} {name}")
    return columns


class Dense(NamedTuple):
    """f(x W + b).

    Parameters
    ----------
    units : int
        Outputs.
    activation : str, default="identity"
        f, of ``ACTIVATIONS``; "identity" for the last layer, whose activation the loss brings along.
    weights, biases : str, default="weights", "biases"
        Groups of W (n_inputs, units) and b (units,).
    """

    units: int
    activation: str = "identity"
    weights: str = "weights"
    biases: str = "biases"

    beside = False

    def outputs(self, n_in, inputs):
        return self.units

    def multiply_adds(self, n_in, inputs):
        return n_in * self.units

    def parameters(self, n_in, inputs, codes):
        rows = n_in + (sum(inputs.levels) if codes else 0)
        return [
            Shape("coefs", rows, self.units, self.weights, True),
            Shape("intercepts", 1, self.units, self.biases, False),
        ]


class Scale(NamedTuple):
    """x s with a learned factor s for each column, 1 at first; Holzmüller et al. (2024), "Better by default".

    Parameters
    ----------
    group : str, default="scales"
        Group of s (n_inputs,).
    """

    group: str = "scales"

    beside = False

    def outputs(self, n_in, inputs):
        return n_in

    def multiply_adds(self, n_in, inputs):
        return n_in

    def parameters(self, n_in, inputs, codes):
        return [Shape("scales", 1, n_in, self.group, False)]


class LayerNorm(NamedTuple):
    """f(s u + b), u the numbers of a row less their mean, divided by their standard deviation.

    Ba, Kiros and Hinton (2016), "Layer normalization". With one axis these are the formulas of PyTorch's ``LayerNorm``,
    with several those of its ``GroupNorm`` with one group, Wu and He (2018)::

        u = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon)

    Parameters
    ----------
    shape : tuple of int
        Units, or channels, height and width of the input. The mean is over all of a row.
    activation : str, default="identity"
        f, of ``ACTIVATIONS``.
    epsilon : float, default=1e-5
    weights, biases : str, default="scales", "biases"
        Groups of s and b (units or channels,), 1 and 0 at first.
    """

    shape: tuple[int, ...]
    activation: str = "identity"
    epsilon: float = 1e-5
    weights: str = "scales"
    biases: str = "biases"

    beside = False

    @property
    def reads(self):
        """Numbers of a row of the input."""
        if not (isinstance(self.epsilon, Real) and 0 < self.epsilon < float("inf")):
            raise ValueError(f"epsilon={self.epsilon!r}: a number > 0")
        return _size_of(self)

    @property
    def shape_out(self):
        """The shape of the output, which is that of the input."""
        return self.shape

    outputs = Scale.outputs

    def multiply_adds(self, n_in, inputs):
        return 4 * n_in

    def parameters(self, n_in, inputs, codes):
        _size_of(self)
        return [
            Shape("coefs", 1, self.shape[0], self.weights, False),
            Shape("intercepts", 1, self.shape[0], self.biases, False),
        ]


class Residual(NamedTuple):
    """f(x + y), y what an earlier layer leaves, or the numbers of the input: a connection past some layers.

    He et al. (2016), "Deep residual learning for image recognition".

    Parameters
    ----------
    shape : tuple of int
        Units, or channels, height and width, of the input and of y.
    layers : int, default=2
        How many layers the connection goes past: y is what the first of them reads. Layers that read the inputs beside
        each other count as one.
    activation : str, default="identity"
        f, of ``ACTIVATIONS``.
    """

    shape: tuple[int, ...]
    layers: int = 2
    activation: str = "identity"

    beside = False

    @property
    def reads(self):
        """Numbers of a row of the input."""
        return _size_of(self)

    shape_out = LayerNorm.shape_out
    outputs = Scale.outputs
    multiply_adds = Scale.multiply_adds

    def parameters(self, n_in, inputs, codes):
        return []


def _size_of(layer):
    """Numbers of a row of a shape."""
    shape = layer.shape
    if not (
        isinstance(shape, tuple)
        and len(shape) in (1, 3)
        and all(isinstance(n, Integral) and 1 <= n <= MAX_SIDE for n in shape)
    ):
        raise ValueError(f"shape={shape!r}: (units,) or (channels, height, width), each from 1 to {MAX_SIDE}")
    return prod(shape)


class Parametric(NamedTuple):
    """x + a (f(x) - x) with a learned a for each unit; Holzmüller et al. (2024), "Better by default".

    Parameters
    ----------
    activation : str
        f, of ``ACTIVATIONS``.
    group : str, default="activations"
        Group of a (n_inputs,).
    """

    activation: str
    group: str = "activations"

    beside = False

    outputs = Scale.outputs
    multiply_adds = Scale.multiply_adds

    def parameters(self, n_in, inputs, codes):
        return [Shape("activations", 1, n_in, self.group, False)]


class Numbers(NamedTuple):
    """Numeric columns as they are.

    Parameters
    ----------
    columns : range, default=None
        Which of the numeric columns; None: all.
    """

    columns: range | None = None

    beside = True

    def outputs(self, n_in, inputs):
        return len(inputs.numbers(self.columns))

    def multiply_adds(self, n_in, inputs):
        return 0

    def parameters(self, n_in, inputs, codes):
        return []


class Periodic(NamedTuple):
    """V cos(2 pi w x + b) + c of each numeric column x, an embedding of `width` numbers.

    Gorishniy et al. (2022), "On embeddings for numerical features in tabular deep learning"; with a bias in place of
    the sine Holzmüller et al. (2024), "Better by default".

    Parameters
    ----------
    columns : range, default=None
        Which of the numeric columns; None: all.
    frequencies : int, default=16
        Length of w and b.
    width : int, default=3
        Numbers for each column.
    group : str, default="numeric embeddings"
        Group of the parameter (n_columns, 2 frequencies + frequencies * width + width): a row has w, b, V, whose shape
        is (width, frequencies), and c.
    """

    columns: range | None = None
    frequencies: int = 16
    width: int = 3
    group: str = "numeric embeddings"

    beside = True

    def outputs(self, n_in, inputs):
        return len(inputs.numbers(self.columns)) * self.width

    def multiply_adds(self, n_in, inputs):
        # a cosine takes about as long as 16 multiply-adds
        return len(inputs.numbers(self.columns)) * self.frequencies * (16 + self.width)

    def parameters(self, n_in, inputs, codes):
        k, width = self.frequencies, self.width
        return [Shape("periodic", len(inputs.numbers(self.columns)), 2 * k + k * width + width, self.group, True)]


class Piecewise(NamedTuple):
    """w x + b + V e(x) of each numeric column x, e(x) its piecewise-linear encoding: an embedding of `width` numbers.

    The t-th of e is (x - edges[t]) / (edges[t + 1] - edges[t]), from below held at 0 except in the first bin and from
    above at 1 except in the last. Gorishniy et al. (2022), "On embeddings for numerical features in tabular deep
    learning"; the linear part is that of version "B" of Gorishniy et al. (2024), "TabM".

    Parameters
    ----------
    edges : array-like of shape (n_columns, n_bins + 1)
        Edges of the bins, ascending; a column of fewer bins repeats infinity behind its last edge.
    columns : range, default=None
        Which of the numeric columns; None: all.
    width : int, default=16
        Numbers for each column.
    group : str, default="numeric embeddings"
        Group of the parameter (n_columns, 2 width + n_bins * width): a row has w, b and V, whose shape is
        (n_bins, width).
    """

    edges: Any
    columns: range | None = None
    width: int = 16
    group: str = "numeric embeddings"

    beside = True

    def outputs(self, n_in, inputs):
        return len(inputs.numbers(self.columns)) * self.width

    def multiply_adds(self, n_in, inputs):
        return len(inputs.numbers(self.columns)) * self.width * (1 + (self._bins() + 1) // 2)

    def parameters(self, n_in, inputs, codes):
        columns = (2 + self._bins()) * self.width
        return [Shape("piecewise", len(inputs.numbers(self.columns)), columns, self.group, True)]

    def _bins(self):
        shape = np.shape(self.edges)
        if len(shape) != 2 or shape[1] < 2:
            raise ValueError(f"edges: shape (n_columns, n_bins + 1), not {shape}")
        return shape[1] - 1


class Indicators(NamedTuple):
    """A column for each level of some categories: one constant where the row has it, another where it has not.

    Parameters
    ----------
    on, off : array-like of shape (n_levels,)
        The constants, levels of all the categories one after another.
    columns : range, default=None
        Which of the categories; None: all.
    """

    on: Any
    off: Any
    columns: range | None = None

    beside = True

    def outputs(self, n_in, inputs):
        return sum(inputs.levels[c] for c in inputs.categories(self.columns))

    def multiply_adds(self, n_in, inputs):
        return 0

    def parameters(self, n_in, inputs, codes):
        return []


class Embedding(NamedTuple):
    """A learned vector for each level of some categories; zeros where a row has no level.

    Parameters
    ----------
    width : int
        Length of the vectors.
    columns : range, default=None
        Which of the categories; None: all.
    group : str, default="embeddings"
        Group of the parameter (n_levels, width), which has the levels of all the categories one after another.
    """

    width: int
    columns: range | None = None
    group: str = "embeddings"

    beside = True

    def outputs(self, n_in, inputs):
        return len(inputs.categories(self.columns)) * self.width

    def multiply_adds(self, n_in, inputs):
        return 0

    def parameters(self, n_in, inputs, codes):
        levels = sum(inputs.levels[c] for c in inputs.categories(self.columns))
        return [Shape("embeddings", levels, self.width, self.group, True)]


class Window(NamedTuple):
    """How a window moves over planes of (height, width), the shape of what it leaves, and zeros around the planes.

    Each field has two numbers, of rows and of columns. Zeros `before` the planes are above and to the left, those
    `after` them below and to the right.
    """

    out: tuple[int, int]
    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]


def _two(layer, name):
    """Two numbers, of rows and of columns."""
    values = getattr(layer, name)
    if not (
        isinstance(values, tuple)
        and len(values) == 2
        and all(isinstance(n, Integral) and 1 <= n <= MAX_SIDE for n in values)
    ):
        raise ValueError(f"{name}={values!r}: two integers, from 1 to {MAX_SIDE}")
    return values


def _checked_shape(layer):
    shape = layer.shape
    if not (
        isinstance(shape, tuple)
        and len(shape) == 3
        and all(isinstance(n, Integral) and 1 <= n <= MAX_SIDE for n in shape)
    ):
        raise ValueError(f"shape={shape!r}: (channels, height, width), each from 1 to {MAX_SIDE}")


def _window(layer, stride, dilation=(1, 1), before=(0, 0), after=(0, 0)):
    """A layer's window, refused where it does not fit the planes."""
    _checked_shape(layer)
    size, out = _two(layer, "size"), []
    for axis in range(2):
        reach = (size[axis] - 1) * dilation[axis] + 1
        room = layer.shape[1 + axis] + before[axis] + after[axis]
        if reach > room:
            raise ValueError(f"size={size}: the window reaches over {reach} of {room}, shape={layer.shape}")
        out.append((room - reach) // stride[axis] + 1)
    return Window(tuple(out), size, stride, dilation, before, after)


class Convolution(NamedTuple):
    """f(w * x + b): each output channel a weighted sum of what a window sees of the input channels, at each place.

    LeCun et al. (1989), "Backpropagation applied to handwritten zip code recognition"; the sum is a cross-correlation,
    as frameworks have it.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of the input; a sequence has height 1.
    channels : int
        Output channels.
    size : tuple of int
        Height and width of the window.
    activation : str, default="identity"
        f, of ``ACTIVATIONS``.
    stride : tuple of int, default=(1, 1)
        Rows and columns from one place of the window to the next.
    padding : "valid", "same" or tuple of int, default="valid"
        Zeros above, to the left, below and to the right of the input. "valid": none. "same": as many as make the output
        ceil(input / stride) high and wide, an odd one below or to the right.
    dilation : tuple of int, default=(1, 1)
        Rows and columns from one element of the window to the next.
    groups : int, default=1
        Groups of channels: each output channel sees the input channels of its group alone. As many groups as input
        channels: a depthwise convolution.
    weights, biases : str, default="weights", "biases"
        Groups of the parameters W (channels in a group of the input * height * width of the window, channels) and
        b (channels,).
    """

    shape: tuple[int, int, int]
    channels: int
    size: tuple[int, int]
    activation: str = "identity"
    stride: tuple[int, int] = (1, 1)
    padding: Any = "valid"
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weights: str = "weights"
    biases: str = "biases"

    beside = False

    @property
    def window(self):
        """The :class:`Window`."""
        _checked_shape(self)
        stride, dilation, size = _two(self, "stride"), _two(self, "dilation"), _two(self, "size")
        if not (isinstance(self.channels, Integral) and 1 <= self.channels <= MAX_SIDE):
            raise ValueError(f"channels={self.channels!r}: an integer from 1 to {MAX_SIDE}")
        if not (
            isinstance(self.groups, Integral)
            and self.groups >= 1
            and self.shape[0] % self.groups == 0 == self.channels % self.groups
        ):
            raise ValueError(f"groups={self.groups!r}: divides {self.shape[0]} input channels and {self.channels}")
        if self.padding == "valid":
            sides = (0, 0, 0, 0)
        elif self.padding == "same":
            lacking = [
                max(0, (-(-n // step) - 1) * step + (k - 1) * apart + 1 - n)
                for n, k, step, apart in zip(self.shape[1:], size, stride, dilation, strict=True)
            ]
            sides = (*(n // 2 for n in lacking), *(n - n // 2 for n in lacking))
        else:
            sides = self.padding
            if not (
                isinstance(sides, tuple)
                and len(sides) == 4
                and all(isinstance(n, Integral) and 0 <= n <= MAX_SIDE for n in sides)
            ):
                raise ValueError(f'padding={sides!r}: "valid", "same", or four integers, not negative')
        return _window(self, stride, dilation, sides[:2], sides[2:])

    @property
    def reads(self):
        """Numbers of a row of the input."""
        return prod(self.shape)

    @property
    def shape_out(self):
        """Channels, height and width of the output."""
        return (self.channels, *self.window.out)

    @property
    def depth(self):
        """Elements that a sum runs over."""
        return self.shape[0] // self.groups * prod(self.size)

    def outputs(self, n_in, inputs):
        return prod(self.shape_out)

    def multiply_adds(self, n_in, inputs):
        return self.depth * prod(self.shape_out)

    def parameters(self, n_in, inputs, codes):
        return [
            Shape("coefs", self.depth, self.channels, self.weights, True),
            Shape("intercepts", 1, self.channels, self.biases, False),
        ]


class MaxPool(NamedTuple):
    """The greatest of what a window sees of each channel, at each place; NaN counts as the greatest.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of the input.
    size : tuple of int
        Height and width of the window.
    stride : tuple of int, default=None
        Rows and columns from one place of the window to the next; None: its size. Rows and columns that no whole
        window reaches are left out.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    stride: tuple[int, int] | None = None

    beside = False

    @property
    def window(self):
        """The :class:`Window`."""
        return _window(self, _two(self, "size" if self.stride is None else "stride"))

    reads = Convolution.reads

    @property
    def shape_out(self):
        """Channels, height and width of the output."""
        return (self.shape[0], *self.window.out)

    def outputs(self, n_in, inputs):
        return prod(self.shape_out)

    def multiply_adds(self, n_in, inputs):
        return prod(self.shape_out) * prod(self.size)

    def parameters(self, n_in, inputs, codes):
        return []


class AveragePool(NamedTuple):
    """The mean of what a window sees of each channel, at each place.

    Parameters
    ----------
    shape, size, stride
        As of :class:`MaxPool`. A window of the planes' size leaves one number of each channel: global pooling.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    stride: tuple[int, int] | None = None

    beside = False

    window = MaxPool.window
    reads = MaxPool.reads
    shape_out = MaxPool.shape_out
    outputs = MaxPool.outputs
    multiply_adds = MaxPool.multiply_adds
    parameters = MaxPool.parameters


class Augmentation(NamedTuple):
    """How rows of planes are changed in training, drawn anew for each row in each epoch.

    What is drawn is a function of the seed, the update and the row's place in the epoch alone, as of dropout.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of a row; a sequence has height 1.
    shift : tuple of int, default=(0, 0)
        The most rows and columns by which planes are moved, up or down and left or right: 0 comes in where they leave
        a gap, as of a crop from planes with zeros around them.
    flip : tuple of bool, default=(False, False)
        Whether half of the rows are turned upside down, and half mirrored.
    noise : float, default=0.0
        Standard deviation of normal numbers that are added.
    """

    shape: tuple[int, int, int]
    shift: tuple[int, int] = (0, 0)
    flip: tuple[bool, bool] = (False, False)
    noise: float = 0.0

    @property
    def size(self):
        """Numbers of a row.

        Raises
        ------
        ValueError
            If this is no augmentation.
        """
        _checked_shape(self)
        sides = self.shape[1:]
        if len(self.shift) != 2 or not all(
            isinstance(n, Integral) and 0 <= n < min(side, 1 << 15) for n, side in zip(self.shift, sides, strict=False)
        ):
            raise ValueError(f"shift={self.shift!r}: two numbers from 0 to less than the height and the width, {sides}")
        if not all(isinstance(flip, bool) for flip in self.flip) or len(self.flip) != 2:
            raise ValueError(f"flip={self.flip!r}: two of True or False")
        if not (isinstance(self.noise, Real) and 0 <= self.noise < float("inf")):
            raise ValueError(f"noise={self.noise!r}: a number that is not negative")
        return prod(self.shape)


OUTPUTS = ("last", "mean", "all")


class GRU(NamedTuple):
    """Gated recurrent units, which read a sequence step by step: states h, 0 before the first step.

    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    with the reset behind the product, as PyTorch has it::

        r = logistic(x W_r + h U_r + b_r)               h' = (1 - z) n + z h
        z = logistic(x W_z + h U_z + b_z)
        n = tanh(x W_n + b_n + r (h U_n + c_n))

    Parameters
    ----------
    steps : int
        Steps of a sequence. A row of the input has each channel's values at all steps, channel after channel.
    channels : int
        Values at each step.
    units : int
        Length of h.
    output : {"last", "mean", "all"}, default="last"
        What the layer leaves: h behind the last step, the mean of h over the steps, or h at each step, units as
        channels.
    reverse : bool, default=False
        Take the steps from the last to the first.
    bidirectional : bool, default=False
        Take them in both directions, each with parameters of its own; outputs of the second follow those of the first.
    lengths : bool or "inputs", default=False
        A row of the input has one number more at its end, how many of its steps there are: all if it is larger, none if
        it is below 1, whole ones in between. What stands behind them is not read; outputs of "all" are 0 there. A row
        without a step leaves 0, a length that is NaN leaves NaN. "inputs": the network's input ends in the number of
        steps, for layers that read what another one leaves.
    truncation : int, default=None
        Steps of a part, in truncated backpropagation through time, Williams and Peng (1990). A sequence is cut into
        parts in the order in which its steps are taken. Deltas go back to the first step of their part. None: they go
        back to the first step of the sequence.
    weights, biases : str, default="weights", "biases"
        Groups of the parameters. Weights (channels + units, 3 units) have the columns of r, z and n, W above U; biases
        (4 units,) are b_r, b_z, b_n and c_n, b_r and b_z the sums of the two that PyTorch has. Those of the second
        direction follow in further columns.
    """

    steps: int
    channels: int
    units: int
    output: str = "last"
    reverse: bool = False
    bidirectional: bool = False
    lengths: bool | str = False
    truncation: int | None = None
    weights: str = "weights"
    biases: str = "biases"

    beside = False
    gates = 3
    functions = 3

    @property
    def reads(self):
        """Numbers of a row of the input."""
        for name in ("steps", "channels"):
            n = getattr(self, name)
            if not (isinstance(n, Integral) and 1 <= n <= MAX_SIDE):
                raise ValueError(f"{name}={n!r}: an integer from 1 to {MAX_SIDE}")
        if self.output not in OUTPUTS:
            raise ValueError(f"output={self.output!r}: one of {OUTPUTS}")
        if self.reverse and self.bidirectional:
            raise ValueError("reverse=True: of one direction, not with bidirectional=True")
        if self.lengths not in (False, True, "inputs"):
            raise ValueError(f'lengths={self.lengths!r}: False, True or "inputs"')
        if not (self.truncation is None or (isinstance(self.truncation, Integral) and self.truncation >= 1)):
            raise ValueError(f"truncation={self.truncation!r}: an integer of 1 or more, or None")
        return self.channels * self.steps + (self.lengths is True)

    @property
    def shape_out(self):
        """Channels and steps of the output."""
        return ((1 + self.bidirectional) * self.units, self.steps if self.output == "all" else 1)

    def outputs(self, n_in, inputs):
        return prod(self.shape_out) if self.reads else 0

    def multiply_adds(self, n_in, inputs):
        # a function of a gate takes about as long as 16 multiply-adds
        each = self.gates * (self.channels + self.units) + 16 * self.functions
        return (1 + self.bidirectional) * self.steps * self.units * each

    def parameters(self, n_in, inputs, codes):
        units = (1 + self.bidirectional) * self.units
        return [
            Shape("coefs", self.channels + self.units, self.gates * units, self.weights, True),
            Shape("intercepts", 1, 4 * units, self.biases, False),
        ]


class LSTM(NamedTuple):
    """Long short-term memory, which reads a sequence step by step: states h and cells c, 0 before the first step.

    Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget gate of Gers et al. (2000), as PyTorch
    has it::

        i = logistic(x W_i + h U_i + b_i)               c' = f c + i g
        f = logistic(x W_f + h U_f + b_f)               h' = o tanh(c')
        g = tanh(x W_g + h U_g + b_g)
        o = logistic(x W_o + h U_o + b_o)

    Parameters
    ----------
    steps, channels, units, output, reverse, bidirectional, lengths, truncation
        As of :class:`GRU`.
    weights, biases : str, default="weights", "biases"
        Groups of the parameters. Weights (channels + units, 4 units) have the columns of i, f, g and o, W above U;
        biases (4 units,) are the sums of the two that PyTorch has. Those of the second direction follow in further
        columns.
    """

    steps: int
    channels: int
    units: int
    output: str = "last"
    reverse: bool = False
    bidirectional: bool = False
    lengths: bool | str = False
    truncation: int | None = None
    weights: str = "weights"
    biases: str = "biases"

    beside = False
    gates = 4
    functions = 5

    reads = GRU.reads
    shape_out = GRU.shape_out
    outputs = GRU.outputs
    multiply_adds = GRU.multiply_adds
    parameters = GRU.parameters
