"""The kinds of layers, a row of operations each.

The kind of a layer depends on its description, its shape, its input and the instruction set, never on threads. Dense
layers are served by register-tiled products of our own, or by SciPy's BLAS, which blocks for all levels of cache and
knows processors that our kernels do not.
"""

from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from .blas cimport product
from .kernels cimport (
    FM_ACTIVATION_identity, FM_ACTIVATION_softmax, FM_ROW_BYTES, blas_outruns, fm_codes, fm_epilogue, fm_window,
)
from .layers cimport (
    ALL_STATES, BIAS, LAST_STATE, MEAN_STATE, OF_ALL_ROWS, OF_INPUTS, WEIGHTS, Layer, Parameter, Pass, Recurrence,
    Unfolding, View,
)
from .memory cimport ceil_div, padded
from .tuning cimport ALIAS_BYTES, BLAS_WEIGHTS, DOT_COLUMNS, PORTABLE_BLAS_WEIGHTS, RECURRENT_ROWS, UNFOLDED_BYTES


cdef inline const Parameter *first_of(const Pass *p, const Layer *layer) noexcept nogil:
    """The layer's first parameter."""
    return &p.parameters[layer.first]


cdef double _one = 1.0
cdef float _single_one = 1.0


cdef inline const void *one_of(const Pass *p) noexcept nogil:
    """A 1, of which strides of 0 make a row of ones."""
    if p.itemsize == sizeof(float):
        return &_single_one
    return &_one


# ---- dense: Z = f(X W + b), out = (delta W^T) f'(z), gradients X[:, start:stop]^T delta and 1^T delta ----

cdef void forward_by_tiles(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                           char *z) noexcept nogil:
    cdef const char *bias = p.parameters[layer.first + BIAS].value
    # softmax needs whole rows of Z, whose panels come one by one
    cdef bint fused = epilogue != p.kernels.forward[FM_ACTIVATION_softmax]
    p.kernels.product(z, layer.ld, v.x.dense, v.x.ld, 1, first_of(p, layer).value, layer.n_out, v.rows, layer.n_out,
                      layer.n_in, False, epilogue if fused else NULL, bias, 0)
    if not fused:
        epilogue(z, bias, v.rows, layer.n_out, layer.ld)


cdef void forward_by_blas(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                          char *z) noexcept nogil:
    product(&p.blas, False, False, v.rows, layer.n_out, layer.n_in, v.x.dense, v.x.ld, first_of(p, layer).value,
            layer.n_out, False, z, layer.ld)
    if epilogue != NULL:
        epilogue(z, p.parameters[layer.first + BIAS].value, v.rows, layer.n_out, layer.ld)


cdef void backward(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                   char *out, ptrdiff_t ld) noexcept nogil:
    """By tiles where there is a transpose, else by BLAS; CSR input has a gradient as dense input has."""
    cdef const Parameter *weights = first_of(p, layer)
    if weights.transposed != NULL:
        p.kernels.product(out, ld, v.delta, layer.ld, 1, weights.transposed, weights.transposed_ld, v.rows, layer.n_in,
                          layer.n_out, False, slope, activations, ld)
    else:
        product(&p.blas, False, True, v.rows, layer.n_in, layer.n_out, v.delta, layer.ld, weights.value, layer.n_out,
                False, out, ld)
        if slope != NULL:
            slope(out, activations, v.rows, layer.n_in, ld)


cdef void gradient_by_tiles(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                            bint accumulate, char *gradient) noexcept nogil:
    if i == WEIGHTS:
        p.kernels.product(gradient, layer.n_out, v.x.dense + start * p.itemsize, 1, v.x.ld, v.delta, layer.ld,
                          stop - start, layer.n_out, v.rows, accumulate, NULL, NULL, 0)
        return
    # the columns' sums as a product with a row of ones
    p.kernels.product(gradient, layer.n_out, one_of(p), 1, 0, v.delta, layer.ld, 1, layer.n_out, v.rows, accumulate,
                      NULL, NULL, 0)


cdef void gradient_by_blas(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                           bint accumulate, char *gradient) noexcept nogil:
    if i == WEIGHTS:
        product(&p.blas, True, False, stop - start, layer.n_out, v.rows, v.x.dense + start * p.itemsize, v.x.ld,
                v.delta, layer.ld, accumulate, gradient, layer.n_out)
    else:
        gradient_by_tiles(p, layer, i, v, start, stop, accumulate, gradient)


# ---- csr: the same products, which follow the non-zeros ----

cdef void forward_of_csr(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                         char *z) noexcept nogil:
    p.kernels.csr_product[v.x.long_indices][v.x.double_values](
        z, v.x.csr, v.x.index, v.x.first, v.rows, first_of(p, layer).value, layer.n_out, layer.ld)
    if epilogue != NULL:
        epilogue(z, p.parameters[layer.first + BIAS].value, v.rows, layer.n_out, layer.ld)


cdef void gradient_of_csr(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                          bint accumulate, char *gradient) noexcept nogil:
    if i == WEIGHTS:
        p.kernels.csr_gradient[v.x.long_indices][v.x.double_values](
            gradient, v.x.csr, v.x.index, v.x.first, v.rows, v.x.cuts + start // v.x.cut_width, v.x.n_cuts, start,
            stop, v.delta, layer.n_out, layer.ld, accumulate)
    else:
        gradient_by_tiles(p, layer, i, v, start, stop, accumulate, gradient)


# ---- categories: rows of a parameter that codes name ----

cdef fm_codes codes_of(const Layer *layer, const View *v) noexcept nogil:
    """The codes of the categories that the layer reads."""
    cdef fm_codes codes
    codes.codes = v.x.codes + layer.column
    codes.n_codes = v.x.n_codes
    codes.index = v.x.index
    codes.first = v.x.first
    return codes


# one-hot: Z = f(X W + the rows of W behind X's that the codes name + b), the levels never expanded

cdef void forward_one_hot(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                          char *z) noexcept nogil:
    cdef fm_codes codes = codes_of(layer, v)
    cdef const char *weights = first_of(p, layer).value
    p.kernels.product(z, layer.ld, v.x.dense, v.x.ld, 1, weights, layer.n_out, v.rows, layer.n_out, layer.n_in, False,
                      NULL, NULL, 0)
    p.kernels.onehot_add(z, layer.ld, &codes, layer.offsets, layer.n_columns,
                         weights + layer.n_in * layer.n_out * p.itemsize, v.rows, layer.n_out)
    if epilogue != NULL:
        epilogue(z, p.parameters[layer.first + BIAS].value, v.rows, layer.n_out, layer.ld)


cdef void gradient_of_one_hot(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                              bint accumulate, char *gradient) noexcept nogil:
    cdef ptrdiff_t end = min(stop, layer.n_in)
    cdef fm_codes codes
    if i == BIAS or start < end:
        gradient_by_tiles(p, layer, i, v, start, end, accumulate, gradient)
    if i == WEIGHTS and stop > layer.n_in:
        codes = codes_of(layer, v)
        end = max(start, layer.n_in)
        p.kernels.onehot_gradient(gradient + (end - start) * layer.n_out * p.itemsize, &codes, layer.offsets,
                                  layer.n_columns, v.delta, layer.ld, v.rows, layer.n_out, end - layer.n_in,
                                  stop - layer.n_in, accumulate)


# embedding: the rows of E that the codes name, beside each other

cdef void forward_embedding(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                            char *z) noexcept nogil:
    cdef fm_codes codes = codes_of(layer, v)
    p.kernels.embed(z, layer.ld, &codes, layer.offsets, layer.n_columns, first_of(p, layer).value, layer.width, v.rows)


cdef void gradient_of_embedding(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    cdef fm_codes codes = codes_of(layer, v)
    p.kernels.embed_gradient(gradient, &codes, layer.offsets, layer.n_columns, v.delta, layer.ld, layer.width, v.rows,
                             start, stop, accumulate)


# indicators: a constant for each level that the row has, and another for each that it has not

cdef void forward_indicators(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                             char *z) noexcept nogil:
    cdef fm_codes codes = codes_of(layer, v)
    p.kernels.expand(z, layer.ld, &codes, layer.offsets, layer.n_columns, layer.constants, layer.others, v.rows)


cdef void backward_to_no_number(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                                const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    """Codes have no gradient."""


cdef void no_gradient(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                      bint accumulate, char *gradient) noexcept nogil:
    """There is no parameter."""


# ---- numbers ----

cdef inline const char *columns_of(const Pass *p, const Layer *layer, const View *v) noexcept nogil:
    """The first number that the layer reads of the first row."""
    return v.x.dense + layer.column * p.itemsize


cdef void forward_numbers(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                          char *z) noexcept nogil:
    # times 1: vectors are copied faster than so few bytes by memcpy
    p.kernels.scale(z, layer.ld, columns_of(p, layer, v), v.x.ld, layer.constants, v.rows, layer.n_out)


cdef void backward_numbers(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                           char *out, ptrdiff_t ld) noexcept nogil:
    cdef ptrdiff_t i
    for i in range(v.rows):  # out += delta * 1
        p.kernels.scale_gradient(out + (i * ld + layer.column) * p.itemsize, v.delta + i * layer.ld * p.itemsize,
                                 layer.ld, layer.constants, 0, 1, layer.n_out, True)


cdef void forward_periodic(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                           char *z) noexcept nogil:
    p.kernels.periodic(z, layer.ld, columns_of(p, layer, v), v.x.ld, first_of(p, layer).value, layer.n_columns,
                       layer.size, layer.width, v.rows)


cdef void backward_periodic(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                            const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    p.kernels.periodic_input_gradient(out + layer.column * p.itemsize, ld, columns_of(p, layer, v), v.x.ld, v.delta,
                                      layer.ld, first_of(p, layer).value, layer.n_columns, layer.size, layer.width,
                                      v.rows)


cdef void gradient_of_periodic(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                               bint accumulate, char *gradient) noexcept nogil:
    p.kernels.periodic_gradient(gradient, columns_of(p, layer, v), v.x.ld, v.delta, layer.ld, first_of(p, layer).value,
                                layer.size, layer.width, v.rows, start, stop, accumulate)


cdef void forward_piecewise(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                            char *z) noexcept nogil:
    p.kernels.piecewise(z, layer.ld, columns_of(p, layer, v), v.x.ld, layer.constants, first_of(p, layer).value,
                        layer.sums, layer.n_columns, layer.size, layer.width, v.rows)


cdef void backward_piecewise(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                             const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    p.kernels.piecewise_input_gradient(out + layer.column * p.itemsize, ld, columns_of(p, layer, v), v.x.ld, v.delta,
                                       layer.ld, layer.constants, first_of(p, layer).value, layer.n_columns,
                                       layer.size, layer.width, v.rows)


cdef void gradient_of_piecewise(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    p.kernels.piecewise_gradient(gradient, columns_of(p, layer, v), v.x.ld, v.delta, layer.ld, layer.constants,
                                 layer.size, layer.width, v.rows, start, stop, accumulate)


# ---- scale: x s ----

cdef void forward_scale(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue, char *z) noexcept nogil:
    p.kernels.scale(z, layer.ld, v.x.dense, v.x.ld, first_of(p, layer).value, v.rows, layer.n_out)


cdef void backward_scale(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope, const char *activations,
                         char *out, ptrdiff_t ld) noexcept nogil:
    p.kernels.scale(out, ld, v.delta, layer.ld, first_of(p, layer).value, v.rows, layer.n_out)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)


cdef void gradient_of_scale(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start, ptrdiff_t stop,
                            bint accumulate, char *gradient) noexcept nogil:
    p.kernels.scale_gradient(gradient, v.x.dense, v.x.ld, v.delta, layer.ld, v.rows, layer.n_out, accumulate)


# ---- parametric activation: x + a (f(x) - x), which keeps f(x) ----

cdef void forward_parametric(const Pass *p, const Layer *layer, const View *v, fm_epilogue epilogue,
                             char *z) noexcept nogil:
    cdef char *f = v.own if v.own != NULL else z
    cdef ptrdiff_t i
    for i in range(v.rows):
        memcpy(f + i * layer.ld * p.itemsize, v.x.dense + i * v.x.ld * p.itemsize, layer.n_out * p.itemsize)
    p.kernels.forward[layer.activation](f, layer.constants, v.rows, layer.n_out, layer.ld)
    p.kernels.mix(z, layer.ld, v.x.dense, v.x.ld, f, layer.ld, first_of(p, layer).value, v.rows, layer.n_out)


cdef void backward_parametric(const Pass *p, const Layer *layer, const View *v, fm_epilogue slope,
                              const char *activations, char *out, ptrdiff_t ld) noexcept nogil:
    # the slope is written in x or in f(x), rows of the stride that out has
    cdef const char *written_in = v.x.dense if p.kernels.map[layer.activation] != NULL else v.own
    cdef ptrdiff_t i
    for i in range(v.rows):
        memcpy(out + i * ld * p.itemsize, v.delta + i * layer.ld * p.itemsize, layer.n_out * p.itemsize)
    p.kernels.backward[layer.activation](out, written_in, v.rows, layer.n_out, ld)
    p.kernels.mix_slope(out, ld, v.delta, layer.ld, first_of(p, layer).value, v.rows, layer.n_out)
    if slope != NULL:
        slope(out, activations, v.rows, layer.n_in, ld)


cdef void gradient_of_parametric(const Pass *p, const Layer *layer, int i, const View *v, ptrdiff_t start,
                                 ptrdiff_t stop, bint accumulate, char *gradient) noexcept nogil:
    p.kernels.mix_gradient(gradient, v.delta, layer.ld, v.x.dense, v.x.ld, v.own, layer.ld, v.rows, layer.n_out,
                           accumulate)


include "window_kinds.pxi"
include "recurrent_kinds.pxi"
include "norm_kinds.pxi"


# name, dense, calls_blas, transposes, forward, backward, gradient
cdef Kind[18] table = [
    Kind("dense", True, False, True, &forward_by_tiles, &backward, &gradient_by_tiles),
    Kind("dense by BLAS", True, True, False, &forward_by_blas, &backward, &gradient_by_blas),
    Kind("csr", True, False, False, &forward_of_csr, &backward, &gradient_of_csr),
    Kind("one-hot", True, False, False, &forward_one_hot, &backward, &gradient_of_one_hot),
    Kind("numbers", False, False, False, &forward_numbers, &backward_numbers, &no_gradient),
    Kind("periodic", False, False, False, &forward_periodic, &backward_periodic, &gradient_of_periodic),
    Kind("piecewise", False, False, False, &forward_piecewise, &backward_piecewise, &gradient_of_piecewise),
    Kind("indicators", False, False, False, &forward_indicators, &backward_to_no_number, &no_gradient),
    Kind("embedding", False, False, False, &forward_embedding, &backward_to_no_number, &gradient_of_embedding),
    Kind("scale", False, False, False, &forward_scale, &backward_scale, &gradient_of_scale),
    Kind("parametric", False, False, False, &forward_parametric, &backward_parametric, &gradient_of_parametric),
    Kind("convolution", False, False, False, &forward_convolution, &backward_convolution, &gradient_of_convolution),
    Kind("maxpool", False, False, False, &forward_maxpool, &backward_maxpool, &no_gradient),
    Kind("averagepool", False, False, False, &forward_averagepool, &backward_averagepool, &no_gradient),
    Kind("gru", False, False, False, &forward_recurrent, &backward_recurrent, &gradient_of_recurrent),
    Kind("lstm", False, False, False, &forward_recurrent, &backward_recurrent, &gradient_of_recurrent),
    Kind("layernorm", False, False, False, &forward_norm, &backward_norm, &gradient_of_norm),
    Kind("residual", False, False, False, &forward_residual, &backward_residual, &no_gradient),
]


cdef const Kind *kind_of(str name) except NULL:
    """The row of the table with this name."""
    cdef int i
    for i in range(<int> (sizeof(table) // sizeof(Kind))):
        if table[i].name == name.encode():
            return &table[i]
    raise ValueError(f"no kind of layer is called {name!r}")


cdef ptrdiff_t sums_bytes(const Pass *p, const Layer *layer) noexcept nogil:
    """Room for what a layer can find once where parameters do not change."""
    return layer.n_columns * layer.size * layer.width * p.itemsize if layer.kind.forward == &forward_piecewise else 0


cdef void keep_sums(const Pass *p, Layer *layer, char *room) noexcept nogil:
    """Find it."""
    p.kernels.piecewise_sums(room, first_of(p, layer).value, layer.n_columns, layer.size, layer.width)
    layer.sums = room


cdef ptrdiff_t lay_out_scratch(Layer *layer, ptrdiff_t itemsize) noexcept:
    """Say how calls of the layer's kind divide a worker's scratch; returns its bytes."""
    cdef Room room
    if layer.kind.forward == &forward_recurrent:
        return lay_out(layer, itemsize, NULL, &room)
    if layer.kind.forward == &forward_convolution:
        return max(lay_out_convolution(layer, &layer.unfolding, itemsize, False),
                   lay_out_convolution(layer, &layer.unfolding_back, itemsize, True))
    return 0


cdef bint ends_product(const Layer *layer) noexcept nogil:
    """Whether the product before can end in what the layer does, where no backward pass follows."""
    return layer.kind.forward == &forward_parametric


cdef const Kind *tiled_kind() noexcept nogil:
    """Dense input, by tiles whatever the shape."""
    return &table[0]


cdef const Kind *dense_kind(const fm_kernels *kernels, ptrdiff_t n_in, ptrdiff_t n_out) noexcept nogil:
    """Dense input. BLAS has kernels for the processor's own vectors, where ours may be the portable ones."""
    cdef bint outrun = min(n_in, n_out) > DOT_COLUMNS and blas_outruns(kernels)
    return &table[1] if n_in * n_out >= (PORTABLE_BLAS_WEIGHTS if outrun else BLAS_WEIGHTS) else &table[0]


cdef const Kind *first_kind(const Pass *p, bint sparse) noexcept nogil:
    """The kind of the first layer where the numbers are sparse, or dense."""
    cdef const Layer *layer = &p.layers[0]
    if sparse:
        return &table[2]
    if layer.kind.dense and layer.offsets == NULL:
        return dense_kind(p.kernels, layer.n_in, layer.n_out)
    return layer.kind
