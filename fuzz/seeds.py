"""Makes the seeds of the corpora: seeds.py SAE, where SAE is the command."""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
import zlib
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



def safetensors(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


NAMES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8, "F16": 2, "BF16": 2,
         "F32": 4, "F64": 8, "F8_E4M3": 1}
for name, size in NAMES.items():
    header = b'{"a":{"dtype":"%s","shape":[3,2],"data_offsets":[0,%d]}}' % (name.encode(), 6 * size)
    seed("safetensors_data", name.lower(), safetensors(header, bytes(range(6)) * size))
line = b'{"dtype":"U8","shape":%s,"data_offsets":[%d,%d]}'
SETS = {
    "several": (b'{"x":%s,"y":%s,"z":%s}' % (line % (b"[2]", 0, 2), line % (b"[1,3]", 2, 5), line % (b"[1]", 5, 6)), 6),
    "deep": (b'{"x":%s}   ' % (line % (b"[1,2,3]", 0, 6)), 6),
    "two": (b'{"x":%s,"y":%s}' % (line % (b"[1,1]", 0, 1), line % (b"[1,1]", 1, 2)), 2),
    "short": (b'{"x":%s}' % (line % (b"[1,3]", 0, 3)), 2),
    "none": (b"{}", 0),
    "claims-much": (b'{"x":%s}' % (line % (b"[4294967296,268435456]", 0, 2**60)), 0),
}
for name, (header, count) in SETS.items():
    seed("safetensors_data", name, safetensors(header, bytes(range(count))))
    # Without a length, which the target puts before it.
    seed("safetensors_data", f"{name}-header", header.rstrip() + bytes(range(count)))
seed("safetensors_data", "packed.gz", gzip.compress(safetensors(b'{"x":%s}' % (line % (b"[2,3]", 0, 6)), bytes(6)), mtime=0))
# Dictionaries that the real libraries wrote.
recorded = Path(__file__).parent.parent / "tests" / "recorded" / "exchange"
WEIGHTS = {"saelens": (0, "sae_weights.safetensors"), "sparsify": (1, "sae.safetensors")}
for folder in sorted(path for path in recorded.rglob("*") if (path / "cfg.json").is_file()):
    format, weights = WEIGHTS[folder.relative_to(recorded).parts[0].split("-")[0]]
    config = (folder / "cfg.json").read_bytes()
    seed("exchange", folder.name, bytes([format]) + struct.pack("<H", len(config)) + config + (folder / weights).read_bytes())
for name in ["gemma-scope", "gemma-scope-compressed", "gemma-scope-transcoder"]:
    seed("exchange", name, bytes([2]) + (recorded / name / "params.npz").read_bytes())
# Version, type, byte order and layout, then lengths that the target takes from the end.
for kind in range(13):
    for order in range(2):
        seed("npy", f"kind-{kind}-{'be' if order else 'le'}", bytes([1 + kind % 3, kind, order, kind % 2, 1, 3, 1, 2, 0, 0, 0]) + bytes(range(40)))
for name, text in {
    "one": b"a-1.npy\n",
    "all": b"# some\na-10.npy\r\n  in/b.npy\n\na-2.npy",
    "missing": b"a-1.npy\nb.npy\n",
    "wide": b"a-1.npy\nin/wide.npy\n",
    "folder": b"in\n",
    "binary": b"\xff\xfe\x00",
    "pattern": b"a-*.npy",
    "pattern-class": b"a-[0-9].npy",
    "pattern-bad": b"a-[",
}.items():
    seed("shard_list", name, text)

sae = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    def run(*words):
        subprocess.run([sae, *words], cwd=folder, check=True, capture_output=True)

    Path(folder, "in.idx").write_bytes(idx(0x08, [8, 2, 3], bytes(range(48))))
    run("train", "--images", "in.idx", "--layers", "6,3,2,3,6", "--steps", "5", "--batch", "3", "--holdout", "2",
        "--out", "m.safetensors", "--checkpoint", "run.ckpt", "--quiet")
    model, checkpoint = Path(folder, "m.safetensors").read_bytes(), Path(folder, "run.ckpt").read_bytes()
    run("train", "--images", "in.idx", "--layers", "6,2,6", "--steps", "9", "--batch", "3", "--holdout", "2",
        "--out", "m.safetensors", "--checkpoint", "early.ckpt", "--patience", "2", "--evaluate-every", "2", "--quiet")
    seed("checkpoint", "early-stopping", Path(folder, "early.ckpt").read_bytes())
seed("model", "small", model)
seed("checkpoint", "small", checkpoint)
# Of version 0.1.
for recorded in (Path(__file__).parent.parent / "tests" / "recorded").glob("*-v2*"):
    target = recorded.name.split("-")[0]
    seed(target, recorded.stem, recorded.read_bytes())

length = struct.unpack("<Q", model[:8])[0]
header, data = model[8 : 8 + length], model[8 + length :]
for name, content in {
    "claims-layers": safetensors(header.replace(b"[6,3,2,3,6]", b"[16777216,16777216,16777216]"), data),
    "claims-shape": safetensors(header.replace(b"[3,6]", b"[4294967296,1073741824]"), data),
    "claims-header": struct.pack("<Q", 2**64 - 1) + header,
    # As values these would take more than 1 MiB.
    "objects": safetensors(b'{"a":[' + b",".join([b'{"":0}'] * 2300) + b"]}"),
    "deep": safetensors(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"),
}.items():
    seed("model", name, content)

# Its checksum right, its settings wrong.
at = 8 + struct.unpack("<Q", checkpoint[:8])[0]
wrong = checkpoint.replace(b'"batch":3', b'"batch":0')
seed("checkpoint", "bad-settings", wrong[:at] + struct.pack("<I", zlib.crc32(wrong[:at] + wrong[at + 4 :])) + wrong[at + 4 :])
seed("checkpoint", "claims-shape", checkpoint.replace(b'"shape":[1]', b'"shape":[9]'))

settings = (
    b'{"layers":[784,300,30,300,784],"activation":"sigmoid","output_activation":"sigmoid",'
    b'"rho":0.02,"beta":0.000075,"lambda":5e-6,"learning_rate":0.01,"beta1":0.9,"beta2":0.999,"epsilon":1e-8,'
    b'"batch":60,"seed":1}'
)
small = settings.replace(b"784,300,30,300,784", b"8,5,2,5,8").replace(b'"batch":60', b'"batch":2')
seed("settings", "defaults", settings)
seed("settings", "small", small)
for name in ["tanh", "relu", "leaky-relu", "linear", "saturating-linear"]:
    other = small.replace(b'"activation":"sigmoid"', b'"activation":"%s"' % name.encode())
    seed("settings", name, other.replace(b"0.000075", b"0"))
    output = b'"output_activation":"%s"' % name.encode()
    seed("settings", f"output-{name}", small.replace(b'"output_activation":"sigmoid"', output))
for name, (old, new) in {
    "rate-high": (b'"learning_rate":0.01', b'"learning_rate":1e9'),
    "rate-low": (b'"learning_rate":0.01', b'"learning_rate":1e-308'),
    "beta-high": (b'"beta":0.000075', b'"beta":1e9'),
    "lambda-high": (b'"lambda":5e-6', b'"lambda":1e9'),
    "decay-high": (b'"beta2":0.999', b'"beta2":0.9999999999999999'),
    "decay-none": (b'"beta1":0.9', b'"beta1":0'),
    "epsilon-low": (b'"epsilon":1e-8', b'"epsilon":1.1e-30'),
    "rho-low": (b'"rho":0.02', b'"rho":1e-6'),
    "seed-high": (b'"seed":1', b'"seed":18446744073709551615'),
    "batch-high": (b'"batch":2', b'"batch":16777216'),
    "twice": (b'"seed":1', b'"seed":1,"seed":2'),
}.items():
    seed("settings", name, small.replace(old, new))
for name, text in {
    "preset": b"784,300,30,300,784",
    "small": b"8,3,8",
    "ones": b"1,1,1",
    "odd": b"8,+3,08",
    "even": b"8,3,3,8",
    "ends": b"8,3,7",
    "none": b"",
    "empty": b"8,,8",
    "spaces": b"8, 3, 8",
    "zero": b"8,0,8",
    "minus": b"8,-3,8",
    "largest": b"8,16777216,8",
    "too-large": b"8,16777217,8",
    "beyond": b"8,18446744073709551616,8",
    "deep": b",".join([b"2"] * 63),
    "too-deep": b",".join([b"2"] * 257),
}.items():
    seed("layers", name, text)
for name, text in {
    "plain": b"1,2\n3,4\n",
    "semicolons": b"1;2\n3;4\n",
    "tabs": b"1\t2\n3\t4\n",
    "header": b"label,pixel0,pixel1\n7,0,255\n1,128,3\n",
    "crlf": b"\xef\xbb\xbfa,b\r\n1.5,2\r\n\r\n-3,1e5\r\n",
    "quotes": b'"a ""b""","c\nd"\n"1","2"\n',
    "f64": b"0.1,0.2\n1e-300,16777217\n",
    "large-f32": b"36388608,3\n",
    "classes": b"5.1,virginica\n4.9,setosa\n",
    "not-utf-8": b"\xe9,label\n1,\xe8\n2,\xe9\n",
    "spaces": b" 1 , 2\n\n  \n3 ,4",
    "ragged": b"1,2\n3\n",
    "empty-field": b"1,2\n3,\n",
    "missing": b"a,b\n1,NA\n",
    "not-finite": b"1,inf\n1e999,2\n",
    "decimal-commas": b"1,5;2,5\n",
    "header-only": b"a,b\n",
    "unclosed": b'1,2\n3,"4\n5,6\n',
    "carriage-returns": b"1,2\r3,4\r",
    "utf-16": "1,2\n".encode("utf-16"),
    "empty": b"",
}.items():
    seed("csv", name, text)
for target in ["gemm", "fused", "elementwise"]:
    # Shape and layout, then numbers: NaN, infinities, subnormals, zeros, ones.
    numbers = struct.pack("<8f", float("nan"), float("inf"), -float("inf"), 1e-40, 0.0, -0.0, 1.0, -2.5)
    seed(target, "odd-numbers", bytes([11, 22, 33, 1, 0, 1, 0, 1]) + numbers * 3)
    seed(target, "plain", bytes([63, 15, 47, 0, 1, 1, 0, 0]) + struct.pack("<16f", *[0.25 * i for i in range(16)]))
