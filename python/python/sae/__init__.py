"""Sparse autoencoders on the CPU, with the scikit-learn API.

`SparseAutoencoder` is a transformer: it learns a code of the samples from which they can be
reconstructed. The same seed, data and settings give the same weights, bit for bit, as the
command `sae train`.
"""

from sae._analysis import Redundancy, UnitSummaries
from sae._digits import draw_digits
from sae._estimator import SparseAutoencoder
from sae._exchange import export_dictionary, import_dictionary
from sae._files import open_data
from sae._page import Report
from sae._reports import TrainingReport
from sae._sae import __version__
from sae._threads import register as _register

_register()

__all__ = [
    "Redundancy",
    "Report",
    "SparseAutoencoder",
    "TrainingReport",
    "UnitSummaries",
    "__version__",
    "draw_digits",
    "export_dictionary",
    "import_dictionary",
    "open_data",
]
