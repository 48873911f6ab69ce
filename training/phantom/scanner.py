"""The scanner: protocol, pose, sampling of slices, kernel and noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from pipeline.volume import AIR_HU, VoxelGrid
from training.phantom.fields import Array, happens

#: Matrix of the slices.
MATRIX = 512

#: Step of the lattice on which slices are sampled before they are magnified.
LATTICE_STEP_MM = 0.85

#: Sub-slices are no further apart than this; their mean is the slice (partial volume).
SUB_SLICE_MM = 1.7

#: Dose, and with it noise, is chosen for slices of this thickness.
REFERENCE_THICKNESS_MM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerHabits:
    """How scans are usually taken at one place; as it stands, at many places together.

    Attributes
    ----------
    thickness_mm, thickness_shares : tuple of float
        Slice thicknesses and how often each is taken: routine head CT is read at 5 mm.
    upright_share : float
        Share of scans without gantry tilt.
    tilt_deg : tuple of float
        Range of the tilt of the others.
    pixel_mm : tuple of float
        Range of the pixel size.
    noise_hu : tuple of float
        Range of the noise in slices of 5 mm.
    kernel_px : tuple of float
        Range of the kernel's width, which sets sharpness and the grain of the noise.
    motion_share : float
        Share of scans during which the head moves.
    head_rest_share : float
        Share of scans that show the head rest.

    Raises
    ------
    ValueError
        If a share lies outside 0 to 1, the shares of the thicknesses do not make one or are
        not as many, or a range is empty or not positive.
    """

    thickness_mm: tuple[float, ...] = (5.0, 2.5, 1.25)
    thickness_shares: tuple[float, ...] = (0.86, 0.09, 0.05)
    upright_share: float = 0.6
    tilt_deg: tuple[float, float] = (-4.0, 22.0)
    pixel_mm: tuple[float, float] = (0.42, 0.5)
    noise_hu: tuple[float, float] = (2.2, 4.8)
    kernel_px: tuple[float, float] = (0.55, 1.25)
    motion_share: float = 0.1
    head_rest_share: float = 0.8

    def __post_init__(self) -> None:
        for name in ("upright_share", "motion_share", "head_rest_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0 to 1, got {getattr(self, name)}")
        if len(self.thickness_mm) != len(self.thickness_shares) or (
            abs(sum(self.thickness_shares) - 1) > 1e-6  # noqa: PLR2004 - rounding
        ):
            raise ValueError(
                "thickness_shares must be as many as thickness_mm and make one, "
                f"got {self.thickness_shares} for {self.thickness_mm}"
            )
        if min(self.thickness_mm) < 0.5 or max(self.thickness_mm) > 10:  # noqa: PLR2004 - the limits are in the message
            raise ValueError(f"thickness_mm must lie in 0.5 to 10 mm, got {self.thickness_mm}")
        for name in ("pixel_mm", "noise_hu", "kernel_px", "tilt_deg"):
            low, high = getattr(self, name)
            if low > high or (name != "tilt_deg" and low <= 0):
                raise ValueError(
                    f"{name} must be a range of positive numbers, got {low} to {high}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How one scan is taken.

    Attributes
    ----------
    slice_thickness_mm : float
        Thickness and distance of the slices along the table.
    pixel_mm : float
        Size of a pixel.
    tilt_deg : float
        Gantry tilt: positive leans the top of the gantry towards the feet at the forehead.
    noise_hu : float
        Standard deviation of the noise.
    kernel_px : float
        Width (sigma) of the reconstruction kernel in pixels.
    rotation_deg : tuple of float
        Turn of the head about x, y and z.
    shift_mm : tuple of float
        Position of the head against the isocentre along x and y.
    first_mm, last_mm : float
        Lowest and highest slice, along the table, in mm from the head's origin.
    motion_mm : float
        How far the head moves during a few slices; 0 for none.
    has_head_rest : bool
        Whether the head rest is in the picture.
    """

    slice_thickness_mm: float
    pixel_mm: float
    tilt_deg: float
    noise_hu: float
    kernel_px: float
    rotation_deg: tuple[float, float, float]
    shift_mm: tuple[float, float]
    first_mm: float
    last_mm: float
    motion_mm: float
    has_head_rest: bool

    @property
    def slices(self) -> int:
        """Number of slices."""
        return max(3, int((self.last_mm - self.first_mm) / self.slice_thickness_mm) + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lattice:
    """Points in head space at which a scan samples the head.

    Attributes
    ----------
    z, y, x : ndarray of float32, shape (planes, rows, columns)
        Head coordinates in mm.
    planes_per_slice : int
        How many neighbouring planes are averaged to one slice.
    rows_mm, columns_mm : ndarray
        In-plane coordinates of the rows and columns about the slice centre.
    """

    z: Array
    y: Array
    x: Array
    planes_per_slice: int
    rows_mm: Array
    columns_mm: Array


def draw_protocol(
    rng: np.random.Generator,
    *,
    slice_thickness_mm: float,
    tilt_deg: float | None,
    top_mm: float,
    habits: ScannerHabits = ScannerHabits(),
) -> Protocol:
    """Return a random protocol of given thickness; without a tilt one is drawn.

    `top_mm` is the height of the vertex above the head's origin.
    """
    if tilt_deg is None:
        upright = happens(rng, habits.upright_share)
        tilt_deg = 0.0 if upright else float(rng.uniform(*habits.tilt_deg))
    thin = (REFERENCE_THICKNESS_MM / slice_thickness_mm) ** 0.4
    rotation = rng.normal(0, (5.0, 2.5, 3.5))
    # The gantry is tilted to follow the skull base of a head that lies extended: turned the
    # other way, so that most of the tilt is made good.
    rotation[0] -= 0.6 * tilt_deg
    return Protocol(
        slice_thickness_mm=slice_thickness_mm,
        pixel_mm=float(rng.uniform(*habits.pixel_mm)),
        tilt_deg=float(tilt_deg),
        noise_hu=float(rng.uniform(*habits.noise_hu) * thin),
        kernel_px=float(rng.uniform(*habits.kernel_px)),
        rotation_deg=(float(rotation[0]), float(rotation[1]), float(rotation[2])),
        shift_mm=(float(rng.normal(0, 4)), float(rng.normal(0, 5))),
        first_mm=float(rng.uniform(-66, -48)),
        last_mm=float(top_mm + rng.uniform(0, 12)),
        motion_mm=float(rng.uniform(1.0, 3.0)) if happens(rng, habits.motion_share) else 0.0,
        has_head_rest=happens(rng, habits.head_rest_share),
    )


def slice_grid(protocol: Protocol, *, frame_of_reference_uid: str) -> VoxelGrid:
    """Return the grid of the scan in scanner (patient) coordinates.

    Tilt makes a sheared stack: slices lean about x, their origins follow the table.
    """
    cosine, sine = _tilt(protocol)
    half = (MATRIX - 1) / 2 * protocol.pixel_mm
    origins = tuple(
        (-half, -half * cosine, protocol.first_mm + k * protocol.slice_thickness_mm + half * sine)
        for k in range(protocol.slices)
    )
    return VoxelGrid(
        shape_zyx=(protocol.slices, MATRIX, MATRIX),
        pixel_spacing_yx_mm=(protocol.pixel_mm, protocol.pixel_mm),
        column_cosine_lps=(0.0, cosine, -sine),
        slice_origins_lps_mm=origins,
        frame_of_reference_uid=frame_of_reference_uid,
    )


def _tilt(protocol: Protocol) -> tuple[float, float]:
    angle = np.radians(protocol.tilt_deg)
    return float(np.cos(angle)), float(np.sin(angle))


def rotation_matrix(degrees_xyz: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the matrix that turns (x, y, z) about x, then y, then z."""
    a, b, c = np.radians(degrees_xyz)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def head_lattice(protocol: Protocol) -> Lattice:
    """Return where in the head the scan samples."""
    per_slice = int(np.ceil(protocol.slice_thickness_mm / SUB_SLICE_MM))
    fractions = (np.arange(per_slice) + 0.5) / per_slice - 0.5
    slices = protocol.first_mm + np.arange(protocol.slices) * protocol.slice_thickness_mm
    table = (slices[:, None] + fractions * protocol.slice_thickness_mm).ravel()
    rows = np.arange(-112.0, 118.0, LATTICE_STEP_MM)
    columns = np.arange(-94.0, 94.1, LATTICE_STEP_MM)
    cosine, sine = _tilt(protocol)
    dx, dy = protocol.shift_mm
    x = (columns - 0)[None, None, :]
    y = (rows * cosine)[None, :, None]
    z = table[:, None, None] - (rows * sine)[None, :, None]
    turn = rotation_matrix(protocol.rotation_deg)
    head = [
        (turn[0, i] * (x - dx) + turn[1, i] * (y - dy) + turn[2, i] * z).astype(np.float32)
        for i in range(3)
    ]
    return Lattice(
        z=head[2],
        y=head[1],
        x=head[0],
        planes_per_slice=per_slice,
        rows_mm=rows.astype(np.float32),
        columns_mm=columns.astype(np.float32),
    )


def to_slices(values: Array, lattice: Lattice, protocol: Protocol, *, outside: float) -> Array:
    """Return lattice values averaged over each slice and magnified to the matrix."""
    rows, columns = values.shape[1:]
    slabs = values.reshape(-1, lattice.planes_per_slice, rows, columns).mean(axis=1)
    pixels = (np.arange(MATRIX) - (MATRIX - 1) / 2) * protocol.pixel_mm
    vertical = _magnifier(lattice.rows_mm, pixels)
    horizontal = _magnifier(lattice.columns_mm, pixels)
    shifted = slabs - np.float32(outside)
    picture = np.matmul(np.matmul(vertical, shifted), horizontal.T)
    picture += np.float32(outside)
    return np.asarray(picture, dtype=np.float32)


def _magnifier(source_mm: Array, target_mm: Array) -> Array:
    """Return the matrix of cubic convolution (Keys, a = -0.5), zero beyond the source."""
    step = float(source_mm[1] - source_mm[0])
    position = (target_mm - float(source_mm[0])) / step
    gap = np.abs(position[:, None] - np.arange(source_mm.size)[None, :])
    near, far = np.minimum(gap, 1), np.clip(gap, 1, 2)
    weights = 1.5 * near**3 - 2.5 * near**2 + 1 - 0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    return np.asarray(weights, dtype=np.float32)


def develop(rng: np.random.Generator, picture: Array, protocol: Protocol) -> NDArray[np.int16]:
    """Return the slices as the scanner delivers them: blurred, moved, noisy, whole HU."""
    hu = picture
    if protocol.motion_mm:
        _move(rng, hu, protocol)
    if protocol.has_head_rest:
        _add_head_rest(rng, hu, protocol)
    sigma = protocol.kernel_px
    ndimage.gaussian_filter1d(hu, sigma, axis=2, output=hu, truncate=3)
    ndimage.gaussian_filter1d(hu, sigma, axis=1, output=hu, truncate=3)
    hu += _noise(rng, hu.shape, protocol)
    np.clip(hu, AIR_HU - 24, 3071, out=hu)
    return np.rint(hu, out=hu).astype(np.int16)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], protocol: Protocol) -> Array:
    """Return noise whose grain is that of the kernel, stronger in the centre of the head."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    sigma = 0.55 * protocol.kernel_px + 0.25
    for axis in (1, 2):
        ndimage.gaussian_filter1d(noise, sigma, axis=axis, output=noise, truncate=3)
    radius = np.linspace(-1, 1, MATRIX, dtype=np.float32) ** 2
    falling = np.exp(-0.45 * (radius[:, None] + radius[None, :]))
    # Filtering with sigma s leaves a standard deviation of 1 / (2 s sqrt(pi)).
    noise *= falling * np.float32(protocol.noise_hu * 2 * sigma * np.sqrt(np.pi))
    return noise


def _move(rng: np.random.Generator, hu: Array, protocol: Protocol) -> None:
    """Double the contours of a few neighbouring slices."""
    first = int(rng.integers(0, max(1, hu.shape[0] - 4)))
    for index in range(first, min(first + int(rng.integers(2, 6)), hu.shape[0])):
        shift = rng.normal(0, protocol.motion_mm / protocol.pixel_mm / 1.5, 2)
        moved = ndimage.shift(hu[index], shift, order=1, mode="nearest")
        share = np.float32(rng.uniform(0.25, 0.5))
        hu[index] = (1 - share) * hu[index] + share * moved


def _add_head_rest(rng: np.random.Generator, hu: Array, protocol: Protocol) -> None:
    """Draw the rest of foam and carbon in which the head lies."""
    mm = (np.arange(MATRIX, dtype=np.float32) - (MATRIX - 1) / 2) * np.float32(protocol.pixel_mm)
    radius = rng.uniform(112, 126)
    center = rng.uniform(-24, -12) + protocol.shift_mm[1]
    gap = np.hypot(mm[None, :] * 0.98, mm[:, None] - center) - radius
    below = mm[:, None] > center + 0.35 * radius
    foam = np.clip(6 - np.abs(gap - 5), 0, 1) * below
    shell = np.clip(1.6 - np.abs(gap - 11) + rng.uniform(0, 1), 0, 1) * below
    rest = np.float32(AIR_HU) + np.float32(120) * foam
    rest += np.float32(rng.uniform(500, 1400)) * shell
    np.maximum(hu, rest[None], out=hu)
