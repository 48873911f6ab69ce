"""Measures of one scan against hand calculations and SimpleITK."""

import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation writes it so

from training.evaluation.lesions import LesionCount, count_lesions
from training.evaluation.scan_score import score_scan
from training.evaluation.surface_distance import hausdorff_mm

SPACING = (5.0, 0.5, 0.8)
SHAPE = (6, 24, 20)


def blob(seed: int) -> np.ndarray:
    """Return an ellipsoid of random place and size."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    centre, radius = rng.uniform((2, 9, 8), (4, 15, 12)), rng.uniform((1, 4, 3), (2, 8, 7))
    return (
        ((z - centre[0]) / radius[0]) ** 2
        + ((y - centre[1]) / radius[1]) ** 2
        + ((x - centre[2]) / radius[2]) ** 2
    ) < 1


def image(mask):
    """Return a mask as an image of SimpleITK with the spacing of these tests."""
    made = sitk.GetImageFromArray(mask.astype(np.uint8))
    made.SetSpacing(SPACING[::-1])
    return made


def scored(predicted, truth, known=None):
    known = np.ones(truth.shape, dtype=bool) if known is None else known
    return score_scan(
        predicted, truth, known=known, spacing_zyx_mm=SPACING, case_id="c", patient_id="p"
    )


@pytest.mark.parametrize("seed", range(4))
def test_overlap_is_that_of_simpleitk(seed):
    """Dice and Jaccard index from an independent implementation."""
    predicted, truth = blob(2 * seed), blob(2 * seed + 1)
    measured = sitk.LabelOverlapMeasuresImageFilter()
    measured.Execute(image(truth), image(predicted))

    found = scored(predicted, truth)

    assert found.dice == pytest.approx(measured.GetDiceCoefficient())
    assert found.iou == pytest.approx(measured.GetJaccardCoefficient())


@pytest.mark.parametrize("seed", range(4))
def test_largest_distance_is_simpleitks_hausdorff_distance(seed):
    """The 100th percentile over surfaces is the maximum over whole masks, in mm."""
    predicted, truth = blob(2 * seed), blob(2 * seed + 1)
    measured = sitk.HausdorffDistanceImageFilter()
    measured.Execute(image(truth), image(predicted))

    found = hausdorff_mm(predicted, truth, SPACING, percentile=100)

    assert found == pytest.approx(measured.GetHausdorffDistance(), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_hd95_is_the_percentile_of_simpleitks_distances(seed):
    """Surface and distances from SimpleITK's contour and Maurer's distance map."""
    predicted, truth = blob(2 * seed), blob(2 * seed + 1)

    def surface(mask):
        padded = sitk.ConstantPad(image(mask), [1] * 3, [1] * 3)
        return sitk.BinaryContour(padded, fullyConnected=False)

    def percentile(one, other):
        distances = sitk.SignedMaurerDistanceMap(
            surface(other), squaredDistance=False, useImageSpacing=True
        )
        away = np.abs(sitk.GetArrayFromImage(distances))
        return np.percentile(away[sitk.GetArrayFromImage(surface(one)) > 0], 95)

    expected = max(percentile(predicted, truth), percentile(truth, predicted))
    assert hausdorff_mm(predicted, truth, SPACING) == pytest.approx(expected, rel=1e-5)


def test_shift_by_one_slice_is_one_slice_distance():
    """A flat disc one slice too high lies 5 mm off everywhere."""
    truth = np.zeros(SHAPE, dtype=bool)
    truth[2, 5:15, 5:15] = True

    assert hausdorff_mm(np.roll(truth, 1, axis=0), truth, SPACING) == pytest.approx(5.0)


def test_a_few_far_voxels_do_not_count_in_hd95():
    """One stray voxel among more than twenty surface voxels is beyond the 95th percentile."""
    truth = np.zeros(SHAPE, dtype=bool)
    truth[2, 5:15, 5:15] = True
    predicted = truth.copy()
    predicted[2, 23, 19] = True

    assert hausdorff_mm(predicted, truth, SPACING) == 0.0
    assert hausdorff_mm(predicted, truth, SPACING, percentile=100) > 4


def test_empty_masks_have_a_stated_distance():
    """Both empty: nothing to measure. One empty: the diagonal of the scan, centre to centre."""
    empty = np.zeros(SHAPE, dtype=bool)
    diagonal = math.sqrt((5 * 5.0) ** 2 + (23 * 0.5) ** 2 + (19 * 0.8) ** 2)

    assert hausdorff_mm(empty, empty, SPACING) is None
    assert hausdorff_mm(blob(0), empty, SPACING) == pytest.approx(diagonal)
    assert hausdorff_mm(empty, blob(0), SPACING) == pytest.approx(diagonal)


def test_unknown_voxels_change_nothing():
    """Whatever is predicted where the truth is unknown, every measure stays the same."""
    truth = np.zeros(SHAPE, dtype=bool)
    truth[1:3, 5:15, 5:15] = True
    known = np.ones(SHAPE, dtype=bool)
    known[3:] = False
    wild = truth.copy()
    wild[3:] = True

    assert scored(wild, truth, known) == scored(truth, truth, known)
    assert scored(wild, truth).dice < 0.5


def test_volumes_are_in_millilitres():
    """Three voxels of 5 x 0.5 x 0.8 mm are 6 mm3; predicted twice as many: 0.006 mL too much."""
    truth = np.zeros(SHAPE, dtype=bool)
    truth[0, 0, :3] = True
    predicted = np.zeros(SHAPE, dtype=bool)
    predicted[0, 0, :6] = True

    found = scored(predicted, truth)

    assert found.true_ml == pytest.approx(0.006)
    assert found.error_ml == pytest.approx(0.006)
    assert found.iou == pytest.approx(0.5)
    assert found.dice == pytest.approx(2 / 3)


def test_nothing_in_either_mask_has_no_overlap():
    """Dice of nothing with nothing is not one: it is not defined."""
    empty = np.zeros(SHAPE, dtype=bool)

    found = scored(empty, empty)

    assert (found.dice, found.iou, found.hd95_mm) == (None, None, None)
    assert found.lesions == LesionCount(true=0, found=0, false=0)


def cubes(*corners):
    """Return cubes of ten voxels a side, 1 mL each at 1 mm."""
    mask = np.zeros((40, 40, 40), dtype=bool)
    for z, y, x in corners:
        mask[z : z + 10, y : y + 10, x : x + 10] = True
    return mask


def test_lesions_are_counted_by_overlap():
    """Of three lesions one is hit, one touched too little, one missed; one finding is false."""
    truth = cubes((0, 0, 0), (0, 20, 0), (20, 0, 0))
    predicted = cubes((0, 0, 5), (25, 25, 25))
    predicted[0:1, 20:29, 0:10] = True  # 90 of 1000 voxels: less than a tenth

    found = count_lesions(predicted, truth, voxel_ml=0.001, floor_ml=0.05)

    assert found == LesionCount(true=3, found=1, false=1)


def test_one_finding_may_cover_two_lesions():
    """A bridge between two lesions finds both."""
    truth = cubes((0, 0, 0), (0, 0, 20))
    predicted = np.zeros_like(truth)
    predicted[:10, :10, :] = True

    assert count_lesions(predicted, truth, voxel_ml=0.001) == LesionCount(true=2, found=2, false=0)


def test_a_lesion_in_pieces_is_one_lesion_found():
    """Pieces of a prediction inside one lesion add up."""
    truth = cubes((0, 0, 0))
    predicted = np.zeros_like(truth)
    predicted[0, :6, :10] = predicted[9, :6, :10] = True  # 6 % each, 12 % together

    assert count_lesions(predicted, truth, voxel_ml=0.001) == LesionCount(true=1, found=1, false=0)


def test_specks_are_no_lesions():
    """Parts below the floor count neither as missed nor as made up; 0.1 mL itself counts."""
    speck = np.zeros((40, 40, 40), dtype=bool)
    speck[0, 0, :9] = True
    empty = np.zeros_like(speck)
    just_enough = empty.copy()
    just_enough[0, 0, :10] = True

    assert count_lesions(speck, empty, voxel_ml=0.01) == LesionCount(true=0, found=0, false=0)
    assert count_lesions(empty, speck, voxel_ml=0.01) == LesionCount(true=0, found=0, false=0)
    assert count_lesions(empty, just_enough, voxel_ml=0.01).true == 1


def test_impossible_counts_are_refused():
    """No more lesions can be found than there are."""
    with pytest.raises(ValueError, match="Impossible"):
        LesionCount(true=1, found=2, false=0)
