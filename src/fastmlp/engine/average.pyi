from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class Average:
    @property
    def max_threads(self) -> int | Callable[[], int] | None: ...
    def __init__(
        self,
        members: Sequence[tuple[Sequence[Any], Sequence[NDArray[Any]], float]],
        loss: str,
        max_threads: int | Callable[[], int] | None = None,
        isa: str | None = None,
    ) -> None: ...
    def __call__(
        self, X: NDArray[Any], codes: NDArray[np.int32] | None = None, *, n_threads: int | None = None
    ) -> NDArray[Any]: ...
