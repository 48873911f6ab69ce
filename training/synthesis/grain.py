"""Grain: what real slices have and an image enlarged to their size lacks.

A generator of 64 pixels draws slices that are 150 pixels wide in life. Enlarged, they are smooth,
the noise of the scanner is missing, and any network tells them from real ones by that. The grain
of a real slice is what its own way to the generator's size and back takes away; of it only the
spectrum is used, with phases drawn anew, so that no patient's pixels get into a synthetic image.
Edges that the generator blurs stay blurred.
"""

import numpy as np
from numpy.typing import NDArray

from training.synthesis.native_size import WHITE, there_and_back

#: A residue this many robust deviations from zero is the edge of something, no noise.
_EDGE = 3.5

#: Median absolute deviation of a normal distribution of deviation 1.
_NORMAL_MAD = 0.6745

#: Levels nearer to black or white than this are cut off by the window and tell no noise.
_MARGIN = 3


def add_grain(
    smooth_yx: NDArray[np.float32],
    real_yx: NDArray[np.uint8],
    *,
    image_size: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return an enlarged image with grain like a real slice's.

    Where the image is black or white it stays so: the window cuts noise off there, too.

    Parameters
    ----------
    smooth_yx : ndarray of float32, shape (Y, X)
        Grey levels 0..255 of a synthetic image, enlarged from the generator's size.
    real_yx : ndarray of uint8, shape (Y, X)
        Real slice of the same size.
    image_size : int
        Height and width of the generator's images.
    rng : numpy Generator
        Draws the phases.

    Raises
    ------
    ValueError
        If the two differ in size.
    """
    if smooth_yx.shape != real_yx.shape:
        raise ValueError(f"Sizes must be equal, got {smooth_yx.shape} and {real_yx.shape}")
    amplitude = _amplitude(real_yx, image_size)
    # Phases of a real image, so that the grain is real as well.
    phases = np.fft.rfft2(rng.standard_normal(smooth_yx.shape))
    phases /= np.maximum(np.abs(phases), np.finfo(np.float64).tiny)
    grain = np.fft.irfft2(amplitude * phases, s=smooth_yx.shape)
    room = np.minimum(smooth_yx, WHITE - smooth_yx)
    share = np.clip(room / max(2 * float(grain.std()), 1e-6), 0, 1)
    grained = np.clip(smooth_yx + share * grain, 0, WHITE)
    return np.asarray(grained, dtype=np.float32)


def _amplitude(real_yx: NDArray[np.uint8], image_size: int) -> NDArray[np.float64]:
    """Return the amplitudes of the lost noise, as of `numpy.fft.rfft2`."""
    coarse = there_and_back(real_yx, image_size=image_size)
    residue = (real_yx - coarse).astype(np.float64)
    inside = (np.minimum(coarse, real_yx) > _MARGIN) & (
        np.maximum(coarse, real_yx) < WHITE - _MARGIN
    )
    if not inside.any():
        return np.zeros_like(np.abs(np.fft.rfft2(residue)))
    deviation = float(np.median(np.abs(residue[inside]))) / _NORMAL_MAD
    flat = inside & (np.abs(residue) <= _EDGE * deviation)
    # Pixels left out would thin the noise; the others make up for them.
    kept = np.where(flat, residue, 0.0) / np.sqrt(flat.mean())
    return np.asarray(np.abs(np.fft.rfft2(kept)))
