"""The compiled engine: networks as data, arrays in, arrays out."""

from .affinity import unbound

# the OpenMP runtime counts the processors of the thread that loads it
with unbound():
    # what compiled modules alone import is imported here for tools that look for imports in Python's files
    from . import architecture, blas, kinds, memory, passes, plan, source, step, update  # noqa: F401
    from .average import Average
    from .forward import Predictor, forward
    from .gradients import input_gradients, integrated_gradients
    from .kernels import (
        ACTIVATIONS,
        ISAS,
        LOSS_OPTIONS,
        LOSS_ROWS,
        LOSSES,
        OPTIMIZER_MEMORY,
        OPTIMIZERS,
        fma_peak,
        logarithm,
        transpose,
    )
    from .layers import MAX_LAYERS, MAX_UNITS
    from .network import Network
    from .perceptron import StepNeuron, permutation
    from .source import shuffle
    from .threads import effective_n_threads, single_threaded_blas

__all__ = [
    "ACTIVATIONS",
    "ISAS",
    "LOSSES",
    "LOSS_OPTIONS",
    "LOSS_ROWS",
    "MAX_LAYERS",
    "MAX_UNITS",
    "OPTIMIZERS",
    "OPTIMIZER_MEMORY",
    "Average",
    "Network",
    "Predictor",
    "StepNeuron",
    "effective_n_threads",
    "fma_peak",
    "forward",
    "input_gradients",
    "integrated_gradients",
    "logarithm",
    "permutation",
    "shuffle",
    "single_threaded_blas",
    "transpose",
    "unbound",
]
