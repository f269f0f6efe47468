from typing import Any

import numpy as np
from numpy.typing import NDArray

from .forward import Predictor
from .layers import MAX_UNITS as MAX_UNITS

def input_gradients(
    predictor: Predictor,
    X: Any,
    target: int | NDArray[np.intp] | None = None,
    *,
    codes: NDArray[np.int32] | None = None,
    raw_score: bool = False,
    n_threads: int | None = None,
) -> NDArray[Any]: ...
def integrated_gradients(
    predictor: Predictor,
    X: NDArray[Any],
    baseline: NDArray[Any],
    nodes: NDArray[np.float64],
    weights: NDArray[np.float64],
    target: int | NDArray[np.intp] | None = None,
    *,
    codes: NDArray[np.int32] | None = None,
    raw_score: bool = False,
    n_threads: int | None = None,
) -> NDArray[Any]: ...
