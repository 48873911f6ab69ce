"""Whether a SEG holds the mask, voxel by voxel, each frame on its source image."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.results.source_frames import SourceFrames
from pipeline.volume import HematomaMask

#: Positions are written with 16 characters, in mm.
_TOLERANCE_MM: Final = 1e-3


def segmentation_faults(
    segmentation: Dataset, frames: SourceFrames, mask: HematomaMask
) -> Iterator[str]:
    """Yield every difference between the object and the mask it was made from."""
    try:
        pixels = unpack_frames(segmentation)
        groups = list(segmentation.PerFrameFunctionalGroupsSequence)
        if len(groups) != len(pixels):
            yield f"{len(groups)} functional groups for {len(pixels)} frames"
            return
        yield from _frame_faults(pixels, groups, frames, mask)
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        yield f"frames cannot be read back: {error}"


def unpack_frames(segmentation: Dataset) -> NDArray[np.bool_]:
    """Return the frames of a BINARY Segmentation, shape (frames, Y, X).

    Bits follow one another without gaps between frames, least significant first
    (PS3.5, section 8.1.1).

    Raises
    ------
    ValueError
        If Pixel Data are too short.
    """
    shape = (
        int(segmentation.NumberOfFrames),
        int(segmentation.Rows),
        int(segmentation.Columns),
    )
    bits = np.unpackbits(np.frombuffer(segmentation.PixelData, np.uint8), bitorder="little")
    count = shape[0] * shape[1] * shape[2]
    if bits.size < count:
        raise ValueError(f"Pixel Data hold {bits.size} bits, {count} are needed")
    return bits[:count].reshape(shape).astype(np.bool_)


def _frame_faults(
    pixels: NDArray[np.bool_],
    groups: list[Dataset],
    frames: SourceFrames,
    mask: HematomaMask,
) -> Iterator[str]:
    origins = np.asarray(mask.grid.slice_origins_lps_mm, dtype=np.float64)
    read_back = np.zeros(mask.grid.shape_zyx, dtype=np.bool_)
    if pixels.shape[1:] != mask.grid.shape_zyx[1:]:
        yield f"frames have shape {pixels.shape[1:]}, the mask {mask.grid.shape_zyx[1:]}"
        return
    for number, (frame, group) in enumerate(zip(pixels, groups, strict=True), start=1):
        position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        distance_mm = np.linalg.norm(origins - position, axis=1)
        nearest = int(np.argmin(distance_mm))
        if distance_mm[nearest] > _TOLERANCE_MM:
            yield f"frame {number} lies {distance_mm[nearest]:.3f} mm from every slice"
            continue
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        if not frames.lies_at(reference, position.tolist()):
            yield f"frame {number} refers to an image that does not lie where it lies"
        read_back[nearest] |= frame
    different = int(np.count_nonzero(read_back != mask.voxels_zyx))
    if different:
        yield f"{different} voxels differ from the mask"
