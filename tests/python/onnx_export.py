"""ONNX files that `sae` writes, checked by onnx and run by ONNX Runtime.

    onnx_export.py SAE FOLDER

SAE is the command; FOLDER is for the files. Needs numpy, safetensors, onnx and onnxruntime.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

sae, folder = sys.argv[1], Path(sys.argv[2])
MOST = 1e-5


def run(*words):
    replacing = ["--overwrite"] if words[0] in ("train", "convert", "decode", "encode") else []
    if words[0] == "train" and "--preset" not in words:
        replacing += ["--preset", "article"]
    done = subprocess.run([sae, *map(str, words), *replacing], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def metadata(model):
    with safe_open(folder / model, "np") as file:
        return file.metadata()


def session(model, part):
    """The part as ONNX Runtime loads it, once onnx has found no fault."""
    name = f"{Path(model).stem}-{part}.onnx"
    run("convert", model, name, "--part", part)
    proto = onnx.load(folder / name)
    onnx.checker.check_model(proto, full_check=True)
    assert {entry.key: entry.value for entry in proto.metadata_props} == metadata(model), name
    assert (proto.ir_version, proto.opset_import[0].version, proto.producer_name) == (7, 13, "sae")
    return onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])


def compare(model, features, data, mean=0, deviation=1):
    """The largest difference of all parts to what `sae encode` and `sae decode` say, which has no scaling."""
    run("encode", model, *data, "--out", "codes.npy")
    run("decode", model, "codes.npy", "--out", "reconstruction.npy")
    codes, reconstruction = np.load(folder / "codes.npy"), np.load(folder / "reconstruction.npy")
    reconstruction = (reconstruction - np.float32(mean)) / np.float32(deviation)
    encoder, decoder, both = (session(model, part) for part in ["encoder", "decoder", "autoencoder"])
    names = lambda of: [value.name for value in of]
    assert names(encoder.get_inputs()) == ["features"] and names(encoder.get_outputs()) == ["code"]
    assert names(decoder.get_inputs()) == ["code"] and names(decoder.get_outputs()) == ["reconstruction"]
    assert names(both.get_inputs()) == ["features"] and names(both.get_outputs()) == ["reconstruction", "code"]
    whole = both.run(None, {"features": features})
    pairs = [
        (encoder.run(["code"], {"features": features})[0], codes),
        (decoder.run(["reconstruction"], {"code": codes})[0], reconstruction),
        (whole[0], reconstruction),
        (whole[1], codes),
        # As many samples as one likes.
        (both.run(["code"], {"features": features[:1]})[0], codes[:1]),
    ]
    for have, want in pairs:
        assert have.shape == want.shape and have.dtype == np.float32, (model, have.shape, want.shape)
    worst = max(np.abs(have - want).max() for have, want in pairs)
    assert worst <= MOST, (model, worst)
    return worst, codes


run("make-digits", "digits", "--train", 300, "--test", 100)
# As floats, which `sae decode` writes as they are.
for name, file in [("train.npy", "train-images-idx3-ubyte"), ("test.npy", "t10k-images-idx3-ubyte")]:
    pixels = np.frombuffer((folder / "digits" / file).read_bytes(), np.uint8, offset=16)
    features = pixels.reshape(-1, 784).astype(np.float32) / np.float32(255)
    np.save(folder / name, features)
data, tested = ["--samples", "train.npy", "--test", "test.npy"], ["--samples", "test.npy"]

# The seed article's network.
run("train", *data, "--output-activation", "sigmoid", "--steps", 100, "--quiet", "--out", "seed.safetensors")
assert load_file(folder / "seed.safetensors")["encoder.0.weight"].shape == (300, 784)
print(f"784-300-30-300-784, sigmoid: largest difference {compare('seed.safetensors', features, tested)[0]:.1e}")

# Every activation with every code. Units of the code above each other's thresholds, or not.
SMALL = ["--layers", "784,20,12,20,784", "--beta", 0, "--lr", 0.002, "--init", "xavier", "--steps", 30, "--quiet"]
worst = 0
for activation in ["sigmoid", "tanh", "relu", "leaky-relu", "linear", "saturating-linear"]:
    for code in ["dense", "top-k:4", "batch-top-k:4", "jump-relu:0.001"]:
        words = ["--activation", activation, "--output-activation", activation, "--code", code]
        run("train", *data, *SMALL, *words, "--out", "small.safetensors")
        if code.startswith("jump"):
            # Thresholds that differ, most of them within what the units do.
            tensors = load_file(folder / "small.safetensors")
            values = np.linspace(0.01, 0.6, 12, dtype=np.float32)
            tensors["code.log_threshold"] = np.log(values)
            save_file(tensors, folder / "small.safetensors", metadata("small.safetensors"))
        difference, codes = compare("small.safetensors", features, tested)
        kept = (codes != 0).mean()
        assert code == "dense" or 0 < kept < 1, (words, kept)
        if code == "top-k:4":
            assert ((codes != 0).sum(axis=1) <= 4).all(), words
        worst = max(worst, difference)
print(f"6 activations with 4 codes: largest difference {worst:.1e}")

# An activation of its own for each layer, tied weights, the cross-entropy's sigmoid.
for words in [
    ["--activations", "relu,tanh,leaky-relu", "--output-activation", "linear"],
    ["--tied", "--activation", "relu", "--output-activation", "linear"],
    ["--loss", "cross-entropy", "--output-activation", "sigmoid"],
    ["--activation", "relu", "--output-activation", "linear", "--unit-norm", "--code", "top-k:3"],
]:
    run("train", *data, *SMALL, *words, "--out", "other.safetensors")
    print(f"{' '.join(words)}: {compare('other.safetensors', features, tested)[0]:.1e}")

# Activations that are equal: the first are kept.
words = ["--activation", "saturating-linear", "--output-activation", "sigmoid", "--code", "top-k:4"]
run("train", *data, *SMALL, *words, "--out", "equal.safetensors")
tensors = load_file(folder / "equal.safetensors")
tensors["encoder.2.bias"] = np.where(np.arange(12) % 2 == 1, 50, -50).astype(np.float32)
save_file(tensors, folder / "equal.safetensors", metadata("equal.safetensors"))
codes = compare("equal.safetensors", features, tested)[1]
assert (codes == [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0]).all(), codes[0]

# Features of another scaling, which the metadata tell.
rng = np.random.default_rng(1)
values = rng.normal(3, 20, (200, 30)).astype(np.float32)
np.save(folder / "values.npy", values)
run("train", "--images", "values.npy", "--scaling", "mean-deviation", "--layers", "30,8,30", "--activation", "tanh",
    "--output-activation", "linear", "--beta", 0, "--steps", 50, "--holdout", 0, "--quiet", "--out",
    "scaled.safetensors")
session("scaled.safetensors", "autoencoder")
entries = onnx.load(folder / "scaled-autoencoder.onnx").metadata_props
scaling = json.loads(entries[0].value)["scaling"]["mean-deviation"]
scaled = (values - np.float32(scaling["mean"])) / np.float32(scaling["deviation"])
assert abs(scaled.mean()) < 1e-3 and abs(scaled.std() - 1) < 1e-3
worst, codes = compare("scaled.safetensors", scaled, ["--images", "values.npy"], **scaling)
print(f"scaled: {worst:.1e}")

# Folded into the weights: numbers of the data in and out.
run("convert", "scaled.safetensors", "folded.onnx", "--fold-scaling")
folded = onnxruntime.InferenceSession(folder / "folded.onnx", providers=["CPUExecutionProvider"])
reconstruction, folded_codes = folded.run(None, {"features": values})
expected = np.load(folder / "reconstruction.npy")
assert np.abs(folded_codes - codes).max() < 1e-5 and np.abs(reconstruction - expected).max() < 1e-3
print(f"folded: {np.abs(reconstruction - expected).max():.1e} of numbers up to {np.abs(values).max():.0f}")
print("ONNX: all parts give what sae gives")
