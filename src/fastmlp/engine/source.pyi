from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

DTYPES: tuple[type, ...]

class Source:
    @property
    def n_rows(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def sparse(self) -> bool: ...
    @property
    def n_codes(self) -> int: ...
    def __new__(cls, X: Any, codes: Any = None) -> Self: ...

def shuffle(random_state: RandomState, rows: NDArray[np.intp]) -> None: ...
