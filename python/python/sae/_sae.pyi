from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Optional, Union, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Network", "draw_digits", "train"]

_Data = Union[NDArray[np.uint8], NDArray[np.float32], str, PathLike[str]]

@final
class Network:
    @staticmethod
    def load(path: Union[str, PathLike[str]]) -> Network: ...
    @staticmethod
    def from_bytes(model: bytes, training: Optional[bytes]) -> Network: ...
    def save(self, path: Union[str, PathLike[str]]) -> None: ...
    def to_bytes(self) -> bytes: ...
    @property
    def settings(self) -> str: ...
    @property
    def code_units(self) -> int: ...
    @property
    def layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]: ...
    def first(self, data: _Data, count: int) -> NDArray[np.float32]: ...
    def encode(self, data: _Data, threads: Optional[int]) -> NDArray[np.float32]: ...
    def reconstruct(self, data: _Data, threads: Optional[int]) -> NDArray[np.float32]: ...
    def decode(
        self, codes: NDArray[np.float32], threads: Optional[int]
    ) -> NDArray[np.float32]: ...
    def evaluate(self, data: _Data, threads: Optional[int]) -> dict[str, Any]: ...

def train(
    data: _Data,
    layers: Sequence[int],
    words: Sequence[tuple[str, str]],
    steps: int,
    one_pass: bool,
    previous: Optional[Network],
    revive: int,
    threads: Optional[int],
    every: int,
    report: Callable[[int, float, list[float]], object],
) -> tuple[Network, int, Optional[BaseException]]: ...
def draw_digits(
    samples: int, seed: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
