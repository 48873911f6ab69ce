"""Whether a Parametric Map holds the uncertainty, voxel by voxel, each frame on its image."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom_node.results.source_frames import SourceFrames
from pipeline.volume import VoxelGrid

#: Positions are written with 16 characters, in mm.
_TOLERANCE_MM: Final = 1e-3
#: The last digits of a 32-bit float.
_TOLERANCE_NATS: Final = 1e-6


def uncertainty_faults(
    result: Dataset, frames: SourceFrames, uncertainty_zyx: NDArray[np.float32], grid: VoxelGrid
) -> Iterator[str]:
    """Yield every difference between the object and the map it was made from."""
    try:
        read = real_world_values(result)
        groups = list(result.PerFrameFunctionalGroupsSequence)
        if read.shape != uncertainty_zyx.shape or len(groups) != len(read):
            yield f"frames have shape {read.shape}, the map {uncertainty_zyx.shape}"
            return
        origins = np.asarray(grid.slice_origins_lps_mm, dtype=np.float64)
        for number, (frame, group) in enumerate(zip(read, groups, strict=True), start=1):
            position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, np.float64)
            distance_mm = np.linalg.norm(origins - position, axis=1)
            nearest = int(np.argmin(distance_mm))
            reference = group.DerivationImageSequence[0].SourceImageSequence[0]
            if distance_mm[nearest] > _TOLERANCE_MM:
                yield f"frame {number} lies {distance_mm[nearest]:.3f} mm from every slice"
            elif not frames.lies_at(reference, position.tolist()):
                yield f"frame {number} refers to an image that does not lie where it lies"
            elif np.abs(frame - uncertainty_zyx[nearest]).max() > _TOLERANCE_NATS:
                yield f"frame {number} differs from the uncertainty of slice {nearest + 1}"
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        yield f"frames cannot be read back: {error}"


def real_world_values(result: Dataset) -> NDArray[np.float64]:
    """Return the mapped values of a Parametric Map of 32-bit floats, shape (frames, Y, X)."""
    shape = (int(result.NumberOfFrames), int(result.Rows), int(result.Columns))
    stored = np.frombuffer(result.FloatPixelData, "<f4", count=shape[0] * shape[1] * shape[2])
    shared = result.SharedFunctionalGroupsSequence[0]
    mapping = shared.RealWorldValueMappingSequence[0]
    return stored.reshape(shape) * float(mapping.RealWorldValueSlope) + float(
        mapping.RealWorldValueIntercept
    )
