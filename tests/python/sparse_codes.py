"""Sparse codes that `sae` writes, read by SciPy and safetensors, and the other way round.

    sparse_codes.py SAE FOLDER

SAE is the command; FOLDER is for the files. Needs numpy, scipy and safetensors.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy.sparse
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

sae, folder = sys.argv[1], Path(sys.argv[2])


def run(*words):
    replacing = ["--overwrite"] if words[0] in ("train", "convert", "decode", "encode") else []
    if words[0] == "train" and "--preset" not in words:
        replacing += ["--preset", "article"]
    done = subprocess.run([sae, *map(str, words), *replacing], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def refused(*words):
    done = subprocess.run([sae, *map(str, words)], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 2 and "panicked" not in done.stderr, (words, done.stderr)
    return done.stderr


def same(have, want):
    assert have.shape == want.shape and have.dtype == want.dtype, (have.shape, want.shape, have.dtype)
    assert np.array_equal(have, want)


run("make-digits", "digits", "--train", 600, "--test", 300)
for code in ["top-k:20", "batch-top-k:20", "jump-relu:0.01", "dense"]:
    options = ["--layers", "784,1100,784", "--preset", "plain", "--activation", "relu", "--initialization", "he"]
    run("train", "--data", "digits", *options, "--code", code, "--steps", 30, "--quiet", "--out", "m.safetensors")
    run("encode", "m.safetensors", "--data", "digits", "--out", "codes.npy")
    run("decode", "m.safetensors", "codes.npy", "--out", "samples.npy")
    want, samples = np.load(folder / "codes.npy"), np.load(folder / "samples.npy")

    run("encode", "m.safetensors", "--data", "digits", "--sparse", "--out", "codes.npz")
    codes = scipy.sparse.load_npz(folder / "codes.npz")
    assert isinstance(codes, scipy.sparse.csr_matrix), type(codes)
    assert codes.indptr.dtype == codes.indices.dtype == np.int32, (codes.indptr.dtype, codes.indices.dtype)
    codes.check_format(full_check=True)
    assert codes.has_canonical_format and codes.nnz == np.count_nonzero(want)
    same(codes.toarray(), want)

    run("encode", "m.safetensors", "--data", "digits", "--sparse", "--out", "codes.safetensors")
    tensors = load_file(folder / "codes.safetensors")
    with safe_open(folder / "codes.safetensors", "np") as file:
        shape = json.loads(file.metadata()["shape"])
    assert sorted(tensors) == ["indices", "indptr", "values"] and shape == [300, 1100], (tensors, shape)
    again = scipy.sparse.csr_matrix((tensors["values"], tensors["indices"], tensors["indptr"]), shape=shape)
    same(again.toarray(), want)

    # Back: as SciPy and safetensors write them, with any types.
    for kind in [np.float32, np.float64]:
        for compressed in [True, False]:
            scipy.sparse.save_npz(folder / "in.npz", codes.astype(kind), compressed=compressed)
            run("decode", "m.safetensors", "in.npz", "--out", "again.npy")
            same(np.load(folder / "again.npy"), samples)
    for kind in ["i4", "i8", "u4", "u8"]:
        parts = {"indptr": codes.indptr.astype(kind), "indices": codes.indices.astype(kind), "values": codes.data}
        save_file(parts, folder / "in.safetensors", {"shape": json.dumps(codes.shape)})
        run("decode", "m.safetensors", "in.safetensors", "--out", "again.npy")
        same(np.load(folder / "again.npy"), samples)
    print(f"{code}: {codes.nnz} of {want.size} activations are not 0")

# An array of SciPy, and 64-bit indices.
scipy.sparse.save_npz(folder / "in.npz", scipy.sparse.csr_array(codes))
wide = scipy.sparse.csr_matrix(codes)
wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
scipy.sparse.save_npz(folder / "wide.npz", wide)
for name in ["in.npz", "wide.npz"]:
    run("decode", "m.safetensors", name, "--out", "again.npy")
    same(np.load(folder / "again.npy"), samples)

# What is something else is named.
few = scipy.sparse.csr_matrix(want[:4])
for matrix, sentence in [
    (few.tocsc(), "a matrix in the format csc; expected csr"),
    (few.astype(np.complex64), "data.npy: elements are '<c8'"),
    (few[:, :50], "has 50 numbers per sample; expected 1100"),
]:
    scipy.sparse.save_npz(folder / "in.npz", matrix)
    assert sentence in refused("decode", "m.safetensors", "in.npz", "--out", "no.npy"), sentence
few.indices[:2] = few.indices[[1, 0]]
scipy.sparse.save_npz(folder / "in.npz", few)
assert "expected rising indices" in refused("decode", "m.safetensors", "in.npz", "--out", "no.npy")
np.savez(folder / "in.npz", a=want)
assert "format.npy is missing" in refused("decode", "m.safetensors", "in.npz", "--out", "no.npy")
print("sparse codes: all read as they were written")
