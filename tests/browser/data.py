"""Small data sets for the report's test, written as NumPy files: tokens of a made-up text, images in color, and few or
signed numbers.

    data.py FOLDER
"""

import random
import struct
import sys
from pathlib import Path

folder = Path(sys.argv[1])
random.seed(7)


def npy(path, kind, shape, content):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content)


# Each word has a direction of its own, and a little of that of the word before.
FEATURES = 24
words = "the cat sat on a mat and ##s look ##ed at dog <b>&\"'</b>".split()
directions = {word: [random.gauss(0, 1) for _ in range(FEATURES)] for word in words}
tokens = [random.choice(words) for _ in range(700)]
rows = bytearray()
for at, token in enumerate(tokens):
    before = directions[tokens[at - 1]]
    row = [a + 0.3 * b + random.gauss(0, 0.05) for a, b in zip(directions[token], before)]
    rows += struct.pack(f"<{FEATURES}f", *row)
npy(folder / "tokens.npy", "<f4", (len(tokens), FEATURES), rows)
(folder / "tokens.txt").write_text("\n".join(tokens) + "\n")

# Red, green and blue disks on black, 20 x 28.
pixels = bytearray()
for _ in range(400):
    x0, y0, radius, color = random.uniform(5, 23), random.uniform(5, 15), random.uniform(3, 6), random.randrange(3)
    for y in range(20):
        for x in range(28):
            inside = (x - x0) ** 2 + (y - y0) ** 2 < radius**2
            pixels += bytes(230 if inside and channel == color else 0 for channel in range(3))
npy(folder / "disks.npy", "|u1", (400, 20, 28, 3), pixels)

# Noise as long as a transformer's activations, which nothing compresses.
content = bytearray()
for _ in range(2000 * 768):
    content += struct.pack("<f", random.random() - 0.5)
npy(folder / "wide.npy", "<f4", (2000, 768), content)

# Few samples of few features, one alone, and samples with names that are empty or too long for a line.
for name, rows, columns in [("few", 28, 5), ("alone", 1, 5), ("signed", 200, 7)]:
    values = [random.gauss(0, 1) for _ in range(rows * columns)]
    npy(folder / f"{name}.npy", "<f4", (rows, columns), struct.pack(f"<{len(values)}f", *values))
(folder / "few.txt").write_text("\n".join("" if at % 3 == 0 else "a/long/name/of/a/file/" * 4 + str(at) for at in range(28)) + "\n")
