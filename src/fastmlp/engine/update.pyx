"""An optimizer's hyperparameters, by the names that `Network.epoch` takes, as a step reads them."""

from libc.math cimport INFINITY
from libc.string cimport memset

from .kernels cimport fm_update, optimizer_row
from .step cimport Group


cdef begin_update(Job *job, int optimizer):
    """Take an optimizer, and forget what the call before was to do to the gradient and the weights."""
    cdef int i
    job.optimizer = optimizer
    job.optimizer_row = optimizer_row(optimizer)
    job.step = job.net.kernels.step[optimizer]
    memset(&job.update, 0, sizeof(fm_update))
    job.update.clip_value = INFINITY
    job.rates = job.decays = job.dropout_factors = NULL
    job.clip_norm = job.max_norm = 0
    for i in range(job.net.n_groups):
        job.groups[i] = Group(rate=1, decay=job.net.shrinks[i], penalised=job.net.shrinks[i])


cdef set_group(Job *job, tuple groups, str name, values):
    """Take the numbers of one of the groups of parameters; those that are not given stay."""
    cdef Group *group
    if name not in groups:
        raise ValueError(f"groups={name!r}: one of {', '.join(groups)}")
    group = &job.groups[<int> groups.index(name)]
    for key, value in values.items():
        if key == "penalised":
            group.penalised = value
        elif key not in ("rate", "decay"):
            raise ValueError(f"groups[{name!r}]: unknown number {key!r}")
        elif not 0 <= value < INFINITY:
            raise ValueError(f"groups[{name!r}][{key!r}]={value}: finite and at least 0")
        elif key == "rate":
            group.rate = value
        else:
            group.decay = value


cdef void heed_limits(Job *job):
    """Choose the step that knows clip_value and weight decay."""
    job.step = job.net.kernels.adjusted_step[job.optimizer]


cdef check_hyper(Job *job, name):
    """Refuse hyperparameters that exclude each other, and choose the step that heeds them."""
    if job.clip_norm > 0 and job.update.clip_value < INFINITY:
        raise ValueError(f"clip_norm={job.clip_norm} and clip_value={job.update.clip_value}: one of them")
    if job.optimizer_row.averages:
        if not job.update.beta_1 > 0:
            raise ValueError(f"beta_1={job.update.beta_1}: above 0 for {name}")
        if job.max_norm > 0:
            raise ValueError(f"max_norm={job.max_norm}: not for {name}, whose weights are averages")
    if job.update.weight_decay > 0 or job.update.clip_value < INFINITY:
        heed_limits(job)


cdef set_hyper(Job *job, str name, double value):
    """Take one of an optimizer's numbers by its name."""
    cdef fm_update *u = &job.update
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
            job.clip_norm = value
        else:
            job.max_norm = value
    else:
        raise ValueError(f"unknown optimizer parameter {name!r}")
