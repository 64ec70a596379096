"""Records the dictionaries of tests/recorded/exchange: record.py FOLDER, with the real libraries installed.

For Rust, which reads no pickles, the state dicts of dictionary_learning are recorded as `state.safetensors`, too.
"""

import sys
from pathlib import Path

import peers
import torch
from safetensors.torch import save_file

for kind, path in peers.make(Path(sys.argv[1]), features=6, units=10, samples=12):
    if kind == "dictionary-learning":
        state = torch.load(path / "ae.pt", weights_only=True)
        save_file({name: tensor.float().contiguous() for name, tensor in state.items()}, path / "state.safetensors")
    print(kind, path)
