from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Levels:
    def __init__(self, codes_of: dict[str | None, int], unseen: int) -> None: ...
    def code(self, value: object) -> int | None: ...

class Encoding:
    @property
    def n_numbers(self) -> int: ...
    @property
    def n_codes(self) -> int: ...
    def __init__(
        self,
        n_columns: int,
        center: NDArray[np.float64],
        scale: NDArray[np.float64],
        numeric: list[tuple[int, int]],
        binary: list[tuple[int, dict[str | None, int], int, Sequence[float]]],
        coded: list[tuple[int, dict[str | None, int], int]],
        with_gaps: list[int],
        indicators: NDArray[Any],
    ) -> None: ...
    def fill(self, x: NDArray[np.float64], numbers: NDArray[np.float32]) -> bool: ...
    def rows(
        self, rows: list[Any], fields: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]] | None: ...
