from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

MAX_LAYERS: int
GROUPS: tuple[str, ...]

class Layers:
    @property
    def units(self) -> tuple[int, ...]: ...
    @property
    def activation(self) -> str | tuple[str, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def n_params(self) -> int: ...
    @property
    def widest_ld(self) -> int: ...
    @property
    def n_weights(self) -> int: ...
    @property
    def uses_blas(self) -> bool: ...
    def __new__(
        cls, units: Sequence[int], activation: str | Sequence[str], dtype: DTypeLike, isa: str | None = None
    ) -> Self: ...
