"""What `sae convert` makes of files, read by NumPy and Pillow, and the other way round.

    convert.py SAE FOLDER

SAE is the command; FOLDER is for the files. Needs numpy and pillow.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sae, folder = sys.argv[1], Path(sys.argv[2])


def run(*words):
    replacing = ["--overwrite"] if words[0] in ("train", "convert", "decode", "encode") else []
    if words[0] == "train" and "--preset" not in words:
        replacing += ["--preset", "article"]
    done = subprocess.run([sae, *map(str, words), *replacing], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


# Numbers keep their type and value, whatever the order of bytes.
rng = np.random.default_rng(1)
codes = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
for kind in ["u1", "i1", "<i2", ">i2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]:
    for shape in [(7,), (5, 4), (7, 3, 5), (2, 3, 2, 3)]:
        array = (rng.normal(size=shape) * 40).astype(kind)
        np.save(folder / "a.npy", array)
        run("convert", "a.npy", "a.idx")
        header = bytes([0, 0, codes[kind[-2:]], len(shape)]) + np.array(shape, ">u4").tobytes()
        big_endian = array.astype(array.dtype.newbyteorder(">")).tobytes()
        assert (folder / "a.idx").read_bytes() == header + big_endian, (kind, shape)
        said = json.loads(run("convert", "a.idx", "b.npy", "--json"))
        assert said["dims"] == list(shape), said
        back = np.load(folder / "b.npy")
        assert back.dtype == array.dtype.newbyteorder("=") and (back == array).all(), (kind, shape)
        if not kind.startswith(">"):
            assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes(), (kind, shape)

# Images as other programs see them.
run("make-digits", "digits", "--train", 1, "--test", 120)
run("convert", "digits/t10k-images-idx3-ubyte", "images.npy")
run("convert", "digits/t10k-images-idx3-ubyte", "pictures")
images = np.load(folder / "images.npy")
assert images.shape == (120, 28, 28) and images.dtype == np.uint8 and images.max() == 255
names = sorted(path.name for path in (folder / "pictures").iterdir())
assert names == [f"{i:03}.png" for i in range(120)], names
for name, image in zip(names, images):
    picture = Image.open(folder / "pictures" / name)
    assert picture.mode == "L" and (np.asarray(picture) == image).all(), name

# PNGs of every kind that Pillow writes.
colours = rng.integers(0, 256, (6, 9, 3), np.uint8)
grey = rng.integers(0, 256, (6, 9), np.uint8)
deep = rng.integers(0, 65536, (6, 9), np.uint16)
palette = Image.fromarray(colours).quantize(16)
opaque = Image.fromarray(np.dstack([colours, np.full((6, 9), 255, np.uint8)]))
luma = lambda rgb: (rgb.astype(np.int64) @ [299, 587, 114] + 500) // 1000
cases = {
    "1 grey": (Image.fromarray(grey), grey),
    "2 bits": (Image.fromarray(grey > 127), np.where(grey > 127, 255, 0)),
    "3 palette": (palette, luma(np.asarray(palette.convert("RGB")))),
    "10 colours": (Image.fromarray(colours), luma(colours)),
    "11 opaque": (opaque, luma(colours)),
    "12 grey opaque": (Image.fromarray(np.dstack([grey, np.full((6, 9), 255, np.uint8)]), "LA"), grey),
    "13 deep": (Image.fromarray(deep), deep >> 8),
}
(folder / "kinds").mkdir()
for name, (image, _) in cases.items():
    image.save(folder / "kinds" / f"{name}.png")
run("convert", "kinds", "kinds.npy")
for have, (name, (_, want)) in zip(np.load(folder / "kinds.npy"), cases.items(), strict=True):
    assert (have == want).all(), (name, have, want)

# Sub-folders are labels.
for label, name in enumerate(["2 cats", "10 dogs"]):
    (folder / "classes" / name).mkdir(parents=True)
    for i in range(3 + label):
        Image.fromarray(images[10 * label + i]).save(folder / "classes" / name / f"{i}.png")
run("convert", "classes", "classes.npy", "--labels", "labels.npy")
assert (np.load(folder / "labels.npy") == [0, 0, 0, 1, 1, 1, 1]).all()
assert (np.load(folder / "classes.npy") == images[[0, 1, 2, 10, 11, 12, 13]]).all()
print("convert: NumPy and Pillow see what was converted")
