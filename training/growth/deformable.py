"""Deformable registration of one mask to another: SimpleITK's demons, or Greedy where it is there.

The demons [1]_ pull the signed distance of the one mask to that of the other, which differs
everywhere near the surface and not only at it. Greedy [2]_ is what the paper used; it is run as a
program if its path is given.

References
----------
.. [1] T. Vercauteren et al., "Diffeomorphic demons: Efficient non-parametric image registration",
   NeuroImage 45 (2009) S61-S72.
.. [2] P. A. Yushkevich et al., Alzheimer's & Dementia 12 (2016) 126-127;
   https://greedy.readthedocs.io.
"""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.volume import Vector

#: The library without annotations.
sitk: Any = SimpleITK

#: From target and original mask and their voxel size to a field (3, Z, Y, X) in mm along z, y, x:
#: the target at p is the original at p + u(p).
RegisterMasks = Callable[[NDArray[np.bool_], NDArray[np.bool_], Vector], NDArray[np.float32]]

#: Distances beyond this do not matter; mm.
_REACH_MM = 8.0

_ITERATIONS = 12

#: Smoothing of the demons' field, in voxels.
_FIELD_SD = 1.5

#: Greedy may take so long for a crop; s.
_PATIENCE_S = 600.0


def by_demons(
    target_zyx: NDArray[np.bool_], original_zyx: NDArray[np.bool_], spacing_zyx_mm: Vector
) -> NDArray[np.float32]:
    """Return the field that makes the target of the original, by diffeomorphic demons."""
    fixed, moving = (_distance_image(mask, spacing_zyx_mm) for mask in (target_zyx, original_zyx))
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetNumberOfIterations(_ITERATIONS)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(_FIELD_SD)
    return _zyx(sitk.GetArrayFromImage(demons.Execute(fixed, moving)))


def by_greedy(program: Path) -> RegisterMasks:
    """Return a function that asks Greedy, with the settings of the paper's repository.

    Parameters
    ----------
    program : Path
        The executable ``greedy``.
    """

    def register(
        target_zyx: NDArray[np.bool_], original_zyx: NDArray[np.bool_], spacing_zyx_mm: Vector
    ) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            names = {name: str(Path(folder) / f"{name}.nii.gz") for name in ("to", "from", "warp")}
            for name, mask in (("to", target_zyx), ("from", original_zyx)):
                image = sitk.GetImageFromArray(mask.astype(np.uint8))
                image.SetSpacing(spacing_zyx_mm[::-1])
                sitk.WriteImage(image, names[name])
            _run(
                *(program, "-d", "3", "-threads", "1", "-m", "NCC", "2x2x2"),
                *("-n", "100x50x10", "-i", names["to"], names["from"], "-o", names["warp"]),
            )
            return _zyx(sitk.GetArrayFromImage(sitk.ReadImage(names["warp"])))

    return register


def _run(*words: str | Path) -> None:
    """Run a program and tell its last words if it fails.

    Raises
    ------
    OSError
        If the program is not there.
    ValueError
        If it fails or takes too long.
    """
    command = [str(word) for word in words]
    try:
        subprocess.run(  # noqa: S603  the program that the user named
            command, check=True, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{command[0]} took more than {_PATIENCE_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        raise ValueError(f"{command[0]} failed: {last}") from error


def _distance_image(mask_zyx: NDArray[np.bool_], spacing_zyx_mm: Vector) -> Any:  # noqa: ANN401  an image
    """Return the distance to a mask's surface in mm, negative inside, cut at `_REACH_MM`."""
    from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

    outside = ndimage.distance_transform_edt(~mask_zyx, sampling=spacing_zyx_mm)
    inside = ndimage.distance_transform_edt(mask_zyx, sampling=spacing_zyx_mm)
    image = sitk.GetImageFromArray(np.clip(outside - inside, -_REACH_MM, _REACH_MM).astype("f4"))
    image.SetSpacing(spacing_zyx_mm[::-1])
    return image


def _zyx(vectors_zyxc: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a field of x, y, z vectors as three arrays z, y, x."""
    return np.ascontiguousarray(vectors_zyxc[..., ::-1].transpose(3, 0, 1, 2), dtype=np.float32)
