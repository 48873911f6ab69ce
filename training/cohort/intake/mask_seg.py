"""Masks as DICOM Segmentation objects (PS3.3, section A.51)."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pipeline.volume import CtVolume
from training.cohort.intake.found_scan import MaskError

#: Names by which people call the hematoma's segment.
_HEMATOMA = re.compile(r"h(a)?emat|h(a)?emorr|bleed|\bICH\b|clot", re.IGNORECASE)

#: In-plane distance in pixels, and share of a slice step, up to which a frame lies on a slice.
_TOLERANCE_PIXELS = 0.5
_TOLERANCE_STEP = 0.25

_PARALLEL_COSINE = 0.999

#: What an object raises that lacks attributes or ends early.
_INCOMPLETE = (AttributeError, KeyError, ValueError, TypeError, OSError, EOFError)


def read_mask_seg(path: Path, volume: CtVolume) -> NDArray[np.bool_]:
    """Return the hematoma's segment on a scan's grid, shape (Z, Y, X).

    Frames are laid on slices by their positions; slices without a frame are empty.

    Raises
    ------
    MaskError
        If frames have another matrix or place than the scan, no or several segments could be
        the hematoma, or the object is incomplete or cannot be decoded.
    """
    try:
        return _mask_of(pydicom.dcmread(path), volume)
    except MaskError:
        raise
    except _INCOMPLETE as error:
        # The text of such an error may repeat what the file says.
        raise MaskError(f"segmentation is incomplete: {type(error).__name__}") from error


def _mask_of(seg: Dataset, volume: CtVolume) -> NDArray[np.bool_]:
    wanted = _hematoma_segments(seg)
    frames = _frames(seg)
    if frames.shape[1:] != volume.hu_zyx.shape[1:]:
        raise MaskError(
            f"segmentation has {frames.shape[1]} x {frames.shape[2]} pixels, "
            f"scan {volume.hu_zyx.shape[1]} x {volume.hu_zyx.shape[2]}"
        )
    mask = np.zeros(volume.hu_zyx.shape, dtype=bool)
    shared = _first(seg, "SharedFunctionalGroupsSequence")
    is_labelmap = str(seg.get("SegmentationType", "")) == "LABELMAP"
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if is_labelmap:
            shown = np.isin(frame, sorted(wanted))
        elif _segment_of(groups, shared) in wanted:
            shown = frame > _half_of(seg)
        else:
            continue
        if shown.any():
            mask[_slice_of(groups, shared, volume)] |= shown
    return mask


def referenced_series(seg: Dataset) -> set[str]:
    """Return the UIDs of the series that a segmentation was drawn on."""
    items = seg.get("ReferencedSeriesSequence") or ()
    return {str(item.SeriesInstanceUID) for item in items if "SeriesInstanceUID" in item}


def _hematoma_segments(seg: Dataset) -> set[int]:
    segments = {
        int(item.SegmentNumber): str(item.get("SegmentLabel", ""))
        for item in seg.get("SegmentSequence") or ()
    }
    if len(segments) == 1:
        return set(segments)
    named = {number for number, label in segments.items() if _HEMATOMA.search(label)}
    if len(named) != 1:
        raise MaskError(
            f"{len(named)} of {len(segments)} segments are named as hematoma "
            f"({', '.join(segments.values()) or 'none'}); exactly one is needed"
        )
    return named


def _frames(seg: Dataset) -> NDArray[Any]:
    try:
        pixels = np.asarray(seg.pixel_array)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise MaskError(f"segmentation cannot be decoded: {type(error).__name__}") from error
    return pixels[None] if pixels.ndim == 2 else pixels  # noqa: PLR2004  one frame has two axes


def _half_of(seg: Dataset) -> float:
    if str(seg.get("SegmentationType", "")) == "FRACTIONAL":
        return float(seg.MaximumFractionalValue) / 2
    return 0.5


def _segment_of(groups: Dataset, shared: Dataset) -> int:
    item = _group(groups, shared, "SegmentIdentificationSequence")
    return int(item.ReferencedSegmentNumber)


def _slice_of(groups: Dataset, shared: Dataset, volume: CtVolume) -> int:
    """Return the slice that a frame lies on."""
    position = np.array(
        [float(v) for v in _group(groups, shared, "PlanePositionSequence").ImagePositionPatient]
    )
    axes = [
        float(v)
        for v in _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
    ]
    grid = volume.grid
    for found, needed in ((axes[:3], grid.row_cosine_lps), (axes[3:], grid.column_cosine_lps)):
        if float(np.dot(found, needed)) < _PARALLEL_COSINE:
            raise MaskError("segmentation is turned against the scan")
    distances = np.abs(grid.slice_positions_mm - float(position @ grid.normal_lps))
    index = int(np.argmin(distances))
    if distances[index] > _TOLERANCE_STEP * float(grid.slice_extents_mm[index]):
        raise MaskError(f"a frame lies {distances[index]:.1f} mm from the nearest slice")
    offset = position - np.asarray(grid.slice_origins_lps_mm[index])
    in_plane = [float(offset @ np.asarray(axis)) for axis in _in_plane(volume)]
    pixels = np.abs(in_plane) / np.asarray(grid.pixel_spacing_yx_mm)
    if float(pixels.max()) > _TOLERANCE_PIXELS:
        raise MaskError(f"a frame lies {float(pixels.max()):.1f} pixels beside its slice")
    return index


def _in_plane(volume: CtVolume) -> tuple[Any, Any]:
    return volume.grid.column_cosine_lps, volume.grid.row_cosine_lps


def _group(groups: Dataset, shared: Dataset, name: str) -> Dataset:
    for holder in (groups, shared):
        items = holder.get(name)
        if items:
            return items[0]  # type: ignore[no-any-return] # pydicom's sequences are untyped
    raise MaskError(f"segmentation lacks {name}")


def _first(seg: Dataset, name: str) -> Dataset:
    items = seg.get(name)
    return items[0] if items else Dataset()
