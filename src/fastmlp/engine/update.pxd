"""Hyperparameters, and what they let a step do."""

from .step cimport Job

cdef begin_update(Job *job, int optimizer)
cdef set_hyper(Job *job, str name, double value)
cdef set_group(Job *job, tuple groups, str name, values)
cdef void heed_limits(Job *job)
cdef check_hyper(Job *job, name)
