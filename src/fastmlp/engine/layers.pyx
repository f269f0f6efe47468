"""A network as a list of layers, made once for training, prediction and input gradients.

Parameters are numbered layer by layer, a layer's weights before its bias. In memory all weights stand before all
biases.
"""

import sys
from itertools import pairwise

import numpy as np

from libc.string cimport memcpy, memset

from .blas cimport blas_for
from .kernels cimport activation_names, activation_number, kernels_for
from .kinds cimport dense_kind
from .memory cimport Arena, padded
from .tuning cimport CALL_BLAS_FLOPS

cdef enum:
    MAX_DIMENSION = 0x7fffffff  # BLAS counts in 32 bits

MAX_LAYERS = 1 << 16            # the phases count their items in 20 bits
GROUPS = ("weights", "biases")  # by number


cdef class Layers:
    """The layers of a multilayer perceptron and the shapes of their parameters, whose values are elsewhere.

    Parameters
    ----------
    units : sequence of int
        Units of every layer, input and output included.
    activation : str or sequence of str
        Activation of the hidden layers: one for all, or one for each.
    dtype : float32 or float64
        Precision of parameters and arithmetic.
    isa : str, default=None
        Instruction set; None: the default.

    Raises
    ------
    ValueError
        For an unknown name, layers too wide for BLAS's integers, or another number of activations than hidden layers.
    """

    def __cinit__(self, units, activation, dtype, isa=None):
        cdef int l, last, number
        cdef Layer *layer
        cdef Parameter *parameter
        cdef ptrdiff_t n_in, n_out
        self.units = tuple(int(n) for n in units)
        self.dtype = np.dtype(dtype)
        if len(self.units) < 2 or not all(0 < n <= MAX_DIMENSION for n in self.units):
            raise ValueError(f"layer_units={self.units}: two or more, each from 1 to {MAX_DIMENSION}")
        if len(self.units) - 1 > MAX_LAYERS:
            raise ValueError(f"{len(self.units) - 1} layers: at most {MAX_LAYERS}")
        last = len(self.units) - 2
        self.n_params = sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.units))
        if self.n_params > sys.maxsize // 16:
            raise MemoryError(f"{self.n_params} parameters")
        memset(&self.net, 0, sizeof(Pass))
        self.net.kernels = kernels_for(self.dtype, isa)
        self.net.blas = blas_for(self.dtype)
        self.net.itemsize = self.dtype.itemsize
        self.net.n_layers = last + 1
        self.net.n_parameters = PARAMETERS * self.net.n_layers
        self.activation = activation_names(activation, last)
        shared = isinstance(self.activation, str)
        numbers = [activation_number(name) for name in ((self.activation,) if shared else self.activation)]
        self._memory = Arena()
        self._memory.reserve("layers", self.net.n_layers * sizeof(Layer))
        self._memory.reserve("parameters", self.net.n_parameters * sizeof(Parameter))
        self._memory.allocate()
        self.net.layers = <Layer *> self._memory.pointer("layers")
        self.net.parameters = <Parameter *> self._memory.pointer("parameters")
        for l in range(self.net.n_layers):
            layer = &self.net.layers[l]
            n_in, n_out = self.units[l], self.units[l + 1]
            layer.kind = dense_kind(self.net.kernels, n_in, n_out)
            layer.n_in = n_in
            layer.n_out = n_out
            layer.ld = padded(n_out, self.net.itemsize)
            layer.first = PARAMETERS * l
            if l < last:
                number = numbers[0 if shared else l]
                layer.epilogue = self.net.kernels.forward[number]
                layer.slope = self.net.kernels.backward[number]
                layer.map = self.net.kernels.map[number]
            self.uses_blas = self.uses_blas or layer.kind.calls_blas
            self.widest_ld = max(self.widest_ld, layer.ld)
            self.n_weights += n_in * n_out
            for number in range(PARAMETERS):
                parameter = &self.net.parameters[layer.first + number]
                parameter.rows = n_in if number == WEIGHTS else 1
                parameter.columns = n_out
                parameter.layer = l
                parameter.group = WEIGHT_GROUP if number == WEIGHTS else BIAS_GROUP
                if parameter.rows == 1:
                    self.one_row_bytes += self._bytes(parameter)

    cdef bint calls_blas(self, ptrdiff_t n_rows) noexcept:
        """Whether a prediction for this number of rows goes to BLAS where a layer's kind does."""
        return self.uses_blas and 2.0 * self.n_weights * n_rows >= CALL_BLAS_FLOPS

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

    cdef Arena new_parameters(self):
        """An arena with a piece for each parameter, group after group."""
        cdef int group, i
        arena = Arena()
        for group in range(GROUPS_OF_PARAMETERS):
            for i in range(self.net.n_parameters):
                if self.net.parameters[i].group == group:
                    arena.reserve(i, self._bytes(&self.net.parameters[i]))
        arena.allocate()
        return arena

    cdef ptrdiff_t extent(self) except -1:
        """Elements from the first value to the end of the last in the layout of :meth:`new_parameters`."""
        cdef Parameter *first = &self.net.parameters[0]
        cdef Parameter *last = &self.net.parameters[self.net.n_parameters - 1]
        return (last.value - first.value) // self.net.itemsize + last.rows * last.columns
