"""The forecast of a hematoma at the follow-up scan."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.finding import VolumeRange
from pipeline.volume import HematomaMask, VoxelGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GrowthForecast:
    """How a hematoma may look at the follow-up scan if it expands.

    The networks are fitted to hematomas that did expand, as in Abramova et al. 2024; whether this
    one will is another model's question.

    Attributes
    ----------
    follow_up : HematomaMask
        Forecast mask on the baseline scan's own grid. Never to be merged with the measured one.
    baseline_ml, follow_up_ml : float
        Measured and forecast volume, by counting voxels.
    volume_range : VolumeRange or None
        Where the follow-up volume lies; None if the model has no fitted error.
    displacement_zyx_mm : ndarray of float32, shape (3, Z, Y, X)
        Where each voxel of the forecast comes from, along slice normal, columns and rows of
        `displacement_grid`. Read-only.
    displacement_grid : VoxelGrid
        Box around the hematoma on the network's grid; nothing moves outside it.
    folding : float
        Share of the box in which the field folds space over, in [0, 1].

    Raises
    ------
    GeometryError
        If the field does not fit its grid.
    """

    follow_up: HematomaMask
    baseline_ml: float
    follow_up_ml: float
    volume_range: VolumeRange | None
    displacement_zyx_mm: NDArray[np.float32]
    displacement_grid: VoxelGrid
    folding: float

    def __post_init__(self) -> None:
        if self.displacement_zyx_mm.shape != (3, *self.displacement_grid.shape_zyx):
            raise GeometryError(
                f"Field has shape {self.displacement_zyx_mm.shape}, its grid "
                f"{self.displacement_grid.shape_zyx}"
            )
        read_only = self.displacement_zyx_mm.view()
        read_only.flags.writeable = False
        object.__setattr__(self, "displacement_zyx_mm", read_only)

    @property
    def growth_ml(self) -> float:
        """Forecast minus measured volume."""
        return self.follow_up_ml - self.baseline_ml
