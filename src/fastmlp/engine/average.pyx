"""The average of networks that share nothing but their inputs and outputs."""

import math

from libc.string cimport memcpy, memset

from .forward cimport Prediction, outputs_of
from .kernels cimport loss_number, loss_row
from .kinds cimport keep_sums, sums_bytes
from .layers cimport Layers, Parameter, Pass
from .memory cimport Arena, data_of
from .source cimport Source, reader_of
from .threads cimport fm_flush_subnormals, fm_restore_subnormals

from .threads import checked_max_threads


cdef class Average:
    """Networks of any layers, and the weighted average of their outputs.

    The average is added up in the precision of the networks and in the order of the members, each weight divided by the
    largest, and then multiplied by the largest: members of equal weights are added up as they are.

    Parameters
    ----------
    members : sequence of (layers, parameters, weight)
        Layers as `Network` takes them, all of the same inputs and number of outputs; arrays as `Network.parameters` has
        them, all of one dtype, which are copied; a weight of at least 0. Members of weight 0 have no part.
    loss : str
        It brings the output activation along.
    max_threads : int or function, default=None
        The most threads that a call takes, as `Predictor` takes it.
    isa : str, default=None
        Instruction set; None: the default.

    Raises
    ------
    ValueError
        If the weights do not add up to 1, or the members do not go together.
    """

    cdef readonly object max_threads
    cdef list members                   # Layers
    cdef Arena values, nets
    cdef Prediction job                 # without the fields of a call

    def __init__(self, members, str loss, max_threads=None, isa=None):
        cdef Pass *net
        cdef Layers layers
        cdef double *ratios
        cdef int m
        weights = [float(weight) for _, _, weight in members]
        if not all(weight >= 0 for weight in weights) or not math.isclose(sum(weights), 1, rel_tol=1e-6):
            raise ValueError(f"members: weights of at least 0 that add up to 1, not {weights}")
        members = [member for member in members if member[2] > 0]
        self.max_threads = checked_max_threads(max_threads)
        dtype = members[0][1][0].dtype
        self.members = [Layers(given, None, dtype, isa) for given, _, _ in members]
        if len({(one.inputs, one.units[-1]) for one in self.members}) > 1:
            raise ValueError("members: all of the same inputs and number of outputs")
        self.nets = Arena()
        self.nets.reserve("nets", len(members) * sizeof(Pass))
        self.nets.reserve("ratios", len(members) * sizeof(double))
        self.nets.allocate()
        net = <Pass *> self.nets.pointer("nets")
        ratios = <double *> self.nets.pointer("ratios")
        memset(&self.job, 0, sizeof(Prediction))
        self.job.nets, self.job.n_members, self.job.kept = net, len(members), True
        self.job.ratios, self.job.share = ratios, max(weights)
        for m, (_, _, weight) in enumerate(members):
            layers = self.members[m]
            net[m] = layers.net
            net[m].output = net[m].kernels.forward[loss_row(loss_number(loss)).activation]
            ratios[m] = <double> weight / self.job.share
        self._copy([parameters for _, parameters, _ in members])

    cdef _copy(self, given):
        """Copy all parameters, and find what follows from them alone.

        Those of one row lie one behind the other, each readable to whole lanes.
        """
        cdef Layers layers
        cdef Parameter *p
        cdef Pass *net
        cdef char *one_row
        cdef unsigned long long mode
        cdef int m, i, l
        self.values = Arena()
        for m, layers in enumerate(self.members):
            net = &layers.net
            self.values.reserve((m, "one row"), layers.one_row_bytes)
            for i in range(net.n_parameters):
                self.values.reserve((m, i), layers._bytes(&net.parameters[i]) if net.parameters[i].rows > 1 else 0)
            for l in range(net.n_layers):
                self.values.reserve((m, "sums", l), sums_bytes(net, &net.layers[l]))
        self.values.allocate()
        for m, layers in enumerate(self.members):
            net = &layers.net
            one_row = self.values.pointer((m, "one row"))
            for i, array in enumerate(layers.checked(list(given[m]))):
                p = &net.parameters[i]
                p.value = data_of(array, False)
                if p.rows > 1:
                    p.value = <char *> memcpy(self.values.pointer((m, i)), p.value, layers._bytes(p))
                else:
                    one_row = layers.copy_one_row(p, one_row)
            mode = fm_flush_subnormals()  # as in predictions
            for l in range(net.n_layers):
                if sums_bytes(net, &net.layers[l]):
                    keep_sums(net, &net.layers[l], self.values.pointer((m, "sums", l)))
            fm_restore_subnormals(mode)

    def __call__(self, X, codes=None, *, n_threads=None):
        """The average for some rows.

        Parameters
        ----------
        X : C-contiguous ndarray of shape (n_samples, n_features)
            float32 or float64; rows are cast as they are read.
        codes : C-contiguous ndarray of shape (n_samples, n_categories), int32, default=None
            Levels of categories, for layers that read them.
        n_threads : int, default=None
            Threads to use; None: what the environment allows and the work is worth.

        Returns
        -------
        out : ndarray of shape (n_samples, n_outputs)

        Raises
        ------
        ValueError
            If X or codes do not fit the networks.
        """
        cdef Layers layers = self.members[0]
        cdef Source source = layers.source_of(X, codes)
        cdef Prediction job = self.job
        job.reader = reader_of(source, layers.net.kernels, layers.net.itemsize, NULL)
        job.n_rows = source.n_rows
        return outputs_of(&job, self.members, n_threads, self.max_threads)
