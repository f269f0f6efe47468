"""A network as a list of layers, made once for training, prediction and input gradients.

Parameters are numbered layer by layer, a layer's weights before its bias. In memory they stand group after group, all
weights before all biases.
"""

import sys
from itertools import pairwise
from numbers import Integral

import numpy as np

from libc.string cimport memcpy, memset

from .blas cimport blas_for
from .kernels cimport activation_names, activation_number, kernels_for
from .kinds cimport dense_kind, kind_of, lay_out_scratch
from .memory cimport Arena, data_of, padded
from .source cimport Source
from .tuning cimport CALL_BLAS_FLOPS

from .kernels import ACTIVATIONS
from .architecture import (
    GRU, LSTM, AveragePool, Convolution, Dense, Embedding, Indicators, Inputs, LayerNorm, MaxPool, Numbers, Parametric,
    Periodic, Piecewise, Residual, has_units, has_weights, places, sources,
)

MAX_UNITS = 0x7fffffff          # BLAS counts in 32 bits
MAX_LAYERS = 1 << 16            # the phases count their items in 20 bits


def described(layers, activation):
    """A network's inputs and layers, of numbers of units as of layers.

    Parameters
    ----------
    layers : sequence of int, or of layers
        Units of a multilayer perceptron, input and output included; or `Inputs` and layers.
    activation : str or sequence of str
        Of the hidden layers that are given as units; None for layers.

    Returns
    -------
    inputs : Inputs
    rows : list of layers

    Raises
    ------
    ValueError
        If these make no network.
    """
    layers = tuple(layers)
    if layers and isinstance(layers[0], Inputs):
        inputs, *rows = layers
        if activation is not None:
            raise ValueError(f"activation={activation!r}: layers have theirs")
        for row in rows:
            if not hasattr(row, "beside"):
                raise ValueError(f"layers: {row!r} is no layer")
    elif any(hasattr(row, "beside") for row in layers):
        raise ValueError("layers: the first is Inputs")
    else:
        units = tuple(int(n) for n in layers)
        if len(units) < 2 or not all(0 < n <= MAX_UNITS for n in units):
            raise ValueError(f"layer_units={units}: two or more, each from 1 to {MAX_UNITS}")
        if activation is None:
            raise ValueError("activation=None: layers that are given as units have one")
        names = activation_names(activation, len(units) - 2)
        if isinstance(names, str):
            hidden_activation(names)  # where there is no hidden layer too
            names = (names,) * (len(units) - 2)
        inputs, rows = Inputs(units[0]), [Dense(n, name) for n, name in zip(units[1:], (*names, "identity"))]
    for row in rows:
        for name in ("units", "width", "frequencies"):
            n = getattr(row, name, 1)
            if not isinstance(n, Integral) or not 0 < n <= MAX_UNITS:
                raise ValueError(f"{row}: {name} is an integer from 1 to {MAX_UNITS}")
    if len(rows) > MAX_LAYERS:
        raise ValueError(f"{len(rows)} layers: at most {MAX_LAYERS}")
    if not rows or not isinstance(rows[-1], Dense) or rows[-1].activation != "identity":
        raise ValueError("layers: the last is Dense, with the activation 'identity'")
    if any(row.beside and not before.beside for before, row in pairwise(rows)):
        raise ValueError("layers: those that read the inputs beside each other come first")
    for before, row in pairwise((inputs, *rows)):
        if isinstance(row, Parametric) and not (isinstance(before, Dense) and before.activation == "identity"):
            raise ValueError("layers: Parametric follows Dense with the activation 'identity'")
    for place in places(inputs, rows):
        reads = getattr(place.layer, "reads", None)
        if reads not in (None, place.n_in):
            raise ValueError(f"{place.layer}: the layer before leaves {place.n_in} numbers, not {reads}")
    sources(inputs, rows)
    if inputs.levels and not rows[0].beside and not isinstance(rows[0], Dense):
        raise ValueError(f"layers: {type(rows[0]).__name__} reads no categories")
    if not (isinstance(inputs.n_features, Integral) and 0 <= inputs.n_features <= MAX_UNITS):
        raise ValueError(f"{inputs}: n_features from 0 to {MAX_UNITS}")
    if not all(isinstance(n, Integral) and 0 < n <= MAX_UNITS for n in inputs.levels):
        raise ValueError(f"{inputs}: levels from 1 to {MAX_UNITS}")
    if not inputs.n_features and not inputs.levels:
        raise ValueError(f"{inputs}: at least one number or category")
    return inputs, rows


cdef int hidden_activation(name) except -1:
    """The number of an activation that hidden layers may have."""
    number = activation_number(name)
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name!r}: not of hidden layers, which have one of {', '.join(ACTIVATIONS)}")
    return number


cdef class Layers:
    """The layers of a network and the shapes of their parameters, whose values are elsewhere.

    Parameters
    ----------
    layers : sequence of int, or of layers
        Units of a multilayer perceptron, input and output included; or `Inputs` and layers (:mod:`.architecture`).
    activation : str or sequence of str
        Activation of the hidden layers that are given as units: one for all, or one for each. None for layers.
    dtype : float32 or float64
        Precision of parameters and arithmetic.
    isa : str, default=None
        Instruction set; None: the default.

    Raises
    ------
    ValueError
        For an unknown name, layers too wide for BLAS's integers, or another number of activations than hidden layers.
    """

    def __cinit__(self, layers, activation, dtype, isa=None):
        cdef int l, i = 0
        cdef Layer *layer
        cdef Parameter *parameter
        self.dtype = np.dtype(dtype)
        inputs, rows = described(layers, activation)
        found = places(inputs, rows)
        self.places = tuple(found)
        for place in found:
            if not 0 < place.at + place.n_out <= MAX_UNITS:
                raise ValueError(f"{place.layer}: {place.at + place.n_out} outputs, not from 1 to {MAX_UNITS}")
        shapes = [shape for place in found for shape in place.parameters]
        self.n_params = sum(shape.rows * shape.columns for shape in shapes)
        if self.n_params > sys.maxsize // 16:
            raise MemoryError(f"{self.n_params} parameters")
        self.inputs = inputs
        self.activation = None if activation is None else activation_names(activation, len(rows) - 1)
        weighted = [place.layer for place in found if has_weights(place.layer)]
        self.hidden_activations = [getattr(row, "activation", "tanh") for row in weighted[:-1]]
        self.multiply_adds = sum(place.layer.multiply_adds(place.n_in, inputs) for place in found)
        self.work = self.multiply_adds + sum(place.n_out for place in found if has_weights(place.layer))
        memset(&self.net, 0, sizeof(Pass))
        self.net.kernels = kernels_for(self.dtype, isa)
        self.net.blas = blas_for(self.dtype)
        self.net.itemsize = self.dtype.itemsize
        self.net.n_layers = len(rows)
        self.net.n_parameters = len(shapes)
        self._constants = []
        self._memory = Arena()
        self._memory.reserve("layers", self.net.n_layers * sizeof(Layer))
        self._memory.reserve("parameters", self.net.n_parameters * sizeof(Parameter))
        self._memory.allocate()
        self.net.layers = <Layer *> self._memory.pointer("layers")
        self.net.parameters = <Parameter *> self._memory.pointer("parameters")
        for l, place in enumerate(found):
            layer = &self.net.layers[l]
            layer.n_in, layer.n_out, layer.shared, layer.at = place.n_in, place.n_out, place.shared, place.at
            layer.first, layer.n_parameters = i, len(place.parameters)
            i += layer.n_parameters
            layer.beside = place.layer.beside
            layer.more = l + 1 < len(found) and found[l + 1].shared != l + 1
            layer.weighted = has_units(place.layer)
            layer.source = NO_SOURCE
            self._set(layer, place)
            self.scratch = max(self.scratch, lay_out_scratch(layer, self.net.itemsize))
        self._set_sources(sources(inputs, rows))
        self.units = (inputs.n_features,)
        for l in range(self.net.n_layers - 1, -1, -1):
            # the last of the layers that share a trace knows its width
            layer = &self.net.layers[l]
            if layer.more:
                layer.ld = self.net.layers[l + 1].ld
            else:
                layer.ld = padded(layer.at + layer.n_out, self.net.itemsize)
                self.units = (inputs.n_features, layer.at + layer.n_out, *self.units[1:])
            self.widest_ld = max(self.widest_ld, layer.ld)
            self.kept_ld += layer.ld if layer.read_again and layer.shared == l else 0
            self.uses_blas = self.uses_blas or layer.kind.calls_blas
        groups = {"weights": True, "biases": False}
        for i, shape in enumerate(shapes):
            groups.setdefault(shape.group, shape.shrinks)
            parameter = &self.net.parameters[i]
            parameter.rows, parameter.columns = shape.rows, shape.columns
            parameter.group = list(groups).index(shape.group)
            if parameter.rows == 1:
                self.one_row_bytes += self._bytes(parameter)
        if len(groups) > MAX_GROUPS:
            raise ValueError(f"groups of parameters: at most {MAX_GROUPS}, not {len(groups)}")
        self.groups = tuple(groups)
        self.net.n_groups = len(groups)
        for i, shrinks in enumerate(groups.values()):
            self.net.shrinks[i] = shrinks
        for l in range(self.net.n_layers):
            for i in range(self.net.layers[l].n_parameters):
                self.net.parameters[self.net.layers[l].first + i].layer = l
        arena = self.reserve()
        for i in range(self.net.n_parameters):
            parameter = &self.net.parameters[i]
            parameter.offset = arena._offsets[i] // self.net.itemsize
            self.extent = max(self.extent, parameter.offset + parameter.rows * parameter.columns)
        of_kind = {}
        self.names = []
        for shape in shapes:
            self.names.append(f"{shape.name}.{of_kind.setdefault(shape.name, 0)}")
            of_kind[shape.name] += 1

    cdef int _set_sources(self, added) except -1:
        """Which outputs residual connections add, by the connections' layers."""
        cdef int l, source
        for l, source in added.items():
            self.net.layers[l].source = source
            if source == INPUTS:
                self.adds_inputs = True
                continue
            for i in range(self.net.layers[source].shared, source + 1):
                self.net.layers[i].read_again = True
        return 0

    cdef int _set(self, Layer *layer, place) except -1:
        """What a layer reads besides its parameters, and which activation it has."""
        row, inputs = place.layer, self.inputs
        if not isinstance(row, Dense):
            layer.kind = kind_of(type(row).__name__.lower())
        else:
            layer.kind = (kind_of("one-hot") if place.reads_codes
                          else dense_kind(self.net.kernels, layer.n_in, layer.n_out))
        if isinstance(row, (Dense, Convolution, LayerNorm, Residual)):
            number = hidden_activation(row.activation)
            if row.activation != "identity" or place is not self.places[-1]:
                layer.epilogue = self.net.kernels.forward[number]
                layer.slope = self.net.kernels.backward[number]
                layer.map = self.net.kernels.map[number]
            if place.reads_codes:
                self._set_levels(layer, range(len(inputs.levels)))
        if isinstance(row, Parametric):
            layer.activation = hidden_activation(row.activation)
            layer.own_ld = padded(layer.n_out, self.net.itemsize)
            layer.constants = self._zeros(layer.own_ld)
        elif isinstance(row, (Convolution, MaxPool, AveragePool)):
            self._set_window(layer, row)
        elif isinstance(row, (GRU, LSTM)):
            self._set_recurrence(layer, row)
        elif isinstance(row, (LayerNorm, Residual)):
            layer.constants = self._zeros(padded(layer.n_out, self.net.itemsize))
            if isinstance(row, LayerNorm):
                layer.channels, layer.positions, layer.epsilon = row.shape[0], layer.n_out // row.shape[0], row.epsilon
                layer.own_ld = padded(layer.n_out + 1, self.net.itemsize)
        elif isinstance(row, (Indicators, Embedding)):
            self._set_levels(layer, inputs.categories(row.columns))
        elif row.beside:
            columns = inputs.numbers(row.columns)
            layer.column, layer.n_columns = columns.start, len(columns)
            if isinstance(row, Numbers):
                layer.constants = self._constant(np.ones(layer.n_out, dtype=self.dtype))
        if isinstance(row, Embedding):
            layer.width = row.width
        elif isinstance(row, Periodic):
            layer.width, layer.size = row.width, row.frequencies
        elif isinstance(row, Piecewise):
            edges = np.asarray(row.edges, dtype=self.dtype)
            if edges.ndim != 2 or len(edges) != layer.n_columns or edges.shape[1] < 2:
                raise ValueError(f"edges: shape ({layer.n_columns}, n_bins + 1), not {edges.shape}")
            finite = np.isfinite(edges)
            if not (finite[:, :2].all() and ((edges[:, :-1] < edges[:, 1:]) | ~finite[:, 1:]).all()
                    and (np.isposinf(edges) | finite).all() and (finite[:, :-1] >= finite[:, 1:]).all()):
                raise ValueError("edges: ascending, two or more of each column finite, infinity behind the last")
            layer.width, layer.size = row.width, edges.shape[1] - 1
            layer.constants = self._constant(edges)
        elif isinstance(row, Indicators):
            on, off = (np.asarray(values, dtype=self.dtype) for values in (row.on, row.off))
            if not on.shape == off.shape == (layer.n_out,):
                raise ValueError(f"on, off: shape ({layer.n_out},), not {on.shape} and {off.shape}")
            layer.constants, layer.others = self._constant(on), self._constant(off)
        return 0

    cdef int _set_window(self, Layer *layer, row) except -1:
        """The geometry of a layer whose window slides over planes."""
        window = row.window
        layer.groups = getattr(row, "groups", 1)
        layer.window.channels = row.shape[0] // layer.groups
        for axis in range(2):
            layer.window.in_[axis], layer.window.out[axis] = row.shape[1 + axis], window.out[axis]
            layer.window.size[axis], layer.window.stride[axis] = window.size[axis], window.stride[axis]
            layer.window.dilation[axis], layer.window.before[axis] = window.dilation[axis], window.before[axis]
        if isinstance(row, Convolution):
            layer.channels = row.channels
            layer.constants = self._zeros(padded(layer.n_out, self.net.itemsize))
            self._set_shifts(layer, row)
        elif isinstance(row, MaxPool):
            layer.own_ld = padded(layer.n_out, self.net.itemsize)
        return 0

    cdef int _set_shifts(self, Layer *layer, row) except -1:
        """Where the elements of a convolution's sums are, if its window moves by one element."""
        window = row.window
        # the window without its first element, and the zeros around deltas, on the far side of those around inputs
        reach = [(n - 1) * apart for n, apart in zip(window.size, window.dilation)]
        before = [n - zeros for n, zeros in zip(reach, window.before)]
        if window.stride != (1, 1) or min(before) < 0:
            return 0
        for axis in range(2):
            layer.framed[axis] = window.out[axis] + reach[axis]
            layer.framed_delta[axis] = row.shape[1 + axis] + reach[axis]
            layer.delta_before[axis] = before[axis]
        i, j = np.ogrid[:window.size[0], :window.size[1]]
        within = i * (window.dilation[0] * layer.framed[1]) + j * window.dilation[1]
        planes = np.arange(layer.window.channels) * (layer.framed[0] * layer.framed[1])
        layer.shifts = self._intp((planes[:, None] + within.ravel()).ravel())
        if layer.groups == 1:
            within = ((window.size[0] - 1 - i) * (window.dilation[0] * layer.framed_delta[1])
                      + (window.size[1] - 1 - j) * window.dilation[1])
            planes = np.arange(layer.channels) * (layer.framed_delta[0] * layer.framed_delta[1])
            layer.delta_shifts = self._intp((within.reshape(-1, 1) + planes).ravel())
        return 0

    cdef const ptrdiff_t *_intp(self, values) except NULL:
        """The address of integers that are kept as long as this object."""
        return <const ptrdiff_t *> self._constant(np.asarray(values, dtype=np.intp))

    cdef int _set_recurrence(self, Layer *layer, row) except -1:
        """The sizes, the cell and the output of a recurrent layer."""
        cdef Recurrence *r = &layer.recurrence
        cdef const fm_kernels *kernels = self.net.kernels
        r.steps, r.channels, r.units, r.gates = row.steps, row.channels, row.units, row.gates
        r.directions, r.reverse, r.truncation = 1 + row.bidirectional, row.reverse, row.truncation or 0
        r.lengths = {False: OF_ALL_ROWS, True: OF_ITS_ROWS, "inputs": OF_INPUTS}[row.lengths]
        r.left = {"last": LAST_STATE, "mean": MEAN_STATE, "all": ALL_STATES}[row.output]
        if isinstance(row, GRU):
            kept, r.cell, r.back = 5, kernels.gru, kernels.gru_back       # four gates and h
        else:
            kept, r.cell, r.back = 6, kernels.lstm, kernels.lstm_back     # and c
        r.size = padded(kept * r.units, self.net.itemsize)  # deltas of the steps are rows of products
        layer.own_ld = padded(r.directions * r.steps * r.size, self.net.itemsize)
        layer.constants = self._zeros(1)
        return 0

    cdef const char *_zeros(self, ptrdiff_t count) except NULL:
        """The address of zeros, aligned, that are kept as long as this object."""
        zeros = Arena()
        zeros.reserve("zeros", count * self.net.itemsize)
        zeros.allocate()
        self._constants.append(zeros)
        return zeros.pointer("zeros")

    cdef int _set_levels(self, Layer *layer, columns) except -1:
        """The categories that a layer reads."""
        levels = [self.inputs.levels[c] for c in columns]
        layer.column, layer.n_columns = columns.start, len(columns)
        layer.offsets = self._intp(np.cumsum([0, *levels]))
        return 0

    cdef const char *_constant(self, values) except NULL:
        """The address of an array that is kept as long as this object."""
        self._constants.append(np.array(values, order="C"))
        return data_of(self._constants[-1], False)

    cdef bint calls_blas(self, ptrdiff_t n_rows) noexcept:
        """Whether a prediction for this number of rows goes to BLAS where a layer's kind does."""
        return self.uses_blas and 2.0 * self.multiply_adds * n_rows >= CALL_BLAS_FLOPS

    cdef ptrdiff_t _bytes(self, const Parameter *p):
        """Of a parameter's values, those of one row with what makes them readable to whole lanes."""
        return (p.rows * p.columns if p.rows > 1 else padded(p.columns, self.net.itemsize)) * self.net.itemsize

    cdef char *copy_one_row(self, Parameter *p, char *room) noexcept:
        """Let a parameter of one row have its values in room, readable to whole lanes; returns what follows them."""
        cdef ptrdiff_t size = p.columns * self.net.itemsize
        if p.rows > 1:
            return room
        memcpy(room, p.value, size)
        memset(room + size, 0, self._bytes(p) - size)
        p.value = room
        return room + self._bytes(p)

    cdef Arena reserve(self):
        """An arena with room for each parameter, group after group, not allocated."""
        cdef int group, i
        arena = Arena()
        for group in range(self.net.n_groups):
            for i in range(self.net.n_parameters):
                if self.net.parameters[i].group == group:
                    arena.reserve(i, self._bytes(&self.net.parameters[i]))
        return arena

    cdef object flat(self, Arena arena):
        """An arena of :meth:`reserve` as one array, allocated if it is not yet."""
        cdef int i
        if arena._base == NULL:
            arena.allocate()
        for i in range(self.net.n_parameters):
            if self.net.parameters[i].offset == 0:
                return arena.view(i, (self.extent,), self.dtype)

    cdef list arrays_in(self, flat):
        """An array of :meth:`flat` as arrays of the parameters' shapes; those of biases and factors have one axis."""
        cdef const Parameter *p
        cdef int i
        arrays = []
        for place in self.places:
            for i, shape in enumerate(place.parameters, len(arrays)):
                p = &self.net.parameters[i]
                array = flat[p.offset:p.offset + p.rows * p.columns]
                arrays.append(array.reshape(shape.of_array))
        return arrays

    cdef tuple dense_among(self, list arrays):
        """Of arrays for all parameters those of layers of weighted sums: weights, and biases."""
        weights, biases, i = [], [], 0
        for place in self.places:
            if has_weights(place.layer):
                weights.append(arrays[i])
                biases.append(arrays[i + 1])
            i += len(place.parameters)
        return weights, biases

    cdef list checked(self, list arrays):
        """Arrays for all parameters, refused if they are others."""
        cdef const Parameter *p
        cdef int i
        if len(arrays) != self.net.n_parameters:
            raise ValueError(f"{len(arrays)} parameters, the layers have {self.net.n_parameters}")
        for i, array in enumerate(arrays):
            p = &self.net.parameters[i]
            if (array.dtype != self.dtype or array.ndim not in (1, 2) or array.size != p.rows * p.columns
                    or array.shape[-1] != p.columns):
                raise ValueError(f"{self.names[i]}: shape ({p.rows}, {p.columns}) of {self.dtype}, not {array.shape} of"
                                 f" {array.dtype}")
        return arrays

    cdef Source source_of(self, X, codes):
        """X and codes as a source of rows that fit the network."""
        cdef Source source = Source(X, codes)
        if source.n_features != self.units[0]:
            raise ValueError(f"X has {source.n_features} features, the network {self.units[0]}")
        if source.sparse and (self.net.layers[0].offsets != NULL or not self.net.layers[0].kind.dense):
            raise ValueError("X: dense, for these layers")
        if source.sparse and self.adds_inputs:
            raise ValueError("X: dense, for a residual connection that adds it")
        if codes is not None or self.inputs.levels:
            source.check_codes(self.inputs.levels)
        return source
