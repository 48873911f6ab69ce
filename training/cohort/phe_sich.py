"""Import of PHE-SICH-CT-IDS pictures: real spontaneous bleeds with pseudo-labels.

The experts drew the oedema around each hematoma, not the hematoma itself. The pseudo-label is
the bright core that the oedema encloses; what cannot be decided is marked as ignored.
Source: figshare 10.6084/m9.figshare.23957937; non-commercial terms may apply.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped] # scipy ships no types

from pipeline.resampling import canonical_grid, resample_map
from pipeline.segmentation.head_crop import head_box
from pipeline.volume import regular_grid
from training.cohort.case import HALF_COVERED, IGNORED, Case

#: HU of black and of white in nearly all patients (window 120, level 40).
_WINDOW_HU = (-20.0, 100.0)

#: Patients whose pictures have a narrower window: it is chosen so that brain and ventricles get
#: the grey levels (101-106 and 44-50 of 255) that they have in the other patients.
_NARROW_WINDOW_HU = (-5.0, 75.0)
_NARROW = frozenset({"0161", "0163", "0165"})

_WHITE = 254

#: In one folder the head comes after neck and shoulders.
_FIRST_SLICE = {"0163": 30}

#: The largest section of an adult's outer skull, an ellipse of 150 x 186 mm.
_SKULL_AREA_MM2 = np.pi / 4 * 150 * 186

_BONE_HU = 97.0
_BRAIN_HU = (15.0, 45.0)
_CLOT_HU = 50.0
_SLICE_STEP_MM = 5.0

#: Patients left out after looking at the pictures: the drawn oedema encloses no bright core.
EXCLUDED = frozenset({"0048", "0058", "0081"})

#: HU range of clotted blood after smoothing.
_BLOOD_HU = (44.0, 92.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How far the pseudo-label may reach.

    Attributes
    ----------
    bone_margin_mm : float
        No label nearer than this to bone, where partial volume looks like blood.
    touch_mm : float
        A bright part nearer than this to the drawn oedema is hematoma.
    doubt_ml : float
        Other bright parts of at least this volume in one slice (ventricular blood, a second
        bleed, calcification) are ignored.
    smoothing_mm : float
        Sigma of the in-plane Gaussian before the threshold.
    """

    bone_margin_mm: float = 4.0
    touch_mm: float = 6.0
    doubt_ml: float = 0.15
    smoothing_mm: float = 0.6


def read_patient(folder: Path, *, rules: LabelRules = LabelRules()) -> Case:
    """Return one patient's stack with its pseudo-label on the model grid.

    Raises
    ------
    ValueError
        If the folder holds no slices or no skull can be found in them.
    """
    hu_zyx, oedema_zyx = _read_stack(folder)
    pixel_mm = estimate_pixel_mm(hu_zyx)
    label_zyx = pseudo_label(hu_zyx, oedema_zyx, pixel_mm=pixel_mm, rules=rules)
    source = regular_grid(hu_zyx.shape, (_SLICE_STEP_MM, pixel_mm, pixel_mm))
    spacing = (5.0, 0.5, 0.5)
    target = canonical_grid(source, spacing)
    hu = resample_map(hu_zyx, source, target, outside=float(hu_zyx.min()))
    core = resample_map((label_zyx == 1).astype(np.float32), source, target) >= HALF_COVERED
    doubt = resample_map((label_zyx == IGNORED).astype(np.float32), source, target) >= HALF_COVERED
    label = np.where(core, 1, np.where(doubt, IGNORED, 0)).astype(np.uint8)
    box = head_box(hu)
    return Case(
        case_id=f"phe-sich-{folder.name}",
        patient_id=f"phe-sich-{folder.name}",
        source="phe-sich",
        hu_zyx=np.round(hu[box]).astype(np.int16),
        label_zyx=label[box],
        spacing_zyx_mm=spacing,
    )


def estimate_pixel_mm(hu_zyx: NDArray[np.float32]) -> float:
    """Return the pixel size for which the largest skull section has an adult's area.

    Raises
    ------
    ValueError
        If no slice shows a closed skull.
    """
    areas = [np.count_nonzero(_filled_skull(plane)) for plane in hu_zyx]
    # Slices through face and jaw are wider than the skull; the cranium is the upper part.
    upper = areas[len(areas) // 3 :]
    largest = max(upper, default=0)
    if largest == 0:
        raise ValueError("No slice shows a closed skull")
    return float(np.sqrt(_SKULL_AREA_MM2 / largest))


def pseudo_label(
    hu_zyx: NDArray[np.float32],
    oedema_zyx: NDArray[np.bool_],
    *,
    pixel_mm: float,
    rules: LabelRules,
) -> NDArray[np.uint8]:
    """Return 1 in the bright core that the oedema encloses, `IGNORED` where blood runs on."""
    smooth = ndimage.gaussian_filter(hu_zyx, (0, *2 * (rules.smoothing_mm / pixel_mm,)))
    away = np.stack([_away_from_bone(plane, rules.bone_margin_mm / pixel_mm) for plane in hu_zyx])
    interior = away & np.stack([_filled_skull(plane) for plane in hu_zyx])
    threshold = _blood_threshold(smooth, oedema_zyx, interior)
    bright = (smooth >= threshold) & (smooth <= _BLOOD_HU[1]) & away & ~oedema_zyx
    bright = np.stack([ndimage.binary_opening(plane, iterations=2) for plane in bright])
    blood = bright & interior
    reach_px = rules.touch_mm / pixel_mm
    near = np.stack([_within(plane, reach_px) for plane in oedema_zyx])
    core = np.stack([_parts_touching(*planes) for planes in zip(blood, near, strict=True)])
    core = _continue_beyond(core, bright)
    label = np.stack([_solid(plane) for plane in core]).astype(np.uint8)
    doubt = _large_parts(blood & ~core, rules.doubt_ml, pixel_mm)
    doubt |= oedema_zyx & (smooth >= threshold)
    label[doubt & (label == 0)] = IGNORED
    return label


def _read_stack(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return HU and oedema with the nose to the top, both of shape (Z, Y, X)."""
    from PIL import Image

    paths = sorted(folder.glob("*.webp"))[_FIRST_SLICE.get(folder.name, 0) :]
    if not paths:
        raise ValueError(f"{folder} holds no slices")
    greys, oedemas = [], []
    for path in paths:
        with Image.open(path) as picture:
            grey = np.asarray(picture.convert("L"))
        drawn = path.with_name(f"{path.stem}_oedema.png")
        oedema = np.zeros(grey.shape, dtype=bool)
        if drawn.exists():
            with Image.open(drawn) as picture:
                oedema = np.asarray(picture.convert("L")) > 0
        greys.append(np.rot90(grey, -1))
        oedemas.append(np.rot90(oedema, -1))
    return _grey_to_hu(np.stack(greys), folder.name), np.stack(oedemas)


def _grey_to_hu(grey_zyx: NDArray[np.uint8], patient: str) -> NDArray[np.float32]:
    black, white = _NARROW_WINDOW_HU if patient in _NARROW else _WINDOW_HU
    hu = black + grey_zyx.astype(np.float32) * np.float32((white - black) / 255)
    # White is whatever is brighter than the window: bone, also where the window is narrow.
    hu[grey_zyx >= _WHITE] = _WINDOW_HU[1]
    return np.asarray(hu, dtype=np.float32)


def _filled_skull(plane: NDArray[np.float32]) -> NDArray[np.bool_]:
    bone = ndimage.binary_opening(plane >= _BONE_HU)
    filled = ndimage.binary_fill_holes(bone)
    filled = ndimage.binary_opening(filled, iterations=5)
    labelled, count = ndimage.label(filled)
    if count == 0:
        return np.zeros(plane.shape, dtype=bool)
    sizes = np.bincount(labelled.ravel())
    sizes[0] = 0
    return np.asarray(labelled == int(np.argmax(sizes)))


def _away_from_bone(plane: NDArray[np.float32], margin_px: float) -> NDArray[np.bool_]:
    """Return what lies farther from large bones than a margin, shape (Y, X)."""
    large = ndimage.binary_opening(plane >= _BONE_HU, iterations=3)
    if not large.any():
        return np.ones(plane.shape, dtype=bool)
    return np.asarray(ndimage.distance_transform_edt(~large) > margin_px)


def _blood_threshold(
    smooth: NDArray[np.float32], oedema: NDArray[np.bool_], interior: NDArray[np.bool_]
) -> float:
    """Return the HU half way between brain and the brightest part near the oedema."""
    near = np.stack([_within(plane, 20.0) for plane in oedema]) & interior
    brain = smooth[interior & (smooth > _BRAIN_HU[0]) & (smooth < _BRAIN_HU[1])]
    bright = smooth[near & (smooth > _CLOT_HU) & (smooth < _BLOOD_HU[1])]
    if brain.size == 0 or bright.size == 0:
        return 47.0
    half_way = (float(np.median(brain)) + float(np.percentile(bright, 75))) / 2
    return float(np.clip(half_way, _BLOOD_HU[0], 54.0))


def _within(plane: NDArray[np.bool_], reach_px: float) -> NDArray[np.bool_]:
    if not plane.any():
        return plane
    return np.asarray(ndimage.distance_transform_edt(~plane) <= reach_px)


def _parts_touching(blood: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of a slice's blood that reach the drawn oedema."""
    labelled, _ = ndimage.label(blood)
    wanted = np.unique(labelled[near & blood])
    return np.asarray(np.isin(labelled, wanted[wanted > 0]))


def _continue_beyond(core: NDArray[np.bool_], blood: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the core with parts of the next slices that it mostly covers, two slices far."""
    result = core.copy()
    for _ in range(2):
        grown = result.copy()
        for index in np.flatnonzero(result.any(axis=(1, 2))):
            for neighbour in (index - 1, index + 1):
                if 0 <= neighbour < len(core):
                    grown[neighbour] |= _covered_parts(blood[neighbour], result[index])
        result = grown
    return result


def _covered_parts(blood: NDArray[np.bool_], cover: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of a slice's blood that lie at least half below a cover."""
    labelled, _ = ndimage.label(blood)
    sizes = np.bincount(labelled.ravel())
    covered = np.bincount(labelled.ravel(), weights=cover.ravel(), minlength=len(sizes))
    wanted = np.flatnonzero(covered > 0.5 * sizes)
    return np.asarray(np.isin(labelled, wanted[wanted > 0]))


def _large_parts(
    mask_zyx: NDArray[np.bool_], least_ml: float, pixel_mm: float
) -> NDArray[np.bool_]:
    """Return the connected parts of each slice that have at least a volume, dilated by 2 px."""
    least_px = least_ml * 1000 / (pixel_mm**2 * _SLICE_STEP_MM)
    result = np.zeros_like(mask_zyx)
    for index, plane in enumerate(mask_zyx):
        labelled, _ = ndimage.label(plane)
        sizes = np.bincount(labelled.ravel())
        wanted = np.flatnonzero(sizes >= least_px)
        large = np.isin(labelled, wanted[wanted > 0])
        result[index] = ndimage.binary_dilation(large, iterations=2)
    return result


def _solid(plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    closed = ndimage.binary_closing(plane, iterations=2)
    return np.asarray(ndimage.binary_fill_holes(closed | plane))
