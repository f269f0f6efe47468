from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Predictor:
    @property
    def parameters(self) -> list[NDArray[Any]]: ...
    @property
    def coefs(self) -> list[NDArray[Any]]: ...
    @property
    def intercepts(self) -> list[NDArray[Any]]: ...
    @property
    def activation(self) -> str | tuple[str, ...] | None: ...
    @property
    def out_activation(self) -> str: ...
    @property
    def max_threads(self) -> int | Callable[[], int] | None: ...
    @property
    def segments(self) -> tuple[int, ...] | None: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __init__(
        self,
        coefs: list[NDArray[Any]],
        intercepts: list[NDArray[Any]],
        activation: str | Sequence[str] | None,
        out_activation: str,
        *,
        max_threads: int | Callable[[], int] | None = None,
        segments: Sequence[int] | None = None,
        isa: str | None = None,
        layers: Sequence[Any] | None = None,
        held: tuple[list[NDArray[Any]], list[NDArray[Any]]] | None = None,
    ) -> None: ...
    @staticmethod
    def of(
        layers: Sequence[Any],
        parameters: list[NDArray[Any]],
        out_activation: str,
        *,
        segments: Sequence[int] | None = None,
        max_threads: int | Callable[[], int] | None = None,
        isa: str | None = None,
    ) -> Predictor: ...
    def __call__(
        self,
        X: Any,
        rows: NDArray[np.intp] | None = None,
        *,
        codes: NDArray[np.int32] | None = None,
        n_threads: int | None = None,
    ) -> NDArray[Any]: ...
    def serves(
        self,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activation: str | Sequence[str],
        out_activation: str,
        segments: tuple[int, ...] | None = None,
        layers: Sequence[Any] | None = None,
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
