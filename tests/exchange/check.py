"""Dictionaries of the real libraries here, and ours there: check.py SAE FOLDER [short].

SAE is the command, FOLDER is for the files. Needs sae-lens, eai-sparsify, dictionary-learning and the Python package sae.
Codes and reconstructions have to be the same to 1e-5 of the largest.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import peers
from safetensors.numpy import save_file

import sae

command, folder = sys.argv[1], Path(sys.argv[2])
short = "short" in sys.argv[3:]
features, units, samples = (24, 48, 60) if short else (64, 256, 400)
TOLERANCE = 1e-5
passed = 0


def run(*words):
    usual = ["--overwrite"] if words[0] in ("train", "convert", "decode", "encode") else []
    if words[0] == "train" and "--from" not in words:
        usual += ["--preset", "article"]
    done = subprocess.run([command, *map(str, words), *usual], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def same(have, want, what):
    """Prints the largest difference, relative to the largest number, and fails if it is too large."""
    global passed
    assert have.shape == want.shape, (what, have.shape, want.shape)
    difference = np.abs(have - want).max() / np.abs(want).max()
    print(f"{what:64} {difference:8.1e}")
    assert difference <= TOLERANCE, what
    passed += 1


def ours(model, x, skips=False):
    """What the command makes of samples: codes, and their reconstructions, which with a skip connection Python makes."""
    np.save(folder / "x.npy", x)
    run("encode", model, "--samples", "x.npy", "--out", "codes.npy")
    codes = np.load(folder / "codes.npy")
    if skips:
        load = sae.SparseAutoencoder.load if Path(model).suffix == ".safetensors" else sae.import_dictionary
        return codes, load(folder / model).reconstruct(x)
    run("decode", model, "codes.npy", "--out", "y.npy")
    return codes, np.load(folder / "y.npy")


# Theirs here: by the command, as a model file, and by the Python package.
for kind, path in peers.make(folder / "theirs", features, units, samples):
    expected = peers.expected(path)
    x, codes, y = (expected[name] for name in ("samples", "codes", "reconstructions"))
    name = f"{path.relative_to(folder / 'theirs')} here"
    skips = "skip" in name
    if skips or "transcoder" in name:
        # An evaluation with what they predict as targets.
        save_file({"x": x}, folder / "test.safetensors")
        save_file({"x": y}, folder / "targets.safetensors")
        told = run("eval", path, "--samples", "test.safetensors", "--targets", "targets.safetensors", "--json")
        assert json.loads(told)["loss"] < 1e-9 * (y**2).sum(axis=1).mean(), (name, told)
        passed += 1
    if kind == "dictionary-learning":
        sae.import_dictionary(path).save(folder / "imported.safetensors")
    else:
        have = ours(path, x, skips)
        same(have[0], codes, f"{name}, codes")
        same(have[1], y, f"{name}, reconstructions")
        run("convert", path, "imported.safetensors")
    have = ours("imported.safetensors", x, skips)
    same(have[0], codes, f"{name}, as a model, codes")
    same(have[1], y, f"{name}, as a model, reconstructions")
    model = sae.import_dictionary(path)
    have = model.transform(x)
    same(have if isinstance(have, np.ndarray) else have.toarray(), codes, f"{name}, in Python, codes")
    same(model.reconstruct(x), y, f"{name}, in Python, reconstructions")

# Ours there. The data have an offset and a scale for each feature.
rng = np.random.default_rng(5)
directions = rng.normal(size=(2 * features, features))
amounts = rng.exponential(size=(samples + 2000, 2 * features)) * (rng.random((samples + 2000, 2 * features)) < 0.05)
data = ((amounts @ directions + 0.1 * rng.normal(size=(samples + 2000, features))) * rng.uniform(0.5, 2, features)).astype(np.float32)
data += rng.normal(size=features).astype(np.float32) * 3
save_file({"x": data[samples:]}, folder / "train.safetensors")
x = data[:samples]
k = units // 8
codes = {
    "dense": ["--l1", "1e-3"],
    "top-k": ["--code", f"top-k:{k}"],
    "batch-top-k": ["--code", f"batch-top-k:{k}"],
    "matryoshka": ["--code", f"batch-top-k:{k}", "--prefixes", "powers-of-two"],
    "jump-relu": ["--code", "jump-relu:1e-3"],
}
FORMATS = {
    "dense": ["saelens", "gemma-scope", "dictionary-learning"],
    "top-k": ["saelens", "sparsify", "dictionary-learning"],
    "batch-top-k": ["saelens", "gemma-scope", "dictionary-learning"],
    "matryoshka": ["saelens", "dictionary-learning"],
    "jump-relu": ["saelens", "gemma-scope", "dictionary-learning"],
}
for code, options in codes.items():
    for scaling in ["as-is", "mean-deviation:feature", "unit-rms"]:
        model = f"{code}-{scaling.replace(':', '-')}.safetensors"
        run(
            "train", "--samples", "train.safetensors", "--scaling", scaling, "--layers", f"{features},{units},{features}",
            "--activation", "relu", "--init", "he", "--beta", 0, "--lr", "3e-3", "--batch", 100, "--steps", 60, *options,
            "--out", model, "--quiet",
        )  # fmt: skip
        run("convert", model, "folded.safetensors", "--fold-scaling")
        own, reconstructions = ours("folded.safetensors", x)
        assert (own > 0).any() and (own == 0).any(), "some units are active"
        same(ours(model, x)[0], own, f"{code}, {scaling}, codes before the fold")
        for kind in FORMATS[code]:
            out = folder / "ours" / f"{code}-{scaling.replace(':', '-')}-{kind}"
            out.parent.mkdir(exist_ok=True)
            if kind == "dictionary-learning":
                sae.export_dictionary(sae.SparseAutoencoder.load(folder / model), out, kind)
            elif kind == "gemma-scope":
                out.mkdir()
                run("convert", model, "--to", kind, out / "params.npz")
            else:
                run("convert", model, "--to", kind, out)
            encode, reconstruct = peers.load(kind, out)
            same(encode(x), own, f"{code}, {scaling}, in {kind}, codes")
            same(reconstruct(x), reconstructions, f"{code}, {scaling}, in {kind}, reconstructions")

# Transcoders, whose targets have another scaling.
TRANSCODERS = [
    ("dense", False, "saelens"),
    ("dense", True, "saelens"),
    ("batch-top-k", True, "saelens"),
    ("jump-relu", False, "saelens"),
    ("jump-relu", False, "gemma-scope"),
    ("top-k", False, "sparsify"),
    ("top-k", True, "sparsify"),
]
for code, skips, kind in TRANSCODERS:
    outputs = features if kind == "sparsify" else features - 3
    targets = np.tanh(data[:, ::-1][:, :outputs] / 4) + np.arange(outputs, dtype=np.float32)
    save_file({"y": np.ascontiguousarray(targets[samples:])}, folder / "targets.safetensors")
    run(
        "train", "--samples", "train.safetensors", "--targets", "targets.safetensors", "--scaling", "unit-rms",
        "--target-scaling", "mean-deviation:feature", "--layers", f"{features},{units},{outputs}", "--activation", "relu",
        "--init", "he", "--beta", 0, "--lr", "3e-3", "--batch", 100, "--steps", 60, "--output-activation", "linear",
        *(["--skip"] if skips else []), *codes[code], "--out", "transcoder.safetensors", "--quiet",
    )  # fmt: skip
    run("convert", "transcoder.safetensors", "folded.safetensors", "--fold-scaling")
    own, predictions = ours("folded.safetensors", x, skips)
    name = f"{code}, transcoder{' with a skip connection' if skips else ''}"
    out = folder / "ours" / f"{name.replace(', ', '-').replace(' ', '-')}-{kind}"
    if kind == "gemma-scope":
        out.mkdir()
    run("convert", "transcoder.safetensors", "--to", kind, out / "params.npz" if kind == "gemma-scope" else out)
    encode, reconstruct = peers.load(kind, out)
    same(encode(x), own, f"{name}, in {kind}, codes")
    same(reconstruct(x), predictions, f"{name}, in {kind}, predictions")

# Trained on: the first step begins where the other library's training ended.
for kind in ["saelens-topk", "saelens-jumprelu", "sparsify-topk", "gemma-scope"]:
    path = folder / "theirs" / kind
    run(
        "train", "--from", path, "--samples", "train.safetensors", "--steps", 100, "--lr", "1e-3", "--out", "more.safetensors",
        "--quiet",
    )  # fmt: skip
    save_file({"x": x}, folder / "test.safetensors")
    before, after = (
        json.loads(run("eval", model, "--samples", "test.safetensors", "--json"))["loss"] for model in (path, "more.safetensors")
    )
    print(f"{kind}, trained on: loss {before:.4g}, then {after:.4g}")
    assert after < before, kind
    passed += 1
print(f"{passed} passed, 0 failed")
