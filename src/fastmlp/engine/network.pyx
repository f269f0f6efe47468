"""A multilayer perceptron as data: parameters, and the calls that train it."""

import threading

import numpy as np

from cython.parallel cimport parallel, threadid
from libc.stdint cimport uint64_t
from libc.string cimport memset

from .forward cimport Prediction, mean_loss, outputs_of
from .kernels cimport (
    FM_MAX_STATES, FM_OPTIMIZER_gradient, FM_TARGET_BYTE, FM_TARGET_CODE, fm_augmentation, loss_number, loss_row,
    offsets_of, optimizer_number,
)
from .kinds cimport first_kind
from .layers cimport Dropout, Layers, Parameter, Pass, Trace
from .memory cimport Arena, ceil_div, data_of, padded
from .plan cimport Plan
from .source cimport Source, index_of, reader_of
from .step cimport PREPARE, Job, run, scale_dropout
from .threads cimport fm_open, fm_phases, fm_seconds, fm_team_size, raise_pending, startable, watch
from .tuning cimport MOST_SOLITUDE, PAIR_FLOPS, PATIENCE, PATIENCE_SHARE, SOLITUDE, THREAD_FLOPS
from .update cimport begin_update, check_hyper, heed_limits, set_group, set_hyper

from .kernels import LOSS_OPTIONS, LOSS_ROWS, loss_numbers
from .threads import checked_max_threads, effective_n_threads

_LARGEST = np.finfo(np.float64).max


cdef class Network:
    """A multilayer perceptron's parameters and the compiled loop that trains them.

    Parameters
    ----------
    layers : sequence of int, or of layers
        Units of every layer of a multilayer perceptron, input and output included: (n_features, ..., n_outputs). Or
        `Inputs` and layers of :mod:`fastmlp.engine.architecture`, the last of them `Dense`.
    activation : str or sequence of str, or None
        Activation of the hidden layers that are given as units, of ``ACTIVATIONS``: one for all, or one for each. None
        where layers are given, which have theirs.
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
        Rates in [0, 1) of the numbers of the input and of each layer but the last, none of layers that read the input
        beside others: the shares of their outputs that :meth:`epoch` sets to 0,
        anew in each update, while the others are divided by 1 - rate. None: no dropout. Srivastava et al. (2014),
        "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15.
    augmentation : Augmentation, default=None
        How :meth:`epoch` changes rows of X, each anew in each epoch. None: it does not.
    n_threads : int, default=None
        Threads to use, whatever the work; None: what the environment allows and the work is worth.
    max_threads : int, default=None
        The most threads, if n_threads is None; None sets no limit.
    isa : str, default=None
        Instruction set, one of ``ISAS``; None: the default.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_in, n_out)
        Weights of the dense layers, views on one aligned buffer.
    intercepts : list of ndarray of shape (n_out,)
        Biases, likewise.
    n_params : int
        Number of all parameters' elements.
    team_size : int
        Threads that really ran in the last training call.
    parameters : list of (str, ndarray, str)
        Name, array and group of each parameter, layer by layer: views that training changes in place. The groups of
        dense layers are "weights" and "biases" unless they name others.
    groups : tuple of str
        The groups of parameters.
    activation : str or tuple of str
        As given.
    dropout : tuple of float, or None
        As given.
    augmentation : Augmentation or None
        As given.
    draws : bool
        Whether training draws random numbers: for dropout, or augmentation.

    Raises
    ------
    ValueError
        For an unknown name, an option that the loss does not take or a value out of its range, layers too wide for
        BLAS's integers, or another number of activations or rates than there are layers for them.
    MemoryError
        If the parameters do not fit.
    """

    cdef readonly object loss
    cdef readonly tuple dropout
    cdef readonly object augmentation
    cdef readonly object segments       # tuple of int or None
    cdef readonly object n_threads, max_threads, isa
    cdef readonly list coefs, intercepts
    cdef readonly int team_size
    cdef Layers _layers
    cdef Plan _plan
    cdef Job job
    cdef Arena _parameters, _traces, _quantiles
    cdef object _offsets                # array of intp
    cdef object _values, _gradient_state
    cdef Source _source
    cdef object _targets, _sample_weight
    cdef bint _open                     # the epoch goes on in another call
    cdef double _alone_until            # fm_seconds() of the next try with the team
    cdef object _busy                   # held by the one call that may be inside

    def __cinit__(self, layers, activation, loss, dtype, *, loss_options=None, dropout=None, augmentation=None,
                  n_threads=None, max_threads=None, isa=None):
        cdef int i
        self.loss = loss
        self.n_threads = n_threads
        self.max_threads = checked_max_threads(max_threads)
        self.isa = isa
        self._busy = threading.Lock()
        self._layers = Layers(layers, activation, dtype, isa)
        memset(&self.job, 0, sizeof(Job))
        self.job.net = self._layers.net
        self.job.loss_number = loss_number(loss)
        self.job.target = loss_row(self.job.loss_number).target
        self._set_loss_options(loss_options)
        self._parameters = self._layers.reserve()
        self._values = self._layers.flat(self._parameters)
        for i in range(self.job.net.n_parameters):
            self.job.net.parameters[i].value = self._parameters.pointer(i)
        self.coefs, self.intercepts = self.views(self._values)
        self._traces = Arena()
        self._traces.reserve("traces", self.job.net.n_layers * sizeof(Trace))
        self._traces.allocate()
        self.job.net.traces = <Trace *> self._traces.pointer("traces")
        self.job.net.traced = self.job.net.trains = True
        self._set_dropout_rates(dropout)
        self._set_augmentation(augmentation)
        self._plan = Plan(self._layers)
        self._plan.cut_parameters(&self.job)

    @property
    def layer_units(self):
        return self._layers.units

    @property
    def dtype(self):
        return self._layers.dtype

    @property
    def hidden_activations(self):
        """Activations of the layers with weights and biases, the last excepted."""
        return list(self._layers.hidden_activations)

    @property
    def activation(self):
        return self._layers.activation

    @property
    def n_params(self):
        return self._layers.n_params

    @property
    def groups(self):
        return self._layers.groups

    @property
    def parameters(self):
        """Name, array and group of each parameter, layer by layer."""
        return [(name, array, self.groups[self.job.net.parameters[i].group])
                for i, (name, array) in enumerate(zip(self._layers.names, self.arrays_in(self._values), strict=True))]

    cdef _set_loss_options(self, options):
        n_outputs = self.layer_units[-1]
        numbers = loss_numbers(self.loss, options, self.dtype)
        levels = numbers["quantiles"]
        if len(levels) not in (1, n_outputs):
            raise ValueError(f"quantiles={levels}: one, or one for each of the {n_outputs} outputs")
        for i, name in enumerate(LOSS_OPTIONS):
            self.job.loss_options.numbers[<int> i] = levels[0] if name == "quantiles" else numbers[name]
        self._quantiles = Arena()
        self._quantiles.reserve("levels", padded(n_outputs, self.job.net.itemsize) * self.job.net.itemsize)
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

    cdef _set_dropout_rates(self, dropout):
        cdef int l
        self.dropout = None if dropout is None else tuple(float(rate) for rate in dropout)
        if self.dropout is None:
            return
        if len(self.dropout) != self.job.net.n_layers or not all(0 <= rate < 1 for rate in self.dropout):
            raise ValueError(f"dropout={self.dropout}: {self.job.net.n_layers} rates in [0, 1), of the input and of"
                             " each hidden layer")
        for l, rate in enumerate(self.dropout):
            if rate > 0 and l > 0 and self.job.net.layers[l - 1].beside:
                raise ValueError(f"dropout[{l}]={rate}: 0 for layers that read the input beside others")
            self._dropout_of(l).rate = rate

    cdef _set_augmentation(self, augmentation):
        cdef fm_augmentation *a = &self.job.augmentation
        self.augmentation = augmentation
        if augmentation is None:
            return
        if augmentation.size != self._layers.units[0]:
            raise ValueError(f"{augmentation}: rows of {augmentation.size} numbers, the network has"
                             f" {self._layers.units[0]}")
        a.channels, a.height, a.width = augmentation.shape
        a.noise = augmentation.noise
        for axis in range(2):
            a.shift[axis], a.flip[axis] = augmentation.shift[axis], augmentation.flip[axis]

    @property
    def draws(self):
        """Whether training draws random numbers: for dropout, or augmentation."""
        return self.augmentation is not None or (self.dropout is not None and any(self.dropout))

    cdef Dropout *_dropout_of(self, int l) noexcept:
        """Of the l-th hidden layer's outputs, or for l = 0 of the input."""
        return &self.job.input_dropout if l == 0 else &self.job.net.layers[l - 1].dropout

    cdef _enter(self):
        """Two calls at once, from two threads or from a signal's handler, would share one workspace: refuse."""
        if not self._busy.acquire(False):
            raise RuntimeError("this network is in use by another call")

    # ---- data ----

    def bind(self, X, y, sample_weight=None, *, codes=None):
        """Set the training data; arrays are kept, not copied.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            float32 or float64, a dense one also uint8, which is divided by 255; rows are cast as they are gathered.
            CSR indices must be within bounds and ascending.
            CSR goes with layers that are given as units.
        y : ndarray, C-contiguous
            By ``LOSS_ROWS[loss].target``. "code": (n_samples,) intp class codes, with segments (n_samples, n_segments),
            codes within each; "bit": (n_samples, n_outputs) bool or uint8; "real": (n_samples, n_outputs) of the
            network's dtype.
        sample_weight : ndarray of shape (n_samples,), float64, default=None
            Non-negative; None means 1.
        codes : C-contiguous ndarray of shape (n_samples, n_categories), int32, default=None
            Levels of the categories of `Inputs`; a negative code stands for no level.

        Raises
        ------
        ValueError
            If a shape or dtype does not fit the network, a code is none of the levels, or X is sparse and the input has
            dropout or is augmented.
        """
        self._enter()
        try:
            self._bind(X, y, sample_weight, codes)
        finally:
            self._busy.release()

    cdef Source _source_of(self, X, codes):
        """X and codes as a source of rows that fit the network."""
        return self._layers.source_of(X, codes)

    cdef Source _checked(self, X, y, sample_weight, codes):
        """X and codes as a source of rows that they, y and sample_weight all fit."""
        cdef Source source = self._source_of(X, codes)
        n_outputs = self.layer_units[-1]
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
            for size, column in zip(sizes, y.reshape(source.n_rows, -1).T):
                if column.min() < 0 or column.max() >= size:
                    raise ValueError(f"y: codes from 0 to {size - 1}, got {column.min()} to {column.max()}")
        if sample_weight is not None and (
            sample_weight.shape != (source.n_rows,) or sample_weight.dtype != np.float64
        ):
            raise ValueError(f"sample_weight: shape ({source.n_rows},) of float64")
        return source

    cdef _bind(self, X, y, sample_weight, codes):
        cdef Source source = self._checked(X, y, sample_weight, codes)
        if source.sparse and self.dropout is not None and self.dropout[0] > 0:
            raise ValueError(f"dropout={self.dropout}: none of a sparse input")
        if source.sparse and self.augmentation is not None:
            raise ValueError(f"{self.augmentation}: not of a sparse input")
        # both first: a refusal leaves what was bound before
        cdef char *targets = data_of(y, False)
        cdef char *weights = NULL if sample_weight is None else data_of(sample_weight, False)
        self.job.targets = targets
        self.job.sample_weight = <double *> weights
        self._source = source
        self._targets = y
        self._sample_weight = sample_weight
        self.job.net.layers[0].kind = first_kind(&self.job.net, source.sparse)
        self.job.uses_blas = self.uses_blas
        self._plan.forget_batch()

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
        return self._layers.flat(self._layers.reserve())

    def arrays_in(self, state):
        """An array of :meth:`new_state` as views of the shapes of the parameters, in their order."""
        return self._layers.arrays_in(state)

    def views(self, state):
        """The part of an optimizer's state that belongs to the dense layers.

        Parameters
        ----------
        state : ndarray
            From :meth:`new_state`.

        Returns
        -------
        coefs, intercepts : list of ndarray
            Views, shaped as the attributes of these names.
        """
        return self._layers.dense_among(self.arrays_in(state))

    # ---- training ----

    def epoch(self, rows, ptrdiff_t batch_size, optimizer, double alpha, *, ptrdiff_t first_row=0, bint more=False):
        """Pass once over the given rows, a step of the optimizer after each batch.

        An epoch may be divided into several calls, between which other data may be bound: `first_row` says how many
        rows are done, and `more` that others follow. The results are those of one call, bit for bit. A call without
        rows that is not the first ends an epoch of which no more rows are to follow; of one that is over it is nothing.

        Parameters
        ----------
        rows : ndarray of intp or None
            Row numbers in training order; None takes all rows in their own order. Those of an epoch's first call, and
            of one with `more`, are at least one.
        batch_size : int
            Rows in a batch; the last may be shorter.
        optimizer : object
            With ``name`` (of ``OPTIMIZERS``), ``rate``, ``hyper`` (dict), ``state`` (list from :meth:`new_state`) and
            ``t``, the number of updates so far, which is advanced, also when the epoch is interrupted. Optimizers that
            carry numbers from step to step leave them in ``memory``, a list of floats, and find them there. For a
            network with dropout it has ``dropout_seed``, an int in [0, 2**64): with ``t`` it says which outputs are 0.

            ``hyper`` has ``momentum`` and ``nesterov``, or those of ``beta_1``, ``beta_2`` and ``epsilon`` that the
            optimizer knows; and optionally ``weight_decay`` (w is multiplied by 1 - rate * weight_decay before each
            step), ``clip_value`` (each element of the gradient, penalty included, is held within it), ``clip_norm``
            (the gradient over all parameters is scaled to this length if it is longer) and ``max_norm`` (so is each
            unit's vector of incoming weights, after each step).

            It may have ``rates``, ``decays`` and ``dropout_factors``, float64 of shape (n_batches,): the learning rate
            and the weight decay of each batch in place of ``rate`` and of that in ``hyper``, and factors in [0, 1] of
            the dropout rates.

            It may have ``groups``, a dict that has for a group of parameters, one of :attr:`groups`, a dict of ``rate``
            (a factor of the learning rate), ``decay`` (a factor of the weight decay) and ``penalised`` (by alpha). The
            defaults are 1, 1 and True for weights and embeddings; for biases, scales and the factors of parametric
            activations 1, 0 and False.
        alpha : float
            L2 penalty on penalised groups, divided by the batch's sum of weights.
        first_row : int, default=0
            Rows of this epoch that earlier calls have trained on, a multiple of batch_size.
        more : bool, default=False
            Whether the epoch goes on in another call; the number of rows is then a multiple of batch_size. Until the
            last call, parameters of an optimizer that averages them are those in training, not the averages.

        Returns
        -------
        loss : float
            sum(batch loss * rows of the batch) / rows, penalty included, over the batches of the epoch that this
            network has trained on so far.

        Raises
        ------
        ValueError
            If the optimizer's numbers or arrays do not fit.
        KeyboardInterrupt, or what another signal handler raised
            Between batches: the parameters are those after a whole number of them, and the epoch is over: what an
            optimizer averages is averages again.
        """
        self._enter()
        try:
            return self._epoch(rows, batch_size, optimizer, alpha, first_row, more)
        finally:
            self._busy.release()

    cdef double _epoch(self, rows, ptrdiff_t batch_size, optimizer, double alpha, ptrdiff_t first_row,
                       bint more) except? -1:
        cdef Job *job = &self.job
        self._set_optimizer(optimizer)
        try:
            self._train(rows, batch_size, alpha, optimizer, first_row, more)
        finally:
            self._tell(optimizer)
        return job.loss_sum / job.loss_rows

    cdef _set_optimizer(self, optimizer):
        """Take an optimizer's numbers and arrays, as :meth:`epoch` has them."""
        cdef Job *job = &self.job
        job.batches = 0
        begin_update(job, optimizer_number(optimizer.name))
        job.update.learning_rate = optimizer.rate
        job.update.t = optimizer.t
        for name, value in optimizer.hyper.items():
            set_hyper(job, name, value)
        self._set_state(optimizer.state)
        for name, values in getattr(optimizer, "groups", {}).items():
            set_group(job, self.groups, name, values)
        check_hyper(job, optimizer.name)
        if job.max_norm > 0 and job.columns == NULL:
            self._plan.cut_columns(job)
        cdef int n_memory = job.optimizer_row.n_memory, i
        if n_memory:
            memory = getattr(optimizer, "memory", ())
            if len(memory) != n_memory and (optimizer.t > 0 or len(memory) > 0):
                raise ValueError(f"{len(memory)} numbers in memory after {optimizer.t} updates, not {n_memory}")
            for i in range(len(memory)):
                job.update.memory[i] = memory[i]

    cdef _tell(self, optimizer):
        """Let an optimizer know of the updates that were done."""
        cdef int i
        optimizer.t += self.job.batches
        if self.job.optimizer_row.n_memory:
            optimizer.memory = [self.job.update.memory[i] for i in range(self.job.optimizer_row.n_memory)]

    cdef _set_state(self, states):
        """Give each parameter its part of the optimizer's arrays, which have the layout of the parameters."""
        cdef char *state
        cdef Parameter *p
        cdef int i, s
        extent = self._layers.extent
        if len(states) != self.job.optimizer_row.n_states:
            raise ValueError(f"{len(states)} state arrays, not {self.job.optimizer_row.n_states}")
        for s in range(FM_MAX_STATES):
            state = NULL
            if s < len(states):
                if states[s].dtype != self._layers.dtype or states[s].shape != (extent,):
                    raise ValueError(f"state: shape ({extent},) of {self.dtype}")
                state = data_of(states[s], True)
            for i in range(self.job.net.n_parameters):
                p = &self.job.net.parameters[i]
                p.state[s] = state + p.offset * self.job.net.itemsize if state != NULL else NULL

    @property
    def epoch_so_far(self):
        """Sum of (batch loss * rows of the batch) and number of rows over the batches of the epoch so far.

        Another network with the same parameters goes on within the epoch to the same bits once it is set there.
        """
        self._enter()
        try:
            return self.job.loss_sum, self.job.loss_rows
        finally:
            self._busy.release()

    @epoch_so_far.setter
    def epoch_so_far(self, sums):
        self._enter()
        try:
            self.job.loss_sum, self.job.loss_rows = sums
            self._open = True
        finally:
            self._busy.release()

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

    def sums(self, rows=None):
        """Loss and gradient over all the given rows at the current parameters, not divided by the rows' weight.

        Parameters
        ----------
        rows : ndarray of intp, default=None
            Row numbers; None takes all.

        Returns
        -------
        loss, weight : float
            Sums of the rows' losses times their weights, and of the weights, without penalty.
        gradients : list of ndarray
            Shaped as ``coefs + intercepts``; the network's own, overwritten by the next call.
        """
        self._enter()
        try:
            self.job.summed = True
            _, coef_grads, intercept_grads = self._loss_and_grad(rows, 0.0)
            return self.job.loss, self.job.weight, coef_grads + intercept_grads
        finally:
            self.job.summed = False
            self._busy.release()

    def step(self, loss, weight, gradients, optimizer, double alpha):
        """One step of the optimizer with what :meth:`sums` gives, or a sum of several of these.

        It is the step of :meth:`epoch` on a batch of all those rows. No data need be bound.

        Parameters
        ----------
        loss, weight : float
        gradients : list of ndarray
            Shaped as ``coefs + intercepts``.
        optimizer : object
            As for :meth:`epoch`, but not one that averages parameters. Its arrays of numbers for batches, such as
            ``rates``, are of shape (1,).
        alpha : float
            L2 penalty, as in :meth:`epoch`.

        Returns
        -------
        loss : float
            Mean loss, penalty included, before the step.

        Raises
        ------
        ValueError
            If the optimizer's numbers or arrays do not fit, or it averages parameters.
        """
        self._enter()
        try:
            return self._step(loss, weight, gradients, optimizer, alpha)
        finally:
            self.job.given = NULL
            self._busy.release()

    cdef _gradient(self):
        """A gradient of this network's own: the buffer, and its views."""
        if self._gradient_state is None:
            state = self.new_state()
            self._gradient_state = (state, *self.views(state))
        return self._gradient_state

    cdef double _step(self, double loss, double weight, gradients, optimizer, double alpha) except? -1:
        cdef Job *job = &self.job
        self._set_optimizer(optimizer)
        if job.optimizer_row.averages:
            raise ValueError(f"optimizer={optimizer.name!r}: a gradient at its averages is not that of its step")
        state, coef_grads, intercept_grads = self._gradient()
        for own, values in zip(coef_grads + intercept_grads, gradients, strict=True):
            own[...] = values
        job.given = data_of(state, False)
        job.loss, job.weight = loss, weight
        job.abandoned = job.more = False
        job.first_row = 0
        job.n_rows = job.batch_size = 1
        job.loss_sum = job.loss_rows = 0
        self._set_batch_numbers(optimizer)
        self._plan.cut_batch(job, 1)
        self._plan.reserve(job, 1, 1)
        self._run(1, alpha)
        self._tell(optimizer)
        raise_pending(&job.signals)
        return job.loss_sum

    cdef tuple _loss_and_grad(self, rows, double alpha):
        if self._source is None:
            raise ValueError("no data: call bind first")
        state, coef_grads, intercept_grads = self._gradient()
        cdef double of_epoch = self.job.loss_sum, loss
        cdef ptrdiff_t rows_of_epoch = self.job.loss_rows
        begin_update(&self.job, FM_OPTIMIZER_gradient)
        self._set_state([state])
        try:
            self._train(rows, max(1, self._source.n_rows if rows is None else len(rows)), alpha, None, 0, False)
            loss = self.job.loss_sum / self.job.n_rows
        finally:
            self.job.loss_sum, self.job.loss_rows = of_epoch, rows_of_epoch  # whose other rows may follow
        return loss, coef_grads, intercept_grads

    cdef _train(self, rows, ptrdiff_t batch_size, double alpha, optimizer, ptrdiff_t first_row, bint more):
        """One pass over the rows by a team of threads, without the GIL; without an optimizer no dropout."""
        if self._source is None:
            raise ValueError("no data: call bind first")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least 1")
        cdef Job *job = &self.job
        cdef const ptrdiff_t *index = index_of(rows, self._source.n_rows)
        cdef ptrdiff_t worth, wanted
        cdef int n_threads
        job.batches = 0
        job.abandoned = False
        job.first_row = first_row
        job.more = more
        job.n_rows = self._source.n_rows if rows is None else len(rows)
        if job.n_rows < 1 and (first_row == 0 or more):
            raise ValueError("no rows")
        if first_row < 0 or first_row % batch_size or (more and job.n_rows % batch_size):
            raise ValueError(f"first_row={first_row}, {job.n_rows} rows, more={bool(more)}: an epoch is divided into"
                             f" whole batches of {batch_size}")
        if job.n_rows == 0 and not self._open:
            return
        if first_row == 0:
            job.loss_sum = job.loss_rows = 0
        # a short last batch is cut as the others of its epoch
        job.batch_size = batch_size if first_row > 0 or more else min(batch_size, job.n_rows)
        self._set_batch_numbers(optimizer)
        job.reader = reader_of(self._source, job.net.kernels, job.net.itemsize, index)
        self._set_draws(optimizer)
        if job.input_dropout.on or job.augments:
            job.reader.direct = False  # what is changed is a copy
        self._plan.cut_batch(job, job.batch_size)
        if self.n_threads is None:
            worth = PAIR_FLOPS // 2 if job.row_groups > 1 else THREAD_FLOPS
            wanted = 6 * self._layers.work * job.batch_size // worth
            if wanted <= 1 or fm_seconds() < self._alone_until:  # to ask takes as long as a small net's product
                n_threads = 1
            else:
                n_threads = max(1, min(wanted, effective_n_threads(None, self.max_threads)))
        else:
            n_threads = effective_n_threads(self.n_threads)
        n_threads = startable(n_threads)
        self._plan.reserve(job, job.batch_size, n_threads)
        self._plan.set_outputs(job)
        cdef double began = fm_seconds()
        self._run(n_threads, alpha)
        if optimizer is not None:
            self._open = more and not job.abandoned
        if n_threads > 1 and self.n_threads is None:
            # one that is late is waited for by all others
            waited = 1e-9 * job.waited / max(1, job.workers - 1)
            ended = fm_seconds()
            self._heed_company(waited + ended - job.finished, ended - began)
        raise_pending(&job.signals)

    cdef _run(self, int n_threads, double alpha):
        """Let a team of threads do what the job says."""
        cdef Job *job = &self.job
        job.update.alpha = alpha
        memset(&job.phases, 0, sizeof(fm_phases))
        job.stage = PREPARE
        job.stop = 0
        job.team_size = n_threads
        fm_open(&job.phases, job.n_tiles)
        job.waited = 0
        watch(&job.signals)
        if n_threads == 1:
            job.workers = 1
            with nogil:
                run(job, 0)
        else:
            with nogil, parallel(num_threads=n_threads):
                if threadid() == 0:
                    job.workers = fm_team_size()
                run(job, threadid())
        self.team_size = job.workers

    cdef _set_batch_numbers(self, optimizer):
        """Take an optimizer's numbers for each batch."""
        cdef Job *job = &self.job
        job.rates = self._of_batches(optimizer, "rates")
        job.decays = self._of_batches(optimizer, "decays")
        if job.decays != NULL:
            heed_limits(job)
        job.dropout_factors = self._of_batches(optimizer, "dropout_factors")

    cdef const double *_of_batches(self, optimizer, str name) except? NULL:
        """An optimizer's numbers for the batches of this call; NULL if it has none."""
        values = getattr(optimizer, name, None)
        if values is None:
            return NULL
        n_batches = ceil_div(self.job.n_rows, self.job.batch_size)
        if values.shape != (n_batches,) or values.dtype != np.float64:
            raise ValueError(f"{name}: shape ({n_batches},) of float64, not {values.shape} of {values.dtype}")
        if name != "rates" and not ((values >= 0) & (values <= (1 if name == "dropout_factors" else _LARGEST))).all():
            raise ValueError(f"{name}: finite and at least 0, dropout_factors at most 1")
        return <const double *> data_of(values, False)

    cdef _set_draws(self, optimizer):
        """Switch dropout and augmentation on or off for this call; without an optimizer they are off."""
        cdef int l
        cdef bint on = optimizer is not None and self.draws
        for l in range(self.job.net.n_layers):
            self._dropout_of(l).on = on and self._dropout_of(l).rate > 0
        self.job.augments = on and self.augmentation is not None
        if on:
            seed = getattr(optimizer, "dropout_seed", None)
            if seed is None or not 0 <= seed < 2**64:
                raise ValueError(f"dropout_seed={seed!r}: a network with dropout or augmentation needs an int in [0,"
                                 " 2**64)")
            self.job.seed = <uint64_t> seed
            scale_dropout(&self.job, 1.0)

    cdef _heed_company(self, double waited, double elapsed):
        """Work alone for a while after a call that had to wait: others may need the cores."""
        if waited > PATIENCE + PATIENCE_SHARE * elapsed:
            self._alone_until = fm_seconds() + min(SOLITUDE * waited, MOST_SOLITUDE)

    @property
    def row_groups(self):
        """Groups of rows whose gradients were summed apart in the last training call; a function of shapes alone."""
        return self.job.row_groups

    @property
    def uses_blas(self):
        """Whether a layer's products go to BLAS: hold :func:`single_threaded_blas` around the training then."""
        cdef int l
        for l in range(self.job.net.n_layers):
            if self.job.net.layers[l].kind.calls_blas:
                return True
        return False

    # ---- prediction ----

    cdef Prediction _prediction(self, Pass *net):
        """A prediction by this network, without its rows; net is room for a description of the network."""
        cdef Prediction job
        memset(&job, 0, sizeof(Prediction))
        net[0] = self.job.net
        net.traced = False
        job.nets, job.n_members = net, 1
        return job

    def predict(self, X, rows=None, *, codes=None):
        """Outputs for X and codes, as in :meth:`bind`, at the current parameters, shape (n, n_outputs).

        Calls from several threads at once are safe while nothing trains.
        """
        cdef Source source = self._source_of(X, codes)
        cdef Pass net
        cdef Prediction job = self._prediction(&net)
        net.output = net.kernels.forward[loss_row(self.job.loss_number).activation]
        job.offsets = self.job.loss_options.offsets
        job.n_segments = self.job.loss_options.n_segments
        job.reader = reader_of(source, net.kernels, net.itemsize, index_of(rows, source.n_rows))
        job.n_rows = source.n_rows if rows is None else len(rows)
        return outputs_of(&job, [self._layers], self.n_threads, self.max_threads)

    def evaluate(self, X, y, sample_weight=None, *, codes=None):
        """Mean loss of other data at the current parameters, without dropout; data that are bound stay so.

        Parameters
        ----------
        X : C-contiguous ndarray or CSR matrix of shape (n_samples, n_features)
            As in :meth:`bind`, dense or sparse whatever is bound.
        y : ndarray, C-contiguous
            As in :meth:`bind`.
        sample_weight : ndarray of shape (n_samples,), float64, default=None
            Non-negative, not all zero; None means 1.
        codes : C-contiguous ndarray of shape (n_samples, n_categories), int32, default=None
            As in :meth:`bind`.

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
            return self._evaluate(X, y, sample_weight, codes)
        finally:
            self._busy.release()

    cdef double _evaluate(self, X, y, sample_weight, codes) except? -1:
        cdef Source source = self._checked(X, y, sample_weight, codes)
        cdef Pass net
        cdef Prediction job = self._prediction(&net)
        return mean_loss(&job, self._layers, source, y, sample_weight, self.job.loss_number, &self.job.loss_options,
                         self.n_threads, self.max_threads)
