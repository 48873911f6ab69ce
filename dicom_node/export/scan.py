"""One scan with its mask, from custody to what may leave the site."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.export.deidentify import Subject, deidentified
from dicom_node.export.exclusion import ExcludedError, Exclusion
from dicom_node.export.pixels import copy_image_pixels, copy_segmentation_pixels
from pipeline.ct_series import read_ct_series
from pipeline.ct_series.header import MALFORMED, ImageHeader
from pipeline.ct_series.screening import axial_images
from pipeline.errors import SeriesRejectedError

IMAGE_FOLDER, MASK_FILE = "ct", "mask.dcm"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScreenedScan:
    """A scan that nothing forbids to leave the site once it is de-identified.

    Attributes
    ----------
    images : tuple of Dataset
        Its axial CT images; localizers, dose pages and captures of the series are left out.
    mask : Dataset
        Segmentation that refers to them.
    patient : tuple of str
        Patient ID and its issuer.
    has_zone : bool
        Whether every image states its time zone.
    """

    images: tuple[Dataset, ...] = field(repr=False)
    mask: Dataset = field(repr=False)
    patient: tuple[str, str] = field(repr=False)
    has_zone: bool


def screen_scan(
    files: Sequence[Path],
    masks: Sequence[Path],
    *,
    series_uid: str,
    with_secondary: bool,
) -> ScreenedScan:
    """Return a scan that may leave the site.

    Parameters
    ----------
    files, masks
        Images of the series, and segmentations of which the first that refers to it is taken.
    series_uid
        The series.
    with_secondary
        Somebody has looked at the site's secondary images and found no text in them.

    Raises
    ------
    ExcludedError
        If it may not.
    """
    with warnings.catch_warnings():
        # pydicom warns of malformed values and repeats them, patient's names included.
        warnings.simplefilter("ignore")
        sources = [_read(path) for path in files]
        try:
            headers, _ = axial_images(sources)
        except SeriesRejectedError as error:
            raise ExcludedError(Exclusion.UNREADABLE) from error
        images = {id(header.instance): header.instance for header in headers}
        for header in headers:
            _refuse_text(header, with_secondary=with_secondary)
        patients = {_patient(image) for image in images.values()}
        if len(patients) != 1 or not any(number for number, _ in patients):
            raise ExcludedError(Exclusion.SEVERAL_PATIENTS)
        return ScreenedScan(
            images=tuple(images.values()),
            mask=_mask_of(series_uid, masks),
            patient=patients.pop(),
            has_zone=all(
                ImageHeader(instance=one).text("TimezoneOffsetFromUTC") for one in images.values()
            ),
        )


def patient_of(path: Path) -> tuple[str, str]:
    """Return Patient ID and issuer that an image states. Raises ExcludedError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `screen_scan`
        return _patient(_read(path))


def deidentify_scan(scan: ScreenedScan, subject: Subject) -> tuple[list[Dataset], Dataset]:
    """Return images and mask that may leave the site, looked at once more by the pipeline.

    Raises
    ------
    ExcludedError
        If the images cannot be decoded, or would not be the same volume.
    """
    try:
        before = read_ct_series(scan.images)
        images = []
        for source in scan.images:
            result = deidentified(source, subject)
            copy_image_pixels(source, result)
            images.append(result)
        after = read_ct_series(images)
        mask = deidentified(scan.mask, subject)
        copy_segmentation_pixels(scan.mask, mask)
    except (SeriesRejectedError, *MALFORMED) as error:
        raise ExcludedError(Exclusion.UNREADABLE) from error
    is_same = (
        np.array_equal(before.hu_zyx, after.hu_zyx)
        and before.grid.slice_origins_lps_mm == after.grid.slice_origins_lps_mm
        and before.grid.pixel_spacing_yx_mm == after.grid.pixel_spacing_yx_mm
    )
    if not is_same:
        raise ExcludedError(Exclusion.ALTERED)
    return images, mask


def write_scan(folder: Path, images: Sequence[Dataset], mask: Dataset) -> None:
    """Write a de-identified scan: images in a folder of their own, the mask beside it."""
    place = folder / IMAGE_FOLDER
    place.mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        image.save_as(place / f"{number:04d}.dcm", enforce_file_format=True)
    mask.save_as(folder / MASK_FILE, enforce_file_format=True)


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
    except OSError as error:
        raise ExcludedError(Exclusion.FILES_GONE) from error
    except (InvalidDicomError, *MALFORMED) as error:
        raise ExcludedError(Exclusion.UNREADABLE) from error


def _refuse_text(header: ImageHeader, *, with_secondary: bool) -> None:
    if header.text("BurnedInAnnotation") == "YES":
        raise ExcludedError(Exclusion.BURNED_IN)
    # Made from images after the examination (PS3.3, section C.7.6.1.1.2): a capture, or a
    # reformat that a person has worked on.
    if "SECONDARY" in header.texts("ImageType")[1:2] and not with_secondary:
        raise ExcludedError(Exclusion.SECONDARY)


def _patient(image: Dataset) -> tuple[str, str]:
    header = ImageHeader(instance=image)
    return header.text("PatientID"), header.text("IssuerOfPatientID")


def _mask_of(series_uid: str, masks: Sequence[Path]) -> Dataset:
    for path in masks:
        mask = _read(path)
        referenced = ImageHeader(instance=mask).items("ReferencedSeriesSequence")
        if any(str(item.get("SeriesInstanceUID", "")) == series_uid for item in referenced):
            return mask
    raise ExcludedError(Exclusion.NO_MASK)
