from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Floats = TypeVar("_Floats", NDArray[np.float32], NDArray[np.float64])

ISAS: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
LOSSES: dict[str, str]
LOSS_ROWS: dict[str, LossRow]
LOSS_OPTIONS: dict[str, LossOption]
OPTIMIZERS: dict[str, int]
OPTIMIZER_MEMORY: dict[str, int]
DEFAULT_ISA: str

class LossRow(NamedTuple):
    output: str
    target: str
    domain: str
    options: tuple[str, ...]

class LossOption(NamedTuple):
    default: float
    low: float
    closed: bool
    high: float

def loss_numbers(loss: str, options: dict[str, Any] | None, dtype: DTypeLike) -> dict[str, Any]: ...
def default_isa() -> str: ...
def apply(name: str, x: _Floats, isa: str | None = None, *, slope: bool = False) -> _Floats: ...
def logarithm(x: _Floats) -> _Floats: ...
def product(a: _Floats, b: _Floats, out: _Floats, *, accumulate: bool = False, isa: str | None = None) -> _Floats: ...
def transpose(a: _Floats, out: _Floats) -> None: ...
def layer_kernels(dtype: DTypeLike, isa: str | None = None) -> dict[str, int]: ...
def fma_peak(dtype: DTypeLike, seconds: float = 0.2) -> float: ...
