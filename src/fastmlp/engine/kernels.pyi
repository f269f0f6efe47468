from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Floats = TypeVar("_Floats", NDArray[np.float32], NDArray[np.float64])

ISAS: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
LOSSES: dict[str, str]
OPTIMIZERS: dict[str, int]
DEFAULT_ISA: str

def default_isa() -> str: ...
def apply(name: str, x: _Floats, isa: str | None = None) -> _Floats: ...
def logarithm(x: _Floats) -> _Floats: ...
def product(a: _Floats, b: _Floats, out: _Floats, *, accumulate: bool = False, isa: str | None = None) -> _Floats: ...
def fma_peak(dtype: DTypeLike, seconds: float = 0.2) -> float: ...
