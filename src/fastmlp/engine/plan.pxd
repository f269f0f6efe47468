"""How the training of a network is cut, and its workspaces."""

from .layers cimport Layers
from .memory cimport Arena
from .step cimport Job


cdef class Plan:
    cdef Layers layers
    cdef Arena _tiles, _columns, _gradients, _workspace
    cdef ptrdiff_t _largest_tile                        # elements
    cdef ptrdiff_t _batch, _workspace_batch, _workspace_threads

    cdef cut_parameters(self, Job *job)
    cdef cut_columns(self, Job *job)
    cdef forget_batch(self)
    cdef cut_batch(self, Job *job, ptrdiff_t batch_size)
    cdef reserve(self, Job *job, ptrdiff_t batch_size, int n_threads)
    cdef bint has_outputs(self, Job *job, int l)
    cdef set_outputs(self, Job *job)
