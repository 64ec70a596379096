"""Makes the seeds of the corpora: seeds.py SAE, where SAE is the command."""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

corpus = Path(__file__).parent / "corpus"


def seed(target, name, content):
    (corpus / target).mkdir(parents=True, exist_ok=True)
    (corpus / target / name).write_bytes(content)


def idx(kind, dims, numbers):
    header = bytes([0, 0, kind, len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
    return header + numbers


TYPES = {"u8": (0x08, "B"), "i8": (0x09, "b"), "i16": (0x0B, "h"), "i32": (0x0C, "i"), "f32": (0x0D, "f"), "f64": (0x0E, "d")}
for target in ["idx", "idx_map"]:
    for name, (kind, code) in TYPES.items():
        numbers = struct.pack(f">6{code}", *range(6))
        seed(target, name, idx(kind, [3, 2], numbers))
        order = "|" if struct.calcsize(code) == 1 else "<"
        letter = {"B": "u", "b": "i", "h": "i", "i": "i", "f": "f", "d": "f"}[code]
        descr = f"{order}{letter}{struct.calcsize(code)}"
        text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (3, 2), }}"
        seed(target, f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.ljust(117).encode() + b"\n"
             + struct.pack(f"<6{code}", *range(6)))
    for rank, dims in {"rank-1": [6], "rank-3": [1, 2, 3], "rank-4": [2, 1, 3, 1]}.items():
        seed(target, rank, idx(0x08, dims, bytes(range(6))))
    whole = idx(0x08, [3, 2], bytes(range(6)))
    seed(target, "packed.gz", gzip.compress(whole, mtime=0))
    seed(target, "two-members.gz", gzip.compress(whole[:7], mtime=0) + gzip.compress(whole[7:], mtime=0))
    seed(target, "claims-much", idx(0x0E, [0xFFFFFFFF] * 3, b""))
    seed(target, "claims-much.gz", gzip.compress(idx(0x0E, [0xFFFFFFFF, 0xFFFF], b""), mtime=0))
    seed(target, "not-finite", idx(0x0D, [2, 1], struct.pack(">2f", float("nan"), float("inf"))))

sae = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    def run(*words):
        subprocess.run([sae, *words], cwd=folder, check=True, capture_output=True)

    Path(folder, "in.idx").write_bytes(idx(0x08, [8, 2, 3], bytes(range(48))))
    run("train", "--images", "in.idx", "--layers", "6,3,2,3,6", "--steps", "5", "--batch", "3", "--holdout", "2",
        "--out", "m.safetensors", "--checkpoint", "run.ckpt", "--quiet")
    model, checkpoint = Path(folder, "m.safetensors").read_bytes(), Path(folder, "run.ckpt").read_bytes()
seed("model", "small", model)
seed("checkpoint", "small", checkpoint)
seed("settings", "layers", b"784,300,30,300,784")
seed("settings", "odd-layers", b"8,+3,08")
seed("settings", "defaults", b'{"layers":[784,300,30,300,784],"activation":"sigmoid","output_activation":"sigmoid",'
     b'"rho":0.02,"beta":0.000075,"lambda":5e-6,"learning_rate":0.01,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,'
     b'"batch":60,"seed":1}')
for target in ["gemm", "fused", "elementwise"]:
    # Shape and layout, then numbers: NaN, infinities, subnormals, zeros, ones.
    numbers = struct.pack("<8f", float("nan"), float("inf"), -float("inf"), 1e-40, 0.0, -0.0, 1.0, -2.5)
    seed(target, "odd-numbers", bytes([11, 22, 33, 1, 0, 1, 0, 1]) + numbers * 3)
    seed(target, "plain", bytes([63, 15, 47, 0, 1, 1, 0, 0]) + struct.pack("<16f", *[0.25 * i for i in range(16)]))
