from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Optional, Protocol, TypedDict, Union, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "__version__",
    "Current",
    "Files",
    "Network",
    "components",
    "draw_digits",
    "is_mapped",
    "preset_settings",
    "redundancy",
    "report",
    "sample_scores",
    "settings_fields",
    "settings_for_steps",
    "steps_of_epochs",
    "threads_from_environment",
    "train",
    "unit_summaries",
    "write_text",
]

__version__: str

@final
class Files:
    def __new__(
        cls,
        paths: Sequence[Union[str, PathLike[str]]],
        tensor: Optional[str],
        last: Optional[bool],
        copy: bool,
    ) -> Files: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def element_type(self) -> Optional[str]: ...
    @property
    def paths(self) -> list[Path]: ...
    def __len__(self) -> int: ...

_One = Union[NDArray[Any], Files]
# The latter with targets.
_Data = Union[NDArray[Any], Files, tuple[_One, _One]]

@final
class Network:
    @staticmethod
    def load(path: Union[str, PathLike[str]]) -> Network: ...
    @staticmethod
    def from_dictionary(path: Union[str, PathLike[str]]) -> Network: ...
    @staticmethod
    def from_dictionary_learning(
        path: Union[str, PathLike[str]],
        config: str,
        state: Sequence[tuple[str, Sequence[int], NDArray[np.float32]]],
    ) -> Network: ...
    def to_dictionary_learning(
        self,
    ) -> tuple[str, list[tuple[str, list[int], NDArray[np.float32]]]]: ...
    def export(
        self,
        path: Union[str, PathLike[str]],
        format: str,
        names: Sequence[Optional[str]],
    ) -> None: ...
    @staticmethod
    def from_bytes(model: bytes, training: Optional[bytes]) -> Network: ...
    def save(self, path: Union[str, PathLike[str]]) -> None: ...
    def to_bytes(self) -> bytes: ...
    @property
    def settings(self) -> str: ...
    @property
    def scaling(self) -> str: ...
    @property
    def output_scaling(self) -> str: ...
    def with_active_above(self, text: str) -> Network: ...
    def check_describes(self, options: Sequence[tuple[str, str]]) -> None: ...
    @property
    def code_units(self) -> int: ...
    @property
    def is_sparse(self) -> bool: ...
    @property
    def layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]: ...
    def first(
        self, data: _Data, count: int, threads: Optional[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def encode(self, data: _Data, threads: Optional[int]) -> NDArray[np.float32]: ...
    def encode_sparse(
        self, data: _Data, threads: Optional[int]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]: ...
    def reconstruct(self, data: _Data, threads: Optional[int]) -> NDArray[np.float32]: ...
    def decode(
        self, codes: NDArray[np.float32], threads: Optional[int]
    ) -> NDArray[np.float32]: ...
    def decode_sparse(
        self,
        indptr: NDArray[np.uint64],
        indices: NDArray[np.uint32],
        values: NDArray[np.float32],
        threads: Optional[int],
    ) -> NDArray[np.float32]: ...
    def evaluate(self, data: _Data, threads: Optional[int]) -> dict[str, Any]: ...

class _Plan(TypedDict):
    layers: Sequence[int]
    options: Sequence[tuple[str, str]]
    steps: int
    one_pass: bool
    pretrain: int
    revive: int
    patience: int
    evaluate_every: int
    holdout: Optional[float]
    threads: Optional[int]
    report_every: int
    measure: bool

@final
class Current:
    def network(self) -> Network: ...

class _Report(Protocol):
    def __call__(
        self, step: int, figures: dict[str, Any], current: Current, /
    ) -> bool: ...
    def validated(self, step: int, objective: float) -> None: ...
    def pretrained(self, layer: int, loss: float) -> None: ...

def train(
    inputs: tuple[_Data, Optional[Iterator[tuple[int, NDArray[Any]]]], Optional[_Data]],
    plan: _Plan,
    previous: Optional[Network],
    report: _Report,
) -> tuple[Network, int, Optional[int], list[str], Optional[BaseException]]: ...

class _Wanted(TypedDict):
    layer: Optional[int]
    top: int
    nearest: bool
    threads: Optional[int]

def components(network: Network) -> Optional[NDArray[np.float32]]: ...
def redundancy(
    network: Network, threads: Optional[int]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def sample_scores(
    network: Network, data: _Data, threads: Optional[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...
def unit_summaries(
    network: Network,
    data: _Data,
    labels: Optional[NDArray[np.uint8]],
    wanted: _Wanted,
) -> dict[str, Any]: ...
class _About(TypedDict):
    title: str
    data: str
    labels: Optional[bytes]
    label_names: Optional[Sequence[str]]
    names: Optional[Sequence[str]]
    features: Optional[Sequence[str]]
    context: int
    units: Optional[int]
    image_shape: Optional[Sequence[int]]
    history: Sequence[tuple[str, Sequence[float]]]
    threads: Optional[int]

def report(network: Network, data: _Data, about: _About) -> str: ...
def write_text(path: Union[str, PathLike[str]], text: str) -> None: ...
def is_mapped(array: NDArray[Any]) -> bool: ...
def preset_settings(
    preset: str, features: int, hidden: Optional[list[int]], steps: Optional[int]
) -> tuple[str, int]: ...
def settings_for_steps(settings: str, steps: int) -> str: ...
def steps_of_epochs(
    data: _Data,
    has_validation: bool,
    plan: _Plan,
    previous: Optional[Network],
    epochs: float,
) -> int: ...
def settings_fields() -> list[tuple[str, str, str]]: ...
def threads_from_environment() -> int: ...
def draw_digits(
    samples: int, seed: int, threads: Optional[int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
