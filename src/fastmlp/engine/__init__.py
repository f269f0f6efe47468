"""The compiled engine: networks as data, arrays in, arrays out."""

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
)
from .layers import MAX_LAYERS
from .network import Network
from .perceptron import StepNeuron, permutation
from .threads import effective_n_threads, single_threaded_blas

__all__ = [
    "ACTIVATIONS",
    "ISAS",
    "LOSSES",
    "LOSS_OPTIONS",
    "LOSS_ROWS",
    "MAX_LAYERS",
    "OPTIMIZERS",
    "OPTIMIZER_MEMORY",
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
    "single_threaded_blas",
]
