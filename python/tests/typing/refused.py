"""Uses of the package that type checkers refuse: each line that ends in `# refused`, and no other."""

import sae
from sae import SparseAutoencoder, TrainingReport


def callback(report: TrainingReport) -> bool:
    return report.l1 > report.nothing  # refused


def of_text(report: str) -> None:
    print(report)


images, labels = sae.draw_digits("many")  # refused
X = images.reshape(100, -1)
SparseAutoencoder(300)  # refused
SparseAutoencoder(beta="none")  # refused
SparseAutoencoder(betta=0.0)  # refused
SparseAutoencoder(verbose="bar")  # refused
SparseAutoencoder(callback=of_text)  # refused
SparseAutoencoder(callback=[of_text])  # refused
model = SparseAutoencoder((64,), callback=callback)
model.fit(X, X)
model.fit(X, None, X)  # refused
model.fit()  # refused
text: str = model.score(X)  # refused
model.units(X, top="ten")  # refused
model.units(X)["freqency"]  # refused
integers: list[int] = model.components_  # refused
number: str = model.redundancy()["mean"]  # refused
model.reconstruction_errors(X, X)  # refused
model.load(3)  # refused
model.report(X, names=[1, 2])  # refused
model.report(X, image_shape=28)  # refused
page: str = model.report(X)  # refused
SparseAutoencoder(epochs="2")  # refused
SparseAutoencoder.load("model.safetensors", steps="many")  # refused
