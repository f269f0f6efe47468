"""Images and series: their shapes, and the layers of a convolutional network for them."""

from math import prod
from numbers import Integral
from typing import Any

from ..engine import ACTIVATIONS
from ..engine.architecture import (
    Augmentation,
    AveragePool,
    Convolution,
    Dense,
    Inputs,
    LayerNorm,
    MaxPool,
    Residual,
    sources,
)
from ..training.arrays import for_each
from .parameters import did_you_mean
from .shapes import ShapedRowsMixin

__all__ = ["PLANES_DOCUMENTATION", "PlanesMixin", "layers_for", "planes_of"]

PLANES_DOCUMENTATION = """\
    layers : list of tuple or "auto", default="auto"
        The hidden layers, each a name, numbers and, at the end, a dict of options, if any:

        - ``("conv", channels, size)``: a convolution with a window of size x size, 3 if left out, bias and activation.
          Options: "stride" (1), "padding" ("same": zeros around the planes, so that with stride 1 the outputs are as
          large as the inputs; "valid": none), "dilation" (1), "groups" (1; as many as input channels is depthwise),
          "activation".
        - ``("pool", size)``: the greatest of each window, 2 if left out; option "stride" (the size).
        - ``("average_pool", size)``: the mean, likewise. ``("global_pool",)``: the mean of each channel.
        - ``("dense", units)``: a dense layer; option "activation".
        - ``("norm",)``: layer normalisation, Ba, Kiros and Hinton (2016): the numbers of a row less their mean, divided
          by their standard deviation, times a factor plus a shift of each channel or unit. Option "activation"
          ("identity").
        - ``("residual", layers)``: a connection past this number of layers, 2 if left out, He et al. (2016). The input
          of the first of them is added. It has the shape of the output of the last. Option "activation" ("identity").

        A size, stride or dilation is one number for height and width, or a tuple of two; of series it is that along the
        time. "auto" is ``[("conv", 32, 3), ("pool", 2), ("conv", 64, 3), ("pool", 2), ("dense", 128)]`` for images,
        without the pools for which planes are too small, and three convolutions of 64 channels with windows of 7 and
        a global pool for series, as Wang, Yan and Oates (2017) have them, without their batch normalisation.
    activation : str or array-like of str, default="relu"
        Activation of the hidden layers that have weights, or one for each of them, as of `MLPClassifier`.
    data : {"images", "series"}, default="images"
        What rows are. X of three axes has shape (n_samples, height, width) for images and (n_samples, channels, length)
        for series; X of two axes without `input_shape` is a series of one channel in any case.
    input_shape : tuple of int, default=None
        Shape of a row of X with two axes: (height, width) or (channels, height, width), for series (channels, length)
        or (length,). None: as X has it.
    augmentation : dict, default=None
        How each row is changed before it is trained on, anew in each epoch; what is drawn is a function of the seed,
        the update and the row's place in the epoch alone, as of dropout. Keys:

        - "shift": the most rows and columns by which planes are moved, one number or two, 0 coming in where they leave
          a gap; of series the most steps. It is the random crop from planes with zeros around them, He et al. (2016).
        - "flip": "horizontal", "vertical" or "both": half of the rows are mirrored, or turned upside down, or each of
          both by itself. "horizontal" turns the time of series round.
        - "noise": standard deviation of normal numbers that are added.

        Rows to validate or to predict are left as they are, and L-BFGS trains on all rows as they are."""

# Whether planes are turned upside down, and mirrored
_FLIPS = {"horizontal": (False, True), "vertical": (True, False), "both": (True, True)}
_SHAPES = {"images": "(height, width) or (channels, height, width)", "series": "(length,) or (channels, length)"}


def planes_of(shape, data):
    """(channels, height, width) of a row of some shape."""
    if len(shape) == 1:
        return 1, 1, shape[0]
    if data == "series" and len(shape) == 2:
        return shape[0], 1, shape[1]
    if data == "images" and len(shape) in (2, 3):
        return (1, *shape) if len(shape) == 2 else tuple(shape)
    raise ValueError(f"rows of shape {shape} are no {data}, which have {_SHAPES[data]}.")


def _default_layers(shape, data):
    if data == "series":
        return [("conv", 64, 7), ("conv", 64, 7), ("conv", 64, 7), ("global_pool",)]
    layers, smaller = [], min(shape[1:]) if shape[1] > 1 else shape[2]
    for channels in (32, 64):
        layers.append(("conv", channels, 3))
        if smaller >= 4:
            layers.append(("pool", 2))
            smaller //= 2
    return [*layers, ("dense", 128)]


def _along_axes(value, shape, name, entry):
    """A size as two numbers; one number serves each axis along which planes are longer than 1."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = tuple(int(value) if n > 1 else 1 for n in shape[1:])
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(n, Integral) for n in value):
        return tuple(map(int, value))
    raise ValueError(f"layers has {entry!r}: {name} must be an integer or two, got {value!r}.")


# What an entry may have behind its name: the numbers, with their defaults (None: there is none), and the options
_ENTRIES: dict[str, tuple[tuple[Any, ...], tuple[str, ...]]] = {
    "conv": ((None, 3), ("stride", "padding", "dilation", "groups", "activation")),
    "pool": ((2,), ("stride",)),
    "average_pool": ((2,), ("stride",)),
    "global_pool": ((), ()),
    "dense": ((None,), ("activation",)),
    "norm": ((), ("activation",)),
    "residual": ((2,), ("activation",)),
}
_NUMBERS = {
    "conv": "channels and a size",
    "pool": "a size",
    "average_pool": "a size",
    "dense": "units",
    "residual": "a number of layers",
}
_WEIGHTED = ("conv", "dense")  # whose first number is how many units they have


def _read(entry):
    """An entry's name, its numbers and its options."""
    known = ", ".join(map(repr, _ENTRIES))
    if not isinstance(entry, tuple | list) or not entry or not isinstance(entry[0], str):
        raise ValueError(f"layers has {entry!r}: an entry is a tuple that begins with one of {known}.")
    name, *rest = entry
    if name not in _ENTRIES:
        raise ValueError(f"layers has {entry!r}: {name!r} is none of {known}{did_you_mean(name, _ENTRIES)}")
    defaults, possible = _ENTRIES[name]
    options = rest.pop() if rest and isinstance(rest[-1], dict) else {}
    for option in options:
        if option not in possible:
            has = f"has the options {', '.join(possible)}" if possible else "has no options"
            raise ValueError(f"layers has {entry!r}: {name!r} {has}, not {option!r}.")
    if len(rest) > len(defaults) or any(value is None for value in defaults[len(rest) :]):
        numbers = _NUMBERS.get(name, "nothing")
        raise ValueError(f"layers has {entry!r}: behind {name!r} stands {numbers}.")
    return name, [*rest, *defaults[len(rest) :]], options


def hidden_units_of(layers):
    """Channels and units of the entries that have weights."""
    if not isinstance(layers, tuple | list):
        raise ValueError(f'layers must be a list of tuples or "auto", got {layers!r}.')
    units = []
    for entry in layers:
        name, numbers, _ = _read(entry)
        if name in _WEIGHTED:
            if not isinstance(numbers[0], Integral) or isinstance(numbers[0], bool) or numbers[0] < 1:
                raise ValueError(f"layers has {entry!r}: {numbers[0]!r} must be an integer > 0.")
            units.append(int(numbers[0]))
    return tuple(units)


def layers_for(entries, activation, shape, n_outputs):
    """The engine's layers.

    Parameters
    ----------
    entries : list of tuple
        As the parameter `layers` has them.
    activation : str or sequence of str
        Of each entry with weights that has none of its own.
    shape : tuple of int
        Channels, height and width of a row.
    n_outputs : int

    Returns
    -------
    layers : tuple
        Inputs and layers, as `Network` takes them.

    Raises
    ------
    ValueError
        That names the entry.
    """
    activations = iter(for_each(activation, len(hidden_units_of(entries))))
    made: list[Any] = [Inputs(prod(shape))]
    for entry in entries:
        name, numbers, options = _read(entry)
        own = options.get("activation", next(activations) if name in _WEIGHTED else "identity")
        if own not in tuple(ACTIVATIONS):
            raise ValueError(f"layers has {entry!r}: {own!r} is none of {', '.join(sorted(ACTIVATIONS))}.")
        if name not in ("dense", "norm", "residual") and len(shape) == 1:
            raise ValueError(f"layers has {entry!r} behind a dense layer, which leaves no planes.")
        try:
            layer = _layer(entry, name, numbers, options, own, shape)
            shape = (layer.units,) if name == "dense" else layer.shape_out
            if name == "residual":
                sources(made[0], [*made[1:], layer])
        except ValueError as error:
            prefix = "" if str(error).startswith("layers has") else f"layers has {entry!r}: "
            raise ValueError(f"{prefix}{error}") from error
        made.append(layer)
    return (*made, Dense(n_outputs))


def _layer(entry, name, numbers, options, activation, shape):
    """The engine's layer of an entry that reads a shape."""
    if name == "dense":
        return Dense(int(numbers[0]), activation)
    if name == "norm":
        return LayerNorm(shape, activation)
    if name == "residual":
        return Residual(shape, numbers[0], activation)
    if name == "global_pool":
        return AveragePool(shape, shape[1:])
    size = _along_axes(numbers[-1], shape, "the size", entry)
    if name == "conv":
        stride, dilation = (_along_axes(options.get(o, 1), shape, o, entry) for o in ("stride", "dilation"))
        padding, groups = options.get("padding", "same"), options.get("groups", 1)
        return Convolution(shape, int(numbers[0]), size, activation, stride, padding, dilation, groups)
    stride = _along_axes(options["stride"], shape, "stride", entry) if "stride" in options else None
    return (MaxPool if name == "pool" else AveragePool)(shape, size, stride)


class PlanesMixin(ShapedRowsMixin):
    """An estimator of matrices whose rows are planes; goes before it."""

    def _check_row_shape(self, shape):
        planes_of(shape, self.data)

    def _entries(self, shape):
        if isinstance(self.layers, str):
            if self.layers != "auto":
                raise ValueError(f'layers must be a list of tuples or "auto", got {self.layers!r}.')
            return _default_layers(shape, self.data)
        return self.layers

    def _hidden_units(self):
        return hidden_units_of(self._entries((1, 1, 1)))  # their number does not depend on the shape

    def _structure(self):
        return self.layers, self.activation, self.data

    def _augmentation(self):
        if not self.augmentation:
            return None
        given, shape = dict(self.augmentation), planes_of(self.input_shape_, self.data)
        shift, flip, noise = given.pop("shift", 0), given.pop("flip", None), given.pop("noise", 0.0)
        try:
            if given:
                raise ValueError(f"{next(iter(given))!r} is none of 'shift', 'flip', 'noise'")
            if flip not in (None, *_FLIPS):
                raise ValueError(f"flip={flip!r} is none of {', '.join(map(repr, _FLIPS))}")
            if isinstance(shift, Integral):
                shift = tuple(int(shift) if n > 1 else 0 for n in shape[1:])
            made = Augmentation(shape, tuple(shift), _FLIPS.get(flip, (False, False)), noise)
            made.size  # noqa: B018 which refuses what is none
        except (TypeError, ValueError) as error:
            raise ValueError(f"augmentation={self.augmentation!r}: {error}.") from error
        return made

    def _make_layers(self, n_features, n_outputs):
        shape = planes_of(self.input_shape_, self.data)
        return layers_for(self._entries(shape), self.activation, shape, n_outputs)
