"""The Python blocks of the book, page by page."""

import re
from pathlib import Path

import numpy as np
import pytest

import sae
from sae import SparseAutoencoder

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page):
    """The Python programs of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def pages():
    """The pages of the summary with Python; test_pictures.py has python.md, part of which needs more packages."""
    links = re.findall(r"\]\((.*?\.md)\)", (DOCS / "SUMMARY.md").read_text(encoding="utf-8"))
    return [link for link in links if link != "python.md" and blocks(DOCS / link)]


def files_for(page):
    """What a page takes from the commands before its programs."""
    if page == "exchange.md":
        X = np.random.default_rng(1).normal(size=(300, 384)).astype("float32")
        np.save("activations.npy", X)
        model = SparseAutoencoder.from_preset("top-k", n_features=384, layers=(64,), code="top-k:4", steps=5)
        sae.export_dictionary(model.fit(X), "folder", "saelens")
    if page == "formats.md":
        Path("runs/1").mkdir(parents=True)
        Path("runs/1/log.jsonl").write_text('{"event":"row","step":8,"test_objective":0.5}\n', encoding="utf-8")
    if page == "report.md":
        X = np.random.default_rng(1).normal(size=(50, 6)).astype("float32")
        SparseAutoencoder((4,), beta=0, steps=50).fit(X).report(X, path="report.html")


def test_the_book_has_programs():
    assert {"tutorials/python.md", "formats.md", "migration.md", "exchange.md"} <= set(pages())


@pytest.mark.parametrize("page", pages())
def test_programs_of_the_book(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_for(page)
    names = {}
    for block in blocks(DOCS / page):
        exec(block, names)
