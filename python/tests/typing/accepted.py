"""Uses of the package that type checkers accept."""

from pathlib import Path
from typing import Optional

import numpy as np
from numpy.typing import NDArray

import sae
from sae import Redundancy, Report, SparseAutoencoder, TrainingReport, UnitSummaries

images, labels = sae.draw_digits(100, seed=1)
X: NDArray[np.uint8] = images.reshape(100, -1)


def stop(report: TrainingReport) -> bool:
    held_out: Optional[float] = report.validation_objective
    return report.step > 10 and report.l0 < 3 and report.dead_units == 0 and held_out is None


def old(step: int, objective: float, mean_activations: list[float]) -> None:
    print(step, objective, mean_activations[0])


seen: list[TrainingReport] = []
model: SparseAutoencoder = SparseAutoencoder(
    (64,), code="top-k:8", activation="relu", steps=20, callback=stop, report_every=5, verbose="tqdm"
)
SparseAutoencoder([784, 64, 784], callback=old, verbose=True)
SparseAutoencoder(callback=[seen.append, stop], verbose=1, holdout=0.1)
fitted: SparseAutoencoder = model.fit(X, X_val=X[:10])
fitted = model.partial_fit(batch for batch in [X, X])
fitted = model.fit("activations.npy").fit([Path("a.npy"), Path("b.npy")]).fit(sae.open_data("a.npy"))

codes = model.transform(X)
again: NDArray[np.float32] = model.inverse_transform(codes)
again = model.reconstruct(X.tolist())
score: float = model.score(X)
dictionary: NDArray[np.float32] = model.components_
count: int = model.n_components_ + model.n_features_in_ + model.n_iter_
weights: list[NDArray[np.float32]] = model.coefs_ + model.intercepts_
errors: NDArray[np.float64] = model.reconstruction_errors(X)
units: UnitSummaries = model.units(X, labels, top=3, layer=0, nearest=False)
dead: NDArray[np.bool_] = units["dead"]
best: NDArray[np.int64] = units["top_index"][0]
redundancy: Redundancy = model.redundancy()
mean: float = redundancy["mean"]
model.plot_features(9, shape=(28, 28)).savefig("features.png")
model.plot_history().savefig("history.png")
model.save(Path("model.safetensors"))
loaded: SparseAutoencoder = SparseAutoencoder.load("model.safetensors")
loaded = SparseAutoencoder.load(Path("model.safetensors"), warm_start=True, steps=100, learning_rate=1e-4).fit(X)
SparseAutoencoder(epochs=2.5, warm_start=True)
page: Report = model.report(X, labels, names=["a"] * 100, context=2, image_shape=(28, 28), path=Path("page.html"))
page.save("again.html")
text: str = page.html + model.report("activations.npy", names=(str(label) for label in labels), units=10).html
preset: SparseAutoencoder = SparseAutoencoder.from_preset("top-k", 784, layers=(512,), threads=2)
sae.export_dictionary(sae.import_dictionary("dictionary", steps=100, warm_start=True), "other", "saelens", hook_name="blocks.0")
