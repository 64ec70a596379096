"""Dictionaries of other libraries, recorded in tests/recorded/exchange by the real ones."""

from pathlib import Path

import numpy as np
import pytest

import sae

RECORDED = Path(__file__).parents[2] / "tests" / "recorded" / "exchange"


def read(path):
    """The tensors of a safetensors file of f32."""
    import json
    import struct

    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    return {
        name: np.frombuffer(data[of["data_offsets"][0] : of["data_offsets"][1]], "<f4").reshape(of["shape"])
        for name, of in header.items()
    }


def check(model, folder):
    expected = read(folder / "expected.safetensors")
    codes = model.transform(expected["samples"])
    codes = codes if isinstance(codes, np.ndarray) else codes.toarray()
    for have, want in [
        (codes, expected["codes"]),
        (model.reconstruct(expected["samples"]), expected["reconstructions"]),
    ]:
        assert np.abs(have - want).max() <= 2e-6 * np.abs(want).max()


OTHERS = ["saelens-topk", "saelens-jumprelu", "sparsify-topk", "gemma-scope/params.npz"]
TRANSCODERS = ["saelens-jumprelu_skip_transcoder", "saelens-transcoder", "gemma-scope-transcoder"]


@pytest.mark.parametrize("name", OTHERS + TRANSCODERS)
def test_dictionaries_are_read(name, tmp_path):
    model = sae.import_dictionary(RECORDED / name)
    folder = RECORDED / name.split("/")[0]
    check(model, folder)
    model.save(tmp_path / "m.safetensors")
    check(sae.SparseAutoencoder.load(tmp_path / "m.safetensors"), folder)
    sae.export_dictionary(model, tmp_path / "out", "saelens", model_name="m", hook_name="h")
    check(sae.import_dictionary(tmp_path / "out"), folder)


def test_a_dictionary_is_trained_on():
    model = sae.import_dictionary(RECORDED / "saelens-topk")
    samples = read(RECORDED / "saelens-topk" / "expected.safetensors")["samples"]
    before = model.score(samples)
    model.set_params(batch=12, learning_rate=1e-2)
    for _ in range(200):
        model.partial_fit(samples)
    assert model.score(samples) > before


def test_a_transcoder_needs_targets():
    model = sae.import_dictionary(RECORDED / "saelens-skip_transcoder")
    expected = read(RECORDED / "saelens-skip_transcoder" / "expected.safetensors")
    with pytest.raises(ValueError, match="targets"):
        model.evaluate(expected["samples"])
    assert model.evaluate(expected["samples"], targets=expected["reconstructions"])["loss"] < 1e-10


def test_wrong_arguments(tmp_path):
    model = sae.import_dictionary(RECORDED / "saelens-topk")
    with pytest.raises(ValueError, match="format: expected one of saelens, sparsify, .*got 'onnx'"):
        sae.export_dictionary(model, tmp_path / "out", "onnx")
    with pytest.raises(ValueError, match="hook_name: expected None, because sparsify"):
        sae.export_dictionary(model, tmp_path / "out", "sparsify", hook_name="h")
    with pytest.raises(ValueError, match="Gemma Scope has thresholds"):
        sae.export_dictionary(model, tmp_path / "out", "gemma-scope")
    with pytest.raises(FileNotFoundError):
        sae.import_dictionary(tmp_path / "nothing")
    with pytest.raises(ValueError, match="expected a dictionary"):
        sae.import_dictionary(tmp_path)
    assert list(tmp_path.iterdir()) == []


def classes():
    return sorted(path.name for path in RECORDED.glob("dictionary-learning-*"))


@pytest.mark.parametrize("name", classes())
def test_state_dicts_in_both_directions(name, tmp_path):
    torch = pytest.importorskip("torch")
    model = sae.import_dictionary(RECORDED / name)
    check(model, RECORDED / name)
    sae.export_dictionary(model, tmp_path / "out", "dictionary-learning")
    check(sae.import_dictionary(tmp_path / "out" / "ae.pt"), RECORDED / name)
    state = torch.load(tmp_path / "out" / "ae.pt", weights_only=True)
    assert "k" not in state or state["k"].dtype == torch.int32
    assert ("group_sizes" in state) == name.endswith("MatryoshkaBatchTopKSAE")
    assert "group_sizes" not in state or state["group_sizes"].tolist() == [5, 5]
    assert "group_sizes" not in state or state["group_sizes"].dtype == torch.int64
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        sae.export_dictionary(model, tmp_path / "out", "dictionary-learning")


def test_a_pickle_runs_no_code(tmp_path):
    torch = pytest.importorskip("torch")

    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit(3)",))

    torch.save({"bias": Evil()}, tmp_path / "ae.pt")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Exception, match="(?i)weights"):
        sae.import_dictionary(tmp_path)


def test_without_torch(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        sae.import_dictionary(RECORDED / "dictionary-learning-AutoEncoder")
