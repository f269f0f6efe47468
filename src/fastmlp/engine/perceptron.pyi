from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

def permutation(n: int, seed: int) -> NDArray[np.intp]: ...

class StepNeuron:
    @property
    def coef(self) -> NDArray[Any]: ...
    @property
    def intercept(self) -> float: ...
    @property
    def norm(self) -> float: ...
    def __new__(
        cls,
        X: Any,
        signs: NDArray[np.float64],
        weights: NDArray[Any],
        coef: NDArray[Any],
        intercept: float,
        learning_rate: float,
        *,
        intercept_rate: float = 1.0,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        with_norms: bool = False,
    ) -> Self: ...
    def epoch(self, rows: NDArray[np.intp]) -> tuple[float, float]: ...
    def settle(self) -> None: ...
