from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .architecture import Augmentation
from .kernels import LOSS_OPTIONS as LOSS_OPTIONS
from .kernels import LOSS_ROWS as LOSS_ROWS

# may also have `rates`, `decays`, `dropout_factors`: NDArray[np.float64] or None, `memory`: list[float], `groups`: dict
class _Optimizer(Protocol):
    name: str
    rate: float
    t: int
    hyper: dict[str, Any]
    state: list[NDArray[Any]]

class Network:
    @property
    def layer_units(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def hidden_activations(self) -> list[str]: ...
    @property
    def activation(self) -> str | tuple[str, ...] | None: ...
    @property
    def dropout(self) -> tuple[float, ...] | None: ...
    @property
    def augmentation(self) -> Augmentation | None: ...
    @property
    def draws(self) -> bool: ...
    @property
    def loss(self) -> str: ...
    @property
    def segments(self) -> tuple[int, ...] | None: ...
    @property
    def n_threads(self) -> int | None: ...
    @property
    def max_threads(self) -> int | None: ...
    @property
    def isa(self) -> str | None: ...
    @property
    def coefs(self) -> list[NDArray[Any]]: ...
    @property
    def intercepts(self) -> list[NDArray[Any]]: ...
    @property
    def n_params(self) -> int: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def parameters(self) -> list[tuple[str, NDArray[Any], str]]: ...
    @property
    def team_size(self) -> int: ...
    @property
    def row_groups(self) -> int: ...
    @property
    def uses_blas(self) -> bool: ...
    def __new__(
        cls,
        layers: Sequence[Any],
        activation: str | Sequence[str] | None,
        loss: str,
        dtype: DTypeLike,
        *,
        loss_options: dict[str, Any] | None = None,
        dropout: Sequence[float] | None = None,
        augmentation: Augmentation | None = None,
        n_threads: int | None = None,
        max_threads: int | None = None,
        isa: str | None = None,
    ) -> Self: ...
    def bind(
        self,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[np.float64] | None = None,
        *,
        codes: NDArray[np.int32] | None = None,
    ) -> None: ...
    def release(self) -> None: ...
    def new_state(self) -> NDArray[Any]: ...
    def arrays_in(self, state: NDArray[Any]) -> list[NDArray[Any]]: ...
    def views(self, state: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]: ...
    def epoch(
        self,
        rows: NDArray[np.intp] | None,
        batch_size: int,
        optimizer: _Optimizer,
        alpha: float,
        *,
        first_row: int = 0,
        more: bool = False,
    ) -> float: ...
    @property
    def epoch_so_far(self) -> tuple[float, int]: ...
    @epoch_so_far.setter
    def epoch_so_far(self, sums: tuple[float, int]) -> None: ...
    def loss_and_grad(
        self, rows: NDArray[np.intp] | None = None, alpha: float = 0.0
    ) -> tuple[float, list[NDArray[Any]], list[NDArray[Any]]]: ...
    def sums(self, rows: NDArray[np.intp] | None = None) -> tuple[float, float, list[NDArray[Any]]]: ...
    def step(
        self, loss: float, weight: float, gradients: Sequence[NDArray[Any]], optimizer: _Optimizer, alpha: float
    ) -> float: ...
    def evaluate(
        self,
        X: Any,
        y: NDArray[Any],
        sample_weight: NDArray[np.float64] | None = None,
        *,
        codes: NDArray[np.int32] | None = None,
    ) -> float: ...
    def predict(
        self, X: Any, rows: NDArray[np.intp] | None = None, *, codes: NDArray[np.int32] | None = None
    ) -> NDArray[Any]: ...
