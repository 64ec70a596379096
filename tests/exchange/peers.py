"""Dictionaries made by the real libraries, and what these make of samples.

`make(folder, features, units, samples)` writes a folder of files for each case, and beside them
`expected.safetensors`: the samples, their codes and their reconstructions, computed by the library that
wrote the files after it has read them again. Gemma Scope has no library: its archive is read by SAELens'
loader, from the disk instead of the hub.

`load(kind, folder)` reads a dictionary with its library and returns functions for the codes and the
reconstructions of samples; of a transcoder these are its predictions. (sparsify's decoder needs a GPU unless SPARSIFY_DISABLE_TRITON=1 chooses its other one.)
"""

import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")
warnings.filterwarnings("ignore")

import dictionary_learning.utils as dictionary_learning  # noqa: E402
import numpy as np  # noqa: E402
import sae_lens  # noqa: E402
import torch  # noqa: E402
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, JumpReluAutoEncoder  # noqa: E402
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE  # noqa: E402
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE  # noqa: E402
from dictionary_learning.trainers.top_k import AutoEncoderTopK  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from sae_lens.loading import pretrained_sae_loaders as loaders  # noqa: E402
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig  # noqa: E402
from sae_lens.saes.matryoshka_batchtopk_sae import (  # noqa: E402
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.transcoder import (  # noqa: E402
    JumpReLUSkipTranscoder,
    JumpReLUSkipTranscoderConfig,
    JumpReLUTranscoder,
    JumpReLUTranscoderConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    Transcoder,
    TranscoderConfig,
)
from sparsify import SparseCoder, SparseCoderConfig  # noqa: E402

torch.set_grad_enabled(False)


def fill(module, seed):
    """Random parameters, biases too, of the size that trained ones have."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(module.named_parameters()):
        numbers = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 2:
            numbers /= max(parameter.shape) ** 0.5 / 2
        if name == "threshold":
            numbers = numbers.abs() * 0.3
            # One that keeps all above 0, and one below 0.
            numbers[:2] = torch.tensor([0.0, -0.5])
        parameter.data.copy_(numbers)
    return module


def load_saelens(folder):
    sae = sae_lens.SAE.load_from_disk(folder, dtype="float32")
    return sae.encode, sae


def load_sparsify(folder):
    coder = SparseCoder.load_from_disk(folder).float()
    k = coder.cfg.k

    def encode(x):
        values, indices, _ = coder.encode(x)
        assert values.shape[1] == k
        return torch.zeros(len(x), coder.num_latents).scatter(1, indices, values)

    return encode, lambda x: coder(x).sae_out


def load_gemma_scope(folder):
    """By SAELens' own loader, which would fetch the archive from the hub."""
    archive = Path(folder) / "params.npz"
    with np.load(archive) as arrays:
        features, units = arrays["W_enc"].shape
        outputs = len(arrays["b_dec"])
    sizes = {"d_in": features, "d_sae": units}
    before = loaders.hf_hub_download
    loaders.hf_hub_download = lambda **_: str(archive)
    try:
        if outputs == features:
            name = ("google/gemma-scope-2b-pt-res", "layer_0/width_16k/average_l0_10")
            config, state, _ = loaders.gemma_2_sae_huggingface_loader(*name, cfg_overrides=sizes)
            config = sae_lens.JumpReLUSAEConfig.from_dict(loaders.handle_config_defaulting(config))
            sae = sae_lens.JumpReLUSAE(config)
        else:
            name = ("google/gemma-scope-2b-pt-transcoders", "layer_0/width_16k/average_l0_10")
            config, state, _ = loaders.gemma_2_transcoder_huggingface_loader(*name, cfg_overrides={**sizes, "d_out": outputs})
            config = JumpReLUTranscoderConfig.from_dict(loaders.handle_config_defaulting(config))
            sae = JumpReLUTranscoder(config)
    finally:
        loaders.hf_hub_download = before
    sae.load_state_dict(state)
    return sae.encode, sae


def load_dictionary_learning(folder):
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    if config["trainer"]["dict_class"] == "AutoEncoder":
        # `load_dictionary` would scale the decoder's rows to length 1, and the codes with them.
        dictionary = AutoEncoder.from_pretrained(folder / "ae.pt", normalize_decoder=False)
    else:
        dictionary, _ = dictionary_learning.load_dictionary(str(folder), "cpu")
    return dictionary.encode, dictionary


LOAD = {
    "saelens": load_saelens,
    "sparsify": load_sparsify,
    "gemma-scope": load_gemma_scope,
    "dictionary-learning": load_dictionary_learning,
}


def load(kind, folder):
    encode, reconstruct = LOAD[kind](folder)
    numbers = lambda x: torch.as_tensor(np.asarray(x, np.float32))  # noqa: E731
    return lambda x: encode(numbers(x)).numpy(), lambda x: reconstruct(numbers(x)).numpy()


def saelens_cases(features, units, k):
    """Name, and a SAE whose `save` writes it."""
    common = {"d_in": features, "d_sae": units, "metadata": sae_lens.saes.sae.SAEMetadata(model_name="m", hook_name="h")}
    standard, topk, jump = sae_lens.StandardSAEConfig, sae_lens.TopKSAEConfig, sae_lens.JumpReLUSAEConfig
    yield "standard", sae_lens.StandardSAE(standard(**common))
    yield "standard-no-input-bias", sae_lens.StandardSAE(standard(**common, apply_b_dec_to_input=False))
    yield "standard-float16", sae_lens.StandardSAE(standard(**common, dtype="float16"))
    yield "standard-bfloat16", sae_lens.StandardSAE(standard(**common, dtype="bfloat16"))
    yield "topk", sae_lens.TopKSAE(topk(**common, k=k))
    yield "topk-rescaled", sae_lens.TopKSAE(topk(**common, k=k, rescale_acts_by_decoder_norm=True))
    yield "jumprelu", sae_lens.JumpReLUSAE(jump(**common))
    yield "batchtopk", BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common, k=k))
    yield (
        "matryoshka",
        MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(**common, k=k, matryoshka_widths=[units // 2, units])
        ),
    )
    # Of its own: a training writes into those above.
    metadata = sae_lens.saes.sae.SAEMetadata(model_name="m", hook_name="h", hook_name_out="o")
    of_transcoder = {**common, "metadata": metadata, "d_out": features - 2, "apply_b_dec_to_input": False}
    yield "transcoder", Transcoder(TranscoderConfig(**of_transcoder))
    yield "skip_transcoder", SkipTranscoder(SkipTranscoderConfig(**of_transcoder))
    yield "jumprelu_transcoder", JumpReLUTranscoder(JumpReLUTranscoderConfig(**of_transcoder))
    yield "jumprelu_skip_transcoder", JumpReLUSkipTranscoder(JumpReLUSkipTranscoderConfig(**of_transcoder))


def make_saelens(folder, features, units, k):
    for seed, (name, sae) in enumerate(saelens_cases(features, units, k)):
        path = folder / f"saelens-{name}"
        fill(sae, seed)
        if hasattr(sae, "save_inference_model"):
            sae.topk_threshold.fill_(0.4)
            sae.save_inference_model(path)
        else:
            sae.save_model(path)
        yield "saelens", path
    # The format before version 6.
    path = folder / "saelens-topk-old"
    sae = fill(sae_lens.TopKSAE(sae_lens.TopKSAEConfig(d_in=features, d_sae=units, k=k)), 20)
    sae.save_model(path)
    old = {
        "architecture": "standard", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": k}, "d_in": features,
        "d_sae": units, "dtype": "torch.float32", "device": "cpu", "model_name": "m", "hook_name": "h",
        "normalize_activations": False, "sae_lens_training_version": "3.0.0",
    }  # fmt: skip
    (path / "cfg.json").write_text(json.dumps(old))
    yield "saelens", path


def make_sparsify(folder, features, units, k):
    path = folder / "sparsify-topk"
    config = SparseCoderConfig(k=k, num_latents=units, normalize_decoder=False)
    fill(SparseCoder(features, config), 30).save_to_disk(path)
    yield "sparsify", path
    # As a run saves it, a folder for each hookpoint; the number of units by the expansion factor.
    path = folder / "sparsify-hookpoints" / "layers.3"
    config = SparseCoderConfig(k=k, expansion_factor=3)
    fill(SparseCoder(features, config, dtype=torch.bfloat16), 31).save_to_disk(path)
    yield "sparsify", path
    more = {"transcoder": (True, False), "skip-transcoder": (True, True), "skip": (False, True)}
    for seed, (name, (transcode, skip)) in enumerate(more.items(), 32):
        path = folder / f"sparsify-{name}"
        config = SparseCoderConfig(
            k=k, num_latents=units, normalize_decoder=False, transcode=transcode, skip_connection=skip
        )  # fmt: skip
        fill(SparseCoder(features, config), seed).save_to_disk(path)
        yield "sparsify", path


def make_gemma_scope(folder, features, units, compressed):
    path = folder / ("gemma-scope-compressed" if compressed else "gemma-scope")
    path.mkdir(parents=True)
    sae = fill(sae_lens.JumpReLUSAE(sae_lens.JumpReLUSAEConfig(d_in=features, d_sae=units)), 40 + compressed)
    arrays = {name: tensor.numpy() for name, tensor in sae.state_dict().items()}
    # One in Fortran's order, as the transpose of an array is saved.
    arrays["W_dec"] = np.asfortranarray(arrays["W_dec"])
    (np.savez_compressed if compressed else np.savez)(path / "params.npz", **arrays)
    yield "gemma-scope", path


def make_gemma_scope_transcoder(folder, features, units):
    path = folder / "gemma-scope-transcoder"
    path.mkdir(parents=True)
    config = JumpReLUTranscoderConfig(d_in=features, d_out=features - 2, d_sae=units, apply_b_dec_to_input=False)
    state = fill(JumpReLUTranscoder(config), 42).state_dict()
    np.savez(path / "params.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    yield "gemma-scope", path


def make_dictionary_learning(folder, features, units, k):
    groups = [units // 2, units - units // 2]
    classes = {
        "AutoEncoder": AutoEncoder(features, units),
        "AutoEncoderNew": AutoEncoderNew(features, units),
        "AutoEncoderTopK": AutoEncoderTopK(features, units, k),
        "BatchTopKSAE": BatchTopKSAE(features, units, k),
        "BatchTopKSAE-unset": BatchTopKSAE(features, units, k),
        "MatryoshkaBatchTopKSAE": MatryoshkaBatchTopKSAE(features, units, k, groups),
        "JumpReluAutoEncoder": JumpReluAutoEncoder(features, units),
    }
    for seed, (name, dictionary) in enumerate(classes.items(), 50):
        path = folder / f"dictionary-learning-{name}"
        path.mkdir(parents=True)
        fill(dictionary, seed)
        if name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            dictionary.threshold.fill_(0.4)
        torch.save(dictionary.state_dict(), path / "ae.pt")
        trainer = {"dict_class": name.split("-")[0], "activation_dim": features, "dict_size": units}
        if hasattr(dictionary, "k"):
            trainer["k"] = k
        (path / "config.json").write_text(json.dumps({"trainer": trainer}))
        yield "dictionary-learning", path


def make(folder, features, units, samples):
    """Writes all cases; returns the kind and the folder of each."""
    folder = Path(folder)
    k = max(2, units // 8)
    generator = torch.Generator().manual_seed(7)
    # Their mean is not 0, so that a bias on the input matters.
    inputs = torch.randn(samples, features, generator=generator) + 0.5
    cases = []
    for kind, path in [
        *make_saelens(folder, features, units, k),
        *make_sparsify(folder, features, units, k),
        *make_gemma_scope(folder, features, units, False),
        *make_gemma_scope(folder, features, units, True),
        *make_gemma_scope_transcoder(folder, features, units),
        *make_dictionary_learning(folder, features, units, k),
    ]:
        encode, reconstruct = load(kind, path)
        expected = {"samples": inputs, "codes": encode(inputs), "reconstructions": reconstruct(inputs)}
        save_file({name: torch.as_tensor(of) for name, of in expected.items()}, path / "expected.safetensors")
        cases.append((kind, path))
    return cases


def expected(path):
    return {name: tensor.numpy() for name, tensor in load_file(path / "expected.safetensors").items()}
