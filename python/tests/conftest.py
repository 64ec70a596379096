import os
import struct
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import sae

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def same_seeds():
    """A test whose models have no `random_state` draws the same seeds in every run."""
    np.random.seed(0)


@pytest.fixture(scope="session")
def digits():
    """Generated digits as bytes [400, 784], and their labels."""
    images, labels = sae.draw_digits(400, seed=3)
    return images.reshape(400, -1), labels


@pytest.fixture
def small():
    """Floats beyond the range of a sigmoid."""
    return np.random.RandomState(0).normal(size=(60, 6)).astype(np.float32)


@pytest.fixture
def write_idx(tmp_path):
    def write(array, name="data"):
        path = tmp_path / name
        codes = {"uint8": 0x08, "int16": 0x0B, "float32": 0x0D}
        header = bytes([0, 0, codes[str(array.dtype)], array.ndim])
        header += struct.pack(f">{array.ndim}I", *array.shape)
        path.write_bytes(header + array.astype(array.dtype.newbyteorder(">")).tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def command():
    """Run the command `sae`, whose path is in the environment variable SAE."""
    program = os.environ.get("SAE")
    if not program or not Path(program).exists():
        pytest.skip("the environment variable SAE has no path of the command to compare with")

    def run(*arguments):
        if arguments[0] == "train" and not {"--preset", "--from", "--like"} & set(arguments):
            # The estimator's defaults are those of this preset; the command chooses one by the samples, or by the
            # model that it begins with.
            arguments = [*arguments, "--preset", "article"]
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
