from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

class Predictor:
    @property
    def coefs(self) -> list[NDArray[Any]]: ...
    @property
    def intercepts(self) -> list[NDArray[Any]]: ...
    @property
    def activation(self) -> str | tuple[str, ...]: ...
    @property
    def out_activation(self) -> str: ...
    @property
    def max_threads(self) -> int | Callable[[], int] | None: ...
    @property
    def segments(self) -> tuple[int, ...] | None: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __new__(
        cls,
        coefs: list[NDArray[Any]],
        intercepts: list[NDArray[Any]],
        activation: str | Sequence[str],
        out_activation: str,
        *,
        max_threads: int | Callable[[], int] | None = None,
        segments: Sequence[int] | None = None,
        isa: str | None = None,
        held: tuple[list[NDArray[Any]], list[NDArray[Any]]] | None = None,
    ) -> Self: ...
    def __call__(
        self, X: Any, rows: NDArray[np.intp] | None = None, *, n_threads: int | None = None
    ) -> NDArray[Any]: ...
    def serves(
        self,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activation: str | Sequence[str],
        out_activation: str,
        segments: tuple[int, ...] | None = None,
    ) -> bool: ...
    def quick(self, X: object) -> NDArray[Any] | None: ...

def forward(
    coefs: list[NDArray[Any]],
    intercepts: list[NDArray[Any]],
    activation: str | Sequence[str],
    out_activation: str,
    X: Any,
    rows: NDArray[np.intp] | None = None,
    *,
    segments: Sequence[int] | None = None,
    n_threads: int | None = None,
    max_threads: int | None = None,
    isa: str | None = None,
) -> NDArray[Any]: ...
