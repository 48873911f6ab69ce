"""Synthetic head CT series with known geometry and content, as DICOM data sets.

The head is defined in patient coordinates, so that whatever the spacing, tilt or orientation of
the slices, the same head is scanned: nested ellipsoids of scalp, skull and brain around
(0, 0, 0), two ventricles, and optional balls of blood.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

#: No log line, message or result may ever show one of these.
POISON_NAME = "POISON^DONOTLOG"
POISON_ID = "POISON-ID-4711"
POISON_BIRTH_DATE = "19340217"

AIR_HU, SCALP_HU, SKULL_HU, BRAIN_HU, CSF_HU, BLOOD_HU = -1000, 20, 1000, 35, 8, 65

#: Semi-axes in mm along left, posterior, superior.
SCALP_AXES = (80.0, 98.0, 95.0)
SKULL_AXES = (75.0, 93.0, 90.0)
BRAIN_AXES = (68.0, 86.0, 83.0)
VENTRICLE_AXES = (6.0, 28.0, 10.0)

Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Ball:
    """A ball of blood: centre in patient coordinates (LPS, mm), radius in mm, density."""

    center_lps_mm: Vector = (25.0, 5.0, 10.0)
    radius_mm: float = 20.0
    hu: float = BLOOD_HU

    @property
    def volume_ml(self) -> float:
        """Volume of the ball, 4/3 pi r^3."""
        return float(4 / 3 * np.pi * self.radius_mm**3 / 1000)


def head_hu(
    points_lps_mm: NDArray[np.floating], balls: Sequence[Ball] = ()
) -> NDArray[np.float32]:
    """Return the density of the head at points of patient coordinates, shape (..., 3)."""
    hu = np.full(points_lps_mm.shape[:-1], AIR_HU, dtype=np.float32)
    for axes, value in ((SCALP_AXES, SCALP_HU), (SKULL_AXES, SKULL_HU), (BRAIN_AXES, BRAIN_HU)):
        hu[_inside(points_lps_mm, (0, 0, 0), axes)] = value
    for side in (-10.0, 10.0):
        hu[_inside(points_lps_mm, (side, 0, 10), VENTRICLE_AXES)] = CSF_HU
    for ball in balls:
        hu[_inside(points_lps_mm, ball.center_lps_mm, (ball.radius_mm,) * 3)] = ball.hu
    return hu


def build_ct_series(  # noqa: PLR0913 - every option of a CT series that a test may turn
    *,
    slices: int = 30,
    spacing_mm: float = 5.0,
    positions_mm: Sequence[float] | None = None,
    thickness_mm: float | Sequence[float] | None = None,
    shape_yx: tuple[int, int] = (512, 512),
    field_of_view_mm: float = 230.0,
    row_cosine: Vector = (1.0, 0.0, 0.0),
    column_cosine: Vector = (0.0, 1.0, 0.0),
    tilt_deg: float = 0.0,
    patient_position: str = "HFS",
    balls: Sequence[Ball] = (),
    noise_hu: float = 0.0,
    seed: int = 0,
    signed: bool = False,
    slope: float = 1.0,
    intercept: float = -1024.0,
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    patient_id: str = POISON_ID,
    patient_name: str = POISON_NAME,
    body_part: str = "HEAD",
    series_description: str = "HEAD 5.0 H31s",
    kernel: str = "H31s",
    series_number: int = 2,
) -> list[Dataset]:
    """Return one CT series, superior slice first, instance numbers rising from 1.

    Parameters
    ----------
    slices, spacing_mm
        Number of slices and their distance along the slice normal, centred on the head.
    positions_mm
        Positions along the normal instead, any order; overrides both.
    thickness_mm
        Slice Thickness, one for all or one per slice (in the order returned); default the spacing.
    shape_yx, field_of_view_mm
        Matrix, and width of its columns together; pixels are square.
    row_cosine, column_cosine
        Image Orientation (Patient) before the tilt.
    tilt_deg
        Gantry tilt: slices turn about the row direction, the table still moves along the
        untilted normal, so that the stack is sheared.
    balls
        Hematomas.
    noise_hu, seed
        Standard deviation and seed of white noise.
    signed, slope, intercept
        How the values are stored.
    study_uid, series_uid, frame_of_reference_uid
        Fixed identifiers; default derived from `seed`, so that a repeat is the same series.
    """
    rng = np.random.default_rng(seed)
    row, column, step = _axes(row_cosine, column_cosine, tilt_deg)
    if positions_mm is None:
        positions_mm = ((np.arange(slices) - (slices - 1) / 2) * spacing_mm)[::-1].tolist()
    if thickness_mm is None or isinstance(thickness_mm, int | float):
        thickness_mm = [thickness_mm or spacing_mm] * len(positions_mm)
    pixel_mm = field_of_view_mm / shape_yx[1]
    corner = _corner(row, column, shape_yx, pixel_mm)
    pixels = _pixel_points(row, column, shape_yx, pixel_mm)
    study = study_uid or _uid("study", seed)
    shared = _shared_attributes(patient_name, patient_id, study)
    shared.SeriesInstanceUID = series_uid or _uid("series", seed, series_number, study)
    shared.FrameOfReferenceUID = frame_of_reference_uid or _uid("frame", seed, study)
    shared.SeriesNumber = series_number
    shared.SeriesDescription = series_description
    shared.ConvolutionKernel = kernel
    shared.BodyPartExamined = body_part
    shared.PatientPosition = patient_position
    shared.GantryDetectorTilt = tilt_deg
    shared.ImageOrientationPatient = [_decimal(v) for v in (*row, *column)]
    shared.PixelSpacing = [_decimal(pixel_mm)] * 2
    shared.RescaleIntercept, shared.RescaleSlope = _decimal(intercept), _decimal(slope)
    series = []
    for index, (position, thickness) in enumerate(zip(positions_mm, thickness_mm, strict=True)):
        origin = corner + position * step
        hu = head_hu(pixels + origin.astype(np.float32), balls)
        if noise_hu:
            hu = hu + noise_hu * rng.standard_normal(shape_yx)
        ds = deepcopy(shared)  # a test may change one instance alone
        ds.SOPInstanceUID = _uid("image", shared.SeriesInstanceUID, index)
        ds.InstanceNumber = ds.AcquisitionNumber = index + 1
        ds.ImagePositionPatient = [_decimal(v) for v in origin]
        ds.SliceThickness = _decimal(thickness)
        set_pixels(ds, np.round((hu - intercept) / slope), signed=signed)
        series.append(_with_file_meta(ds))
    return series


def set_pixels(ds: Dataset, stored_yx: NDArray[np.floating], *, signed: bool = False) -> None:
    """Write stored values of one monochrome image: 12 bits unsigned, or 16 bits signed."""
    low, high = (-32768, 32767) if signed else (0, 4095)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = stored_yx.shape
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if signed else 12
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(signed)
    ds.PixelData = np.clip(stored_yx, low, high).astype("<i2").tobytes()
    ds["PixelData"].VR = "OW"


def save_series(series: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write each instance as a DICOM file named by its number; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, ds in enumerate(series):
        paths.append(folder / f"{index:04d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def _inside(points: NDArray[np.floating], center: Vector, axes: Vector) -> NDArray[np.bool_]:
    squared = np.zeros(points.shape[:-1], dtype=np.float32)
    for axis in range(3):
        squared += ((points[..., axis] - center[axis]) / axes[axis]) ** 2
    return squared <= 1


def _axes(row_cosine: Vector, column_cosine: Vector, tilt_deg: float):
    """Return row and column direction after the tilt, and the table's way per mm of normal."""
    row, column = np.asarray(row_cosine, float), np.asarray(column_cosine, float)
    table = np.cross(row, column)
    if table[2] < 0:  # positions always rise to superior
        table = -table
    angle = np.radians(tilt_deg)
    tilted = np.cos(angle) * column - np.sin(angle) * np.cross(row, column)
    return row, tilted, table / np.cos(angle)


def _corner(row, column, shape_yx, pixel_mm):
    return -pixel_mm * ((shape_yx[1] - 1) / 2 * row + (shape_yx[0] - 1) / 2 * column)


def _pixel_points(row, column, shape_yx, pixel_mm):
    y, x = np.mgrid[: shape_yx[0], : shape_yx[1]] * pixel_mm
    planes = [(x * row[axis] + y * column[axis]).astype(np.float32) for axis in range(3)]
    return np.moveaxis(np.stack(planes), 0, -1)


def _shared_attributes(patient_name: str, patient_id: str, study_uid: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20260105"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "083000"
    ds.AccessionNumber = "ACC1"
    ds.Modality = "CT"
    ds.Manufacturer = "Synthetic"
    ds.ManufacturerModelName = "Ellipsoid"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "HEAD WITHOUT CONTRAST"
    ds.PatientName = patient_name
    ds.PatientID = patient_id
    ds.PatientBirthDate = POISON_BIRTH_DATE
    ds.PatientSex = "O"
    ds.PatientAge = "091Y"
    ds.KVP = "120"
    ds.StudyInstanceUID = study_uid
    ds.StudyID = "1"
    ds.PositionReferenceIndicator = ""
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "80"
    return ds


def _with_file_meta(ds: Dataset) -> Dataset:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _uid(*parts: object) -> str:
    return str(generate_uid(entropy_srcs=["ct_builder", *map(str, parts)]))


def _decimal(value: float) -> str:
    """Return at most 16 characters (PS3.5, section 6.2, DS)."""
    return f"{value + 0.0:.10g}"
