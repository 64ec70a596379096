"""Generated example data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sae import _checks, _sae, _threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def draw_digits(samples: int, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Generate images of digits, a substitute for MNIST. A seed gives the same ones everywhere.

    Parameters
    ----------
    samples : int
        Number of images. Fewer are the first of more.
    seed : int, default=1
        Seed of the random numbers.

    Returns
    -------
    images : ndarray of shape (samples, 28, 28)
        Bytes: 0 is paper, 255 is ink.
    labels : ndarray of shape (samples,)
        The digit that each shows.

    Examples
    --------
    >>> from sae import draw_digits
    >>> images, labels = draw_digits(100)
    >>> X = images.reshape(len(images), -1)
    >>> X.shape
    (100, 784)
    """
    samples, seed = _checks.count("samples", samples), _checks.count("seed", seed)
    return _sae.draw_digits(samples, seed, _threads.count(None))
