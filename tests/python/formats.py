"""Files that `sae` writes, read by NumPy and safetensors, and the other way round.

    formats.py SAE FOLDER

SAE is the command; FOLDER is for the files. Needs numpy and safetensors.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

sae, folder = sys.argv[1], Path(sys.argv[2])


def run(*words):
    replacing = ["--overwrite"] if words[0] in ("train", "convert", "decode", "encode") else []
    if words[0] == "train" and "--preset" not in words:
        replacing += ["--preset", "article"]
    done = subprocess.run([sae, *map(str, words), *replacing], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def sigmoid(z):
    return 1 / (1 + np.exp(-z.astype(np.float64)))


run("make-digits", "digits", "--train", 600, "--test", 100)
run("train", "--data", "digits", "--layers", "784,40,9,40,784", "--steps", 200, "--quiet", "--out", "m.safetensors")
run("encode", "m.safetensors", "--data", "digits", "--out", "codes.npy")
run("decode", "m.safetensors", "codes.npy", "--out", "samples.npy")

# A model, as the documentation names its tensors: PyTorch's nn.Linear, so [outputs, inputs].
tensors = load_file(folder / "m.safetensors")
shapes = {name: tensor.shape for name, tensor in tensors.items()}
assert shapes == {
    "encoder.0.weight": (40, 784), "encoder.0.bias": (40,), "encoder.2.weight": (9, 40), "encoder.2.bias": (9,),
    "decoder.0.weight": (40, 9), "decoder.0.bias": (40,), "decoder.2.weight": (784, 40), "decoder.2.bias": (784,),
}, shapes
with safe_open(folder / "m.safetensors", "np") as file:
    settings = json.loads(file.metadata()["sae"])["settings"]
assert settings["layers"] == [784, 40, 9, 40, 784], settings

pixels = np.frombuffer((folder / "digits/t10k-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
a = pixels.reshape(-1, 784) / np.float64(255)
for name in ["encoder.0", "encoder.2", "decoder.0", "decoder.2"]:
    a = sigmoid(a @ tensors[f"{name}.weight"].T.astype(np.float64) + tensors[f"{name}.bias"])
    if name == "encoder.2":
        codes = a
have = np.load(folder / "codes.npy")
assert have.shape == codes.shape and have.dtype == np.float32, (have.shape, have.dtype)
worst = np.abs(have - codes).max()
print(f"codes.npy: {have.shape}, largest difference to NumPy's own arithmetic {worst:.1e}")
assert worst < 1e-6, worst
# Images of bytes are decoded to images of bytes.
have = np.load(folder / "samples.npy")
assert have.shape == (100, 28, 28) and have.dtype == np.uint8, (have.shape, have.dtype)
levels = 255 * a.reshape(100, 28, 28)
assert (np.abs(have - levels) < 0.5 + 1e-3).all(), np.abs(have - levels).max()

# NumPy's files of every type and order of bytes, version 1 and 2 of the format.
rng = np.random.default_rng(1)
for kind in ["u1", "i1", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]:
    for version in [(1, 0), (2, 0)]:
        array = (rng.normal(size=(7, 3, 5)) * 40).astype(kind)
        with open(folder / "in.npy", "wb") as file:
            np.lib.format.write_array(file, array, version)
        said = run("inspect", "in.npy")
        low, high = array.min(), array.max()
        # Of floats the numbers along the last dimension are a sample.
        samples = "21 samples of 5 features" if "f" in kind else "7 samples of 15 features"
        assert "7 x 3 x 5" in said and samples in said, said
        low_said, high_said = (float(word.rstrip(",")) for word in said.split("from ")[1].split()[0:3:2])
        assert np.isclose(low_said, low, rtol=1e-6) and np.isclose(high_said, high, rtol=1e-6), (kind, said, low, high)
images = pixels.reshape(-1, 28, 28)
np.save(folder / "images.npy", images)
run("train", "--images", "images.npy", "--layers", "784,8,784", "--steps", 20, "--quiet", "--out", "npy.safetensors")
run("train", "--images", "digits/t10k-images-idx3-ubyte", "--layers", "784,8,784", "--steps", 20, "--quiet", "--out", "idx.safetensors")
assert (folder / "npy.safetensors").read_bytes() == (folder / "idx.safetensors").read_bytes()
# Fortran order is read as C order.
values = rng.normal(size=(4, 6)).astype(np.float32)
for name, array in [("rows", values), ("columns", np.asfortranarray(values))]:
    np.save(folder / f"{name}.npy", array)
    run("convert", f"{name}.npy", f"{name}.idx")
assert (folder / "rows.idx").read_bytes() == (folder / "columns.idx").read_bytes()
np.save(folder / "complex.npy", np.ones((4, 6), np.complex64))
refused = subprocess.run([sae, "inspect", folder / "complex.npy"], capture_output=True, text=True)
assert refused.returncode == 2 and "complex" in refused.stderr, refused
print("formats: all read as they were written")
