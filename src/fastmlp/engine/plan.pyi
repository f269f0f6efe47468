from typing import Self

from .layers import Layers

class Plan:
    def __new__(cls, layers: Layers) -> Self: ...
