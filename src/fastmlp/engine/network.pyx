"""A multilayer perceptron as data: parameters, the plan of a step, workspaces, and the calls that train it."""

import sys
import threading

import numpy as np

from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from .blas cimport blas_for
from .forward cimport Predictor
from .kernels cimport (
    FM_ACTIVATION_identity, FM_COLUMNS, FM_MAX_STATES, FM_OPTIMIZER_gradient, FM_ROW_BYTES, FM_TARGET_BYTE,
    FM_TARGET_CODE, activation_names, activation_number, fm_update, kernels_for, loss_number, loss_row, offsets_of,
    optimizer_number, optimizer_row,
)
from .memory cimport Arena, ceil_div, data_of, padded
from .products cimport BLAS, FUSED, SPARSE, Layer, dense_strategy
from .source cimport Source, index_of, reader_of
from .step cimport PREPARE, Columns, Dropout, Job, Tile, Trained, run
from .threads cimport FM_MOST_ITEMS, fm_open, fm_phases, fm_seconds, fm_team_size, raise_pending, watch
from .tuning cimport (
    BLOCK_ROWS, BLOCKS_EACH, CACHED_BYTES, CHUNK_BYTES, CHUNK_ROWS, GROUP_FLOPS, GROUPS, LARGE_BLOCK_ROWS,
    LARGE_BLOCKS_EACH, MOST_SOLITUDE, PAIR_FLOPS, PATIENCE, PATIENCE_SHARE, SOLITUDE, THREAD_FLOPS, TILE_ELEMENTS,
    TILE_ROWS, TILES,
)

from .forward import forward
from .kernels import LOSSES, LOSS_OPTIONS, LOSS_ROWS, loss_numbers
from .threads import checked_max_threads, effective_n_threads

cdef enum:
    MAX_DIMENSION = 0x7fffffff  # BLAS counts in 32 bits

MAX_LAYERS = 1 << 16            # the phases count their items in 20 bits


cdef class Network:
    """A multilayer perceptron's parameters and the compiled loop that trains them.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, input and output included: (n_features, ..., n_outputs).
    activation : str or sequence of str
        Activation of the hidden layers, of ``ACTIVATIONS``: one for all, or one for each.
    loss : str
        One of ``LOSSES``; it brings the output activation along.
    dtype : float32 or float64
        Precision of parameters and arithmetic.
    loss_options : dict, default=None
        The loss's own numbers, where they are not the defaults; ``LOSS_ROWS[loss].options`` names those that it takes.

        - "label_smoothing" (default 0.0), in [0, 1): targets become y (1 - s) + s / K for K classes, 2 if each output
          is a label of its own (Szegedy et al. 2016).
        - "focal_gamma" (2.0), not negative: the exponent of Lin et al. (2017); 0 makes the loss the log loss.
        - "huber_delta" (1.0), positive: the residual from which on the loss is linear.
        - "quantiles" ((0.5,)), each in (0, 1): the level that is predicted, of all outputs or of each.
        - "tweedie_power" (1.5), in (1, 2): the power of the mean that the variance is proportional to.
        - "segments" (None): sizes of blocks of outputs with a softmax and a log loss each, whose losses are added up.
    dropout : sequence of float, default=None
        Rates in [0, 1) of the input and of each hidden layer: the shares of their outputs that :meth:`epoch` sets to 0,
        anew in each update, while the others are divided by 1 - rate. None: no dropout. Srivastava et al. (2014),
        "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.
    n_threads : int, default=None
        Threads to use, whatever the work; None: as many as the environment allows and the work is worth,
    max_threads : int, default=None
        but no more than so many; None sets no limit.
    isa : str, default=None
        Instruction set, one of ``ISAS``; None: the default.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
        Weights, views on one aligned buffer.
    intercepts : list of ndarray of shape (n_out,)
        Biases, likewise.
    n_params : int
        Number of weights and biases.
    team_size : int
        Threads that really ran in the last training call.

    activation : str or tuple of str
        As given.
    dropout : tuple of float, or None
        As given.

    Raises
    ------
    ValueError
        For an unknown name, an option that the loss does not take or a value out of its range, layers too wide for
        BLAS's integers, or another number of activations or rates than there are layers for them.
    MemoryError
        If the parameters do not fit.
    """

    cdef readonly tuple layer_units
    cdef readonly object dtype
    cdef readonly object activation, dropout
    cdef readonly object loss
    cdef readonly object segments       # tuple of int or None
    cdef readonly object n_threads, max_threads, isa
    cdef readonly list coefs, intercepts
    cdef readonly object n_params
    cdef readonly int team_size
    cdef Job job
    cdef Arena _parameters, _workspace, _gradients, _quantiles
    cdef object _offsets                # array of intp
    cdef object _gradient_state
    cdef Source _source
    cdef object _targets, _sample_weight
    cdef ptrdiff_t _planned_batch, _workspace_batch
    cdef int _workspace_threads
    cdef double _alone_until            # fm_seconds() of the next try with the team
    cdef ptrdiff_t _largest_tile        # elements
    cdef object _busy                   # held by the one call that may be inside

    def __cinit__(self, layer_units, activation, loss, dtype, *, loss_options=None, dropout=None, n_threads=None,
                  max_threads=None, isa=None):
        self.layer_units = tuple(int(n) for n in layer_units)
        self.dtype = np.dtype(dtype)
        self.loss = loss
        self.n_threads = n_threads
        self.max_threads = checked_max_threads(max_threads)
        self.isa = isa
        if len(self.layer_units) < 2 or not all(0 < n <= MAX_DIMENSION for n in self.layer_units):
            raise ValueError(f"layer_units={self.layer_units}: two or more, each from 1 to {MAX_DIMENSION}")
        if len(self.layer_units) - 1 > MAX_LAYERS:
            raise ValueError(f"{len(self.layer_units) - 1} layers: at most {MAX_LAYERS}")
        self._busy = threading.Lock()
        self.n_params = sum((n_in + 1) * n_out for n_in, n_out in zip(self.layer_units, self.layer_units[1:]))
        if self.n_params > sys.maxsize // 16:
            raise MemoryError(f"{self.n_params} parameters")
        memset(&self.job, 0, sizeof(Job))
        self.job.kernels = kernels_for(self.dtype, isa)
        self.job.blas = blas_for(self.dtype)
        self.job.itemsize = self.dtype.itemsize
        self.job.n_layers = len(self.layer_units) - 1
        self.job.loss_number = loss_number(loss)
        self.job.target = loss_row(self.job.loss_number).target
        self._set_loss_options(loss_options)
        self.activation = activation_names(activation, self.job.n_layers - 1)
        self._plan_layers()
        self._plan_dropout(dropout)
        self._plan_tiles()

    cdef _set_loss_options(self, options):
        n_outputs = self.layer_units[-1]
        numbers = loss_numbers(self.loss, options, self.dtype)
        levels = numbers["quantiles"]
        if len(levels) not in (1, n_outputs):
            raise ValueError(f"quantiles={levels}: one, or one for each of the {n_outputs} outputs")
        for i, name in enumerate(LOSS_OPTIONS):
            self.job.loss_options.numbers[<int> i] = levels[0] if name == "quantiles" else numbers[name]
        self._quantiles = Arena()
        self._quantiles.reserve("levels", padded(n_outputs, self.job.itemsize) * self.job.itemsize)
        self._quantiles.allocate()
        self._quantiles.view("levels", (n_outputs,), self.dtype)[:] = levels
        self.job.loss_options.quantiles = self._quantiles.pointer("levels")
        segments = None if options is None else options.get("segments")
        if segments is not None and "segments" not in LOSS_ROWS[self.loss].options:
            raise ValueError(f"segments={segments!r}: the loss {self.loss!r} has no such option")
        self._offsets = offsets_of(segments, n_outputs)
        self.segments = None if segments is None else tuple(segments)
        self.job.loss_options.offsets = <const ptrdiff_t *> data_of(self._offsets, False)
        self.job.loss_options.n_segments = len(self._offsets) - 1

    cdef _plan_layers(self):
        cdef ptrdiff_t n_in, n_out
        cdef int l, number, last = self.job.n_layers - 1
        cdef Trained *t
        shared = isinstance(self.activation, str)
        numbers = [activation_number(name) for name in ((self.activation,) if shared else self.activation)]
        self._parameters = self._new_parameters()
        self.job.layers = <Trained *> calloc(self.job.n_layers, sizeof(Trained))
        if self.job.layers == NULL:
            raise MemoryError
        for l in range(self.job.n_layers):
            t = &self.job.layers[l]
            n_in, n_out = self.layer_units[l], self.layer_units[l + 1]
            t.layer.strategy = dense_strategy(n_in, n_out)
            t.layer.n_in = n_in
            t.layer.n_out = n_out
            t.layer.ld = padded(n_out, self.job.itemsize)
            t.layer.weights = self._parameters.pointer(("coefs", l))
            t.layer.bias = self._parameters.pointer(("intercepts", l))
            if l < last:
                number = numbers[0 if shared else l]
                t.map = self.job.kernels.map[number]
                t.layer.finish = self.job.kernels.forward[number if t.map == NULL else <int> FM_ACTIVATION_identity]
                t.backward = self.job.kernels.backward[number]
        self.coefs, self.intercepts = self.views(
            self._parameters.view(("coefs", 0), (self._state_size(),), self.dtype))

    cdef _plan_dropout(self, dropout):
        cdef int l
        self.dropout = None if dropout is None else tuple(float(rate) for rate in dropout)
        if self.dropout is None:
            return
        if len(self.dropout) != self.job.n_layers or not all(0 <= rate < 1 for rate in self.dropout):
            raise ValueError(
                f"dropout={self.dropout}: {self.job.n_layers} rates in [0, 1), of the input and of each hidden layer")
        for l, rate in enumerate(self.dropout):
            self._dropout_of(l).threshold = min(round(rate * 2**16), 2**16 - 1)
            self._dropout_of(l).scale = 65536.0 / (65536 - self._dropout_of(l).threshold)

    cdef Dropout *_dropout_of(self, int l) noexcept:
        """Of the l-th hidden layer's outputs, or for l = 0 of the input."""
        return &self.job.input_dropout if l == 0 else &self.job.layers[l - 1].dropout

    cdef Arena _new_parameters(self):
        """An arena of the parameters' layout: weights in layer order, then biases, readable to whole lanes."""
        arena = Arena()
        for l, (n_in, n_out) in enumerate(zip(self.layer_units, self.layer_units[1:])):
            arena.reserve(("coefs", l), n_in * n_out * self.dtype.itemsize)
        for l, n_out in enumerate(self.layer_units[1:]):
            arena.reserve(("intercepts", l), padded(n_out, self.dtype.itemsize) * self.dtype.itemsize)
        arena.allocate()
        return arena

    cdef _plan_tiles(self):
        tiles = []
        for l, (n_in, n_out) in enumerate(zip(self.layer_units, self.layer_units[1:])):
            pieces = min(ceil_div(n_in * n_out, TILE_ELEMENTS), max(TILES, n_in // TILE_ROWS), n_in)
            pieces = max(1, min(pieces, FM_MOST_ITEMS // (4 * self.job.n_layers)))
            rows = ceil_div(n_in, pieces)
            if l == 0:
                self.job.cut_width = rows
                self.job.n_cuts = ceil_div(n_in, rows) + 1
            tiles += [(l, start, min(start + rows, n_in)) for start in range(0, n_in, rows)]
            tiles.append((l, -1, 0))
            self._largest_tile = max(self._largest_tile, rows * n_out)
        self.job.n_tiles = len(tiles)
        self.job.tiles = <Tile *> calloc(self.job.n_tiles, sizeof(Tile))
        if self.job.tiles == NULL:
            raise MemoryError
        for i, (l, start, stop) in enumerate(tiles):
            self.job.tiles[i].layer = l
            self.job.tiles[i].start = start
            self.job.tiles[i].stop = stop

    cdef _plan_columns(self):
        """Blocks of the weights' columns, as few as the phases can count."""
        blocks = []
        for l, n_out in enumerate(self.layer_units[1:]):
            width = max(<ptrdiff_t> FM_COLUMNS, ceil_div(n_out, FM_MOST_ITEMS // (4 * self.job.n_layers)))
            blocks += [(l, first, min(width, n_out - first)) for first in range(0, n_out, width)]
        self.job.columns = <Columns *> calloc(len(blocks), sizeof(Columns))
        if self.job.columns == NULL:
            raise MemoryError
        self.job.n_columns = len(blocks)
        for i, (l, first, count) in enumerate(blocks):
            self.job.columns[i].layer = l
            self.job.columns[i].first = first
            self.job.columns[i].count = count

    def __dealloc__(self):
        free(self.job.layers)
        free(self.job.tiles)
        free(self.job.columns)

    cdef _enter(self):
        """Two calls at once, from two threads or from a signal's handler, would share one workspace: refuse."""
        if not self._busy.acquire(False):
            raise RuntimeError("this network is in use by another call")

    # ---- data ----

    def bind(self, X, y, sample_weight=None):
        """Set the training data; arrays are kept, not copied.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            float32 or float64; rows are cast as they are gathered. CSR indices must be within bounds and ascending.
        y : ndarray, C-contiguous
            By ``LOSS_ROWS[loss].target``. "code": (n_samples,) intp class codes, with segments (n_samples, n_segments),
            codes within each; "bit": (n_samples, n_outputs) bool or uint8; "real": (n_samples, n_outputs) of the
            network's dtype.
        sample_weight : ndarray of shape (n_samples,), float64, default=None
            Non-negative; None means 1.

        Raises
        ------
        ValueError
            If a shape or dtype does not fit the network, or X is sparse and the input has dropout.
        """
        self._enter()
        try:
            self._bind(X, y, sample_weight)
        finally:
            self._busy.release()

    cdef Source _checked(self, X, y, sample_weight):
        """X as a source of rows that it, y and sample_weight all fit."""
        cdef Source source = Source(X)
        n_outputs = self.layer_units[-1]
        if source.n_features != self.layer_units[0]:
            raise ValueError(f"X has {source.n_features} features, the network {self.layer_units[0]}")
        kinds = {FM_TARGET_CODE: (np.intp,), FM_TARGET_BYTE: (np.bool_, np.uint8)}.get(self.job.target, (self.dtype,))
        sizes = np.diff(self._offsets)
        if self.job.target != FM_TARGET_CODE:
            shape = (source.n_rows, n_outputs)
        elif self.segments is None:
            shape = (source.n_rows,)
        else:
            shape = (source.n_rows, len(sizes))
        if y.shape != shape or y.dtype not in kinds:
            raise ValueError(f"y: shape {shape} of {kinds[0]}, not {y.shape} of {y.dtype}")
        if self.job.target == FM_TARGET_CODE and y.size:
            for size, codes in zip(sizes, y.reshape(source.n_rows, -1).T):
                if codes.min() < 0 or codes.max() >= size:
                    raise ValueError(f"y: codes from 0 to {size - 1}, got {codes.min()} to {codes.max()}")
        if sample_weight is not None and (
            sample_weight.shape != (source.n_rows,) or sample_weight.dtype != np.float64
        ):
            raise ValueError(f"sample_weight: shape ({source.n_rows},) of float64")
        return source

    cdef _bind(self, X, y, sample_weight):
        cdef Source source = self._checked(X, y, sample_weight)
        if source.sparse and self.dropout is not None and self.dropout[0] > 0:
            raise ValueError(f"dropout={self.dropout}: none of a sparse input")
        # both first: a refusal leaves what was bound before
        cdef char *targets = data_of(y, False)
        cdef char *weights = NULL if sample_weight is None else data_of(sample_weight, False)
        self.job.targets = targets
        self.job.sample_weight = <double *> weights
        self._source = source
        self._targets = y
        self._sample_weight = sample_weight
        self.job.layers[0].layer.strategy = SPARSE if source.sparse else dense_strategy(
            self.job.layers[0].layer.n_in, self.job.layers[0].layer.n_out)
        self.job.uses_blas = self.uses_blas
        self._planned_batch = 0

    def release(self):
        """Let go of the data that :meth:`bind` set; parameters and workspaces stay."""
        self._enter()
        try:
            self._source = self._targets = self._sample_weight = None
            self.job.targets = NULL
            self.job.sample_weight = NULL
        finally:
            self._busy.release()

    def new_state(self):
        """A zeroed array with room for one number per parameter: an optimizer's state."""
        arena = self._new_parameters()
        return arena.view(("coefs", 0), (self._state_size(),), self.dtype)

    def views(self, state):
        """An optimizer's state as arrays of the parameters' shapes.

        Parameters
        ----------
        state : ndarray
            From :meth:`new_state`.

        Returns
        -------
        coefs, intercepts : list of ndarray
            Views, shaped as the attributes of these names.
        """
        cdef char *base = self.job.layers[0].layer.weights
        cdef Layer *layer
        cdef int l
        coefs, intercepts = [], []
        for l in range(self.job.n_layers):
            layer = &self.job.layers[l].layer
            for views, start, shape in (
                (coefs, (layer.weights - base) // self.job.itemsize, (layer.n_in, layer.n_out)),
                (intercepts, (layer.bias - base) // self.job.itemsize, (layer.n_out,)),
            ):
                views.append(state[start:start + np.prod(shape)].reshape(shape))
        return coefs, intercepts

    cdef ptrdiff_t _state_size(self):
        """Elements from the first weight to the end of the last bias in the parameters' layout."""
        cdef Trained *last = &self.job.layers[self.job.n_layers - 1]
        return (last.layer.bias - self.job.layers[0].layer.weights) // self.job.itemsize + last.layer.n_out

    # ---- training ----

    def epoch(self, rows, ptrdiff_t batch_size, optimizer, double alpha):
        """Pass once over the given rows, a step of the optimizer after each batch.

        Parameters
        ----------
        rows : ndarray of intp or None
            Row numbers in training order; None takes all rows in their own order.
        batch_size : int
            Rows in a batch; the last may be shorter.
        optimizer : object
            With ``name`` (of ``OPTIMIZERS``), ``rate``, ``hyper`` (dict), ``state`` (list from :meth:`new_state`) and
            ``t``, the number of updates so far, which is advanced, also when the epoch is interrupted. It may have
            ``rates``, float64 of shape (n_batches,): the learning rate of each batch in place of ``rate``. Optimizers
            that carry numbers from step to step leave them in ``memory``, a list of floats, and find them there. For a
            network with dropout it has ``dropout_seed``, an int in [0, 2**64): with ``t`` it says which outputs are 0.

            ``hyper`` has ``momentum`` and ``nesterov``, or those of ``beta_1``, ``beta_2`` and ``epsilon`` that the
            optimizer knows; and, if they are wished for: ``weight_decay`` (w is multiplied by 1 - rate * weight_decay
            before each step; biases are exempt), ``clip_value`` (each element of the gradient, penalty included, is
            held within it), ``clip_norm`` (the gradient over all parameters is scaled to this length if it is longer)
            and ``max_norm`` (so is each unit's vector of incoming weights, after each step).
        alpha : float
            L2 penalty, divided by the batch's sum of weights; biases are exempt.

        Returns
        -------
        loss : float
            sum(batch loss * rows of the batch) / rows, penalty included.

        Raises
        ------
        ValueError
            If the optimizer's numbers or arrays do not fit.
        KeyboardInterrupt, or what another signal handler raised
            Between batches: the parameters are those after a whole number of them.
        """
        self._enter()
        try:
            return self._epoch(rows, batch_size, optimizer, alpha)
        finally:
            self._busy.release()

    cdef double _epoch(self, rows, ptrdiff_t batch_size, optimizer, double alpha) except? -1:
        self.job.optimizer = optimizer_number(optimizer.name)
        self.job.batches = 0
        self._clear_update()
        self.job.update.learning_rate = optimizer.rate
        self.job.update.t = optimizer.t
        for name, value in optimizer.hyper.items():
            self._set_hyper(name, value)
        self._set_state(optimizer.state)
        self._check_hyper(optimizer.name)
        if self.job.update.weight_decay > 0 or self.job.update.clip_value < INFINITY:
            self.job.step = self.job.kernels.adjusted_step[self.job.optimizer]
        if self.job.max_norm > 0 and self.job.columns == NULL:
            self._plan_columns()
        cdef int n_memory = self.job.optimizer_row.n_memory, i
        if n_memory:
            memory = getattr(optimizer, "memory", ())
            if len(memory) != n_memory and (optimizer.t > 0 or len(memory) > 0):
                raise ValueError(f"{len(memory)} numbers in memory after {optimizer.t} updates, not {n_memory}")
            for i in range(len(memory)):
                self.job.update.memory[i] = memory[i]
        try:
            self._train(rows, batch_size, alpha, getattr(optimizer, "rates", None),
                        getattr(optimizer, "dropout_seed", None), True)
        finally:
            optimizer.t += self.job.batches
            if n_memory:
                optimizer.memory = [self.job.update.memory[i] for i in range(n_memory)]
        return self.job.loss_sum / self.job.n_rows

    cdef _clear_update(self):
        """Forget what the call before was to do to the gradient and the weights."""
        memset(&self.job.update, 0, sizeof(fm_update))
        self.job.update.clip_value = INFINITY
        self.job.rates = NULL
        self.job.clip_norm = self.job.max_norm = 0

    cdef _check_hyper(self, name):
        if self.job.clip_norm > 0 and self.job.update.clip_value < INFINITY:
            raise ValueError(f"clip_norm={self.job.clip_norm} and clip_value={self.job.update.clip_value}: one of them")
        if self.job.optimizer_row.averages:
            if not self.job.update.beta_1 > 0:
                raise ValueError(f"beta_1={self.job.update.beta_1}: above 0 for {name}")
            if self.job.max_norm > 0:
                raise ValueError(f"max_norm={self.job.max_norm}: not for {name}, whose weights are averages")

    cdef _set_hyper(self, str name, double value):
        cdef fm_update *u = &self.job.update
        if name == "momentum":
            u.momentum = value
        elif name == "nesterov":
            u.nesterov = value
        elif name == "beta_1":
            u.beta_1 = value
        elif name == "beta_2":
            u.beta_2 = value
        elif name == "epsilon":
            u.epsilon = value
        elif name == "weight_decay":
            if not 0 <= value < INFINITY:
                raise ValueError(f"weight_decay={value}: finite and at least 0")
            u.weight_decay = value
        elif name in ("clip_value", "clip_norm", "max_norm"):
            if not 0 < value < INFINITY:
                raise ValueError(f"{name}={value}: finite and above 0")
            if name == "clip_value":
                u.clip_value = value
            elif name == "clip_norm":
                self.job.clip_norm = value
            else:
                self.job.max_norm = value
        else:
            raise ValueError(f"unknown optimizer parameter {name!r}")

    cdef _set_state(self, states):
        """Give each layer its part of the optimizer's arrays, which have the layout of the parameters."""
        cdef char *base = self.job.layers[0].layer.weights
        cdef char *state
        cdef Trained *t
        cdef int l, s
        self.job.optimizer_row = optimizer_row(self.job.optimizer)
        self.job.step = self.job.kernels.step[self.job.optimizer]
        if len(states) != self.job.optimizer_row.n_states:
            raise ValueError(f"{len(states)} state arrays, not {self.job.optimizer_row.n_states}")
        for s in range(FM_MAX_STATES):
            state = NULL
            if s < len(states):
                if states[s].dtype != self.dtype or states[s].shape != (self._state_size(),):
                    raise ValueError(f"state: shape ({self._state_size()},) of {self.dtype}")
                state = data_of(states[s], True)
            for l in range(self.job.n_layers):
                t = &self.job.layers[l]
                t.weight_state[s] = state + (t.layer.weights - base) if state != NULL else NULL
                t.bias_state[s] = state + (t.layer.bias - base) if state != NULL else NULL

    def loss_and_grad(self, rows=None, double alpha=0.0):
        """Loss and gradient over all the given rows at the current parameters.

        Parameters
        ----------
        rows : ndarray of intp, default=None
            Row numbers; None takes all.
        alpha : float, default=0.0
            L2 penalty, as in :meth:`epoch`.

        Returns
        -------
        loss : float
            Mean loss, weighted by sample_weight, penalty included.
        coef_grads, intercept_grads : list of ndarray
            Shaped as ``coefs`` and ``intercepts``; the network's own, overwritten by the next call.
        """
        self._enter()
        try:
            return self._loss_and_grad(rows, alpha)
        finally:
            self._busy.release()

    cdef tuple _loss_and_grad(self, rows, double alpha):
        if self._source is None:
            raise ValueError("no data: call bind first")
        if self._gradient_state is None:
            state = self.new_state()
            self._gradient_state = (state, *self.views(state))
        state, coef_grads, intercept_grads = self._gradient_state
        self.job.optimizer = FM_OPTIMIZER_gradient
        self._clear_update()
        self._set_state([state])
        self._train(rows, max(1, self._source.n_rows if rows is None else len(rows)), alpha, None, None, False)
        return self.job.loss_sum / self.job.n_rows, coef_grads, intercept_grads

    cdef _train(self, rows, ptrdiff_t batch_size, double alpha, rates, seed, bint with_dropout):
        """One pass over the rows by a team of threads, without the GIL."""
        if self._source is None:
            raise ValueError("no data: call bind first")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least 1")
        cdef Job *job = &self.job
        cdef const ptrdiff_t *index = index_of(rows, self._source.n_rows)
        cdef int n_threads
        job.batches = 0
        job.loss_sum = 0
        job.abandoned = False
        job.n_rows = self._source.n_rows if rows is None else len(rows)
        if job.n_rows < 1:
            raise ValueError("no rows")
        job.batch_size = min(batch_size, job.n_rows)
        if rates is not None:
            n_batches = ceil_div(job.n_rows, job.batch_size)
            if rates.shape != (n_batches,) or rates.dtype != np.float64:
                raise ValueError(f"rates: shape ({n_batches},) of float64, not {rates.shape} of {rates.dtype}")
            job.rates = <const double *> data_of(rates, False)
        job.reader = reader_of(self._source, job.kernels, job.itemsize, index)
        self._set_dropout(seed, with_dropout)
        if job.input_dropout.on:
            job.reader.direct = False  # what is dropped is dropped from a copy
        self._plan_batch(job.batch_size)
        n_threads = effective_n_threads(self.n_threads, self.max_threads)
        if self.n_threads is None:
            worth = PAIR_FLOPS // 2 if job.groups > 1 else THREAD_FLOPS
            n_threads = max(1, min(n_threads, 6 * self.n_params * job.batch_size // worth))
            if fm_seconds() < self._alone_until:
                n_threads = 1
        self._reserve(job.batch_size, n_threads)
        self._set_outputs()
        job.update.alpha = alpha
        memset(&job.phases, 0, sizeof(fm_phases))
        job.stage = PREPARE
        job.stop = 0
        job.team_size = n_threads
        fm_open(&job.phases, job.n_tiles)
        job.waited = 0
        cdef double began = fm_seconds()
        watch(&job.signals)
        if n_threads == 1:
            job.members = 1
            with nogil:
                run(job, 0)
        else:
            with nogil, parallel(num_threads=n_threads):
                if threadid() == 0:
                    job.members = fm_team_size()
                run(job, threadid())
        self.team_size = job.members
        if n_threads > 1 and self.n_threads is None:
            # one that is late is waited for by all others
            waited = 1e-9 * job.waited / max(1, job.members - 1)
            ended = fm_seconds()
            self._heed_company(waited + ended - job.finished, ended - began)
        raise_pending(&job.signals)

    cdef _set_dropout(self, seed, bint wanted):
        """Switch the layers' dropout on or off for this call."""
        cdef int l
        for l in range(self.job.n_layers):
            self._dropout_of(l).on = wanted and self.dropout is not None and self.dropout[l] > 0
        if wanted and self.dropout is not None and any(self.dropout):
            if seed is None or not 0 <= seed < 2**64:
                raise ValueError(f"dropout_seed={seed!r}: a network with dropout needs an int in [0, 2**64)")
            self.job.seed = <uint64_t> seed

    cdef _set_outputs(self):
        """Say what the next layers read in this call."""
        cdef Trained *t
        cdef int l
        for l in range(self.job.n_layers - 1):
            t = &self.job.layers[l]
            t.outputs = t.activations
            if t.map != NULL or t.dropout.on:
                t.outputs = self._workspace.pointer(("outputs", l))

    cdef bint _has_outputs(self, int l):
        """Whether a hidden layer ever has outputs beside its activations."""
        return self.job.layers[l].map != NULL or (self.dropout is not None and self.dropout[l + 1] > 0)

    cdef _heed_company(self, double waited, double elapsed):
        """Work alone for a while after a call that had to wait: others may need the cores."""
        if waited > PATIENCE + PATIENCE_SHARE * elapsed:
            self._alone_until = fm_seconds() + min(SOLITUDE * waited, MOST_SOLITUDE)

    cdef _plan_batch(self, ptrdiff_t batch_size):
        """How batches of this size are cut into chunks, groups and blocks of rows."""
        cdef Job *job = &self.job
        if batch_size == self._planned_batch:
            return
        widths = sum(padded(n, job.itemsize) for n in self.layer_units)
        job.chunk_rows = min(batch_size, CHUNK_ROWS, max(64, CHUNK_BYTES // (2 * job.itemsize * widths)))
        flops = 6 * self.n_params * batch_size
        # what the cores fetch from each other: parameters once a group, or activations and deltas
        exchanged = batch_size * (self.layer_units[0] + 2 * sum(self.layer_units[1:]))
        job.groups = 1 if job.reader.sparse or job.uses_blas or batch_size > job.chunk_rows else GROUPS
        while job.groups > 1 and (
            job.groups * self.n_params > exchanged
            or flops < (job.groups * GROUP_FLOPS if job.groups > 2 else PAIR_FLOPS)
        ):
            job.groups //= 2
        if self.n_params * job.itemsize > CACHED_BYTES:
            job.block_rows, job.blocks_each = LARGE_BLOCK_ROWS, LARGE_BLOCKS_EACH
        else:
            job.block_rows, job.blocks_each = BLOCK_ROWS, BLOCKS_EACH
        self._planned_batch = batch_size

    cdef _reserve(self, ptrdiff_t batch_size, int n_threads):
        """Workspaces for batches of this size; kept from call to call while they fit."""
        cdef Job *job = &self.job
        cdef ptrdiff_t itemsize = job.itemsize, chunk, block
        cdef ptrdiff_t last_ld = job.layers[job.n_layers - 1].layer.ld
        cdef bint gathers = not job.reader.direct and not job.reader.sparse
        cdef Layer *layer
        cdef Arena arena
        cdef int l

        job.inputs_ld = padded(self.layer_units[0], itemsize)
        chunk = job.chunk_rows
        if (batch_size > chunk or job.clip_norm > 0) and self._gradients is None:
            self._gradients = self._new_parameters()
            for l in range(job.n_layers):
                job.layers[l].weight_gradient = self._gradients.pointer(("coefs", l))
                job.layers[l].bias_gradient = self._gradients.pointer(("intercepts", l))
        if (self._workspace is not None and self._workspace_batch == batch_size
                and self._workspace_threads >= n_threads and (job.inputs != NULL or not gathers)
                and (job.cuts != NULL) == job.reader.sparse):
            return
        # gone first: if memory runs out, the next call starts from nothing
        self._workspace = None
        job.group_stride = padded(self._state_size(), itemsize)
        block = min(chunk, job.block_rows)
        arena = Arena()
        if gathers:
            arena.reserve("inputs", chunk * job.inputs_ld * itemsize)
        if job.reader.sparse:
            arena.reserve("cuts", chunk * job.n_cuts * sizeof(int32_t))
        for l in range(job.n_layers):
            layer = &job.layers[l].layer
            if l > 0 and layer.strategy == FUSED:
                layer.transposed_ld = padded(layer.n_in, itemsize)
                arena.reserve(("transposed", l), layer.n_out * layer.transposed_ld * itemsize)
            if l < job.n_layers - 1:
                arena.reserve(("activations", l), chunk * layer.ld * itemsize)
                if self._has_outputs(l):
                    arena.reserve(("outputs", l), chunk * layer.ld * itemsize)
            arena.reserve(("deltas", l), chunk * layer.ld * itemsize)
        if job.groups > 1:
            arena.reserve("groups", job.groups * job.group_stride * itemsize)
        arena.reserve("row_loss", chunk * sizeof(double))
        arena.reserve("tile_squares", job.n_tiles * sizeof(double))
        arena.reserve("tile_norms", job.n_tiles * sizeof(double))
        # a thread's scratch: a tile's gradient or, in the other phase, targets and weights of a block
        job.scratch_weights = block * last_ld * itemsize
        job.scratch_size = max(self._largest_tile * itemsize, job.scratch_weights + block * <ptrdiff_t> sizeof(double))
        job.scratch_size = ceil_div(job.scratch_size, FM_ROW_BYTES) * FM_ROW_BYTES
        arena.reserve("scratch", n_threads * job.scratch_size)
        arena.allocate()
        job.inputs = arena.pointer("inputs") if gathers else NULL
        job.cuts = <int32_t *> (arena.pointer("cuts") if job.reader.sparse else NULL)
        for l in range(job.n_layers):
            if l > 0 and job.layers[l].layer.strategy == FUSED:
                job.layers[l].layer.transposed = arena.pointer(("transposed", l))
            if l < job.n_layers - 1:
                job.layers[l].activations = arena.pointer(("activations", l))
            job.layers[l].deltas = arena.pointer(("deltas", l))
        job.group_gradients = arena.pointer("groups") if job.groups > 1 else NULL
        job.parameters = job.layers[0].layer.weights
        job.row_loss = <double *> arena.pointer("row_loss")
        job.tile_squares = <double *> arena.pointer("tile_squares")
        job.tile_norms = <double *> arena.pointer("tile_norms")
        job.scratch = arena.pointer("scratch")
        self._workspace = arena
        self._workspace_batch = batch_size
        self._workspace_threads = n_threads

    @property
    def groups(self):
        """Groups of rows whose gradients were summed apart in the last training call; a function of shapes alone."""
        return self.job.groups

    @property
    def uses_blas(self):
        """Whether a layer's products go to BLAS: hold :func:`single_threaded_blas` around the training then."""
        cdef int l
        for l in range(self.job.n_layers):
            if self.job.layers[l].layer.strategy == BLAS:
                return True
        return False

    # ---- prediction ----

    def predict(self, X, rows=None):
        """Outputs for X at the current parameters, shape (n, n_outputs), as :func:`forward`."""
        return forward(self.coefs, self.intercepts, self.activation, LOSSES[self.loss], X, rows,
                       segments=self.segments, n_threads=self.n_threads, max_threads=self.max_threads,
                       isa=self.isa)

    def evaluate(self, X, y, sample_weight=None):
        """Mean loss of other data at the current parameters, without dropout; data that are bound stay so.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            As in :meth:`bind`, dense or sparse whatever is bound.
        y : ndarray, C-contiguous
            As in :meth:`bind`.
        sample_weight : ndarray of shape (n_samples,), float64, default=None
            Non-negative, not all zero; None means 1.

        Returns
        -------
        loss : float
            sum(weight * loss of the row) / sum(weight), without penalty; the same for any number of threads.

        Raises
        ------
        ValueError
            If there are no rows, a shape or dtype does not fit the network, or all weights are zero.
        """
        self._enter()
        try:
            return self._evaluate(X, y, sample_weight)
        finally:
            self._busy.release()

    cdef double _evaluate(self, X, y, sample_weight) except? -1:
        cdef Source source = self._checked(X, y, sample_weight)
        cdef Predictor predictor = Predictor(self.coefs, self.intercepts, self.activation, "identity",
                                             max_threads=self.max_threads, isa=self.isa)
        return predictor.mean_loss(source, y, sample_weight, self.job.loss_number, &self.job.loss_options,
                                   self.n_threads)
