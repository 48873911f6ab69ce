"""Labels from teachers: who is believed, and when."""

import numpy as np
import pytest
from ct_builder import build_ct_series, save_series
from numpy.testing import assert_array_equal
from typer.testing import CliRunner

from training.cli import application
from training.cohort.case import IGNORED
from training.cohort.labelled_series import (
    NOT_SHOWN,
    SHOWN,
    UNKNOWN,
    read_labelled_series,
    read_slice_labels,
)
from training.segmentation.distillation.distil import distil_series
from training.segmentation.distillation.rules import (
    BeliefRules,
    least_agreement,
    pseudo_label,
)

VOXEL_ML = 0.01
UNKNOWN_SLICES = np.full(4, UNKNOWN)


def probabilities(*, high: float = 0.9) -> np.ndarray:
    """Return a teacher's view of a cube of 4 x 10 x 10: 2 x 5 x 5 voxels of hematoma."""
    values = np.zeros((4, 10, 10), np.float32)
    values[1:3, 2:7, 2:7] = high
    return values


def labelled(*teachers, slices=UNKNOWN_SLICES):
    return pseudo_label(teachers, slices, voxel_ml=VOXEL_ML, rules=BeliefRules())


def test_what_both_teachers_see_is_hematoma():
    """A block of 50 voxels at 0.9 and 0.7 has a mean of 0.8."""
    label = labelled(probabilities(), probabilities(high=0.7))

    assert_array_equal(label == 1, probabilities() > 0)
    assert not (label == IGNORED).any()


def test_what_one_teacher_sees_and_the_other_does_not_is_ignored():
    """The mean of 0.9 and 0 is below one half, but one teacher is in no doubt."""
    label = labelled(probabilities(), np.zeros((4, 10, 10), np.float32))

    assert_array_equal(label == IGNORED, probabilities() > 0)
    assert not (label == 1).any()


def test_radiologists_overrule_the_teachers():
    """Without hematoma slice 1 is background; hematoma in slice 3 that none finds is unknown."""
    slices = np.array([NOT_SHOWN, NOT_SHOWN, SHOWN, SHOWN])

    label = labelled(probabilities(), slices=slices)

    assert (label[:2] == 0).all()
    assert_array_equal(label[2] == 1, probabilities()[2] > 0)
    assert (label[3] == IGNORED).all()


def test_specks_are_ignored():
    """Four sure voxels of 0.01 mL are less than 0.05 mL."""
    speck = np.zeros((4, 10, 10), np.float32)
    speck[1, 1:3, 1:3] = 0.9

    label = labelled(speck)

    assert int((label == IGNORED).sum()) == 4
    assert not (label == 1).any()


def test_agreement_is_the_worst_dice_between_two_teachers():
    """Two blocks of 50 voxels that share 40: Dice 2 * 40 / 100."""
    moved = np.roll(probabilities(), 1, axis=2)

    found = least_agreement(
        [probabilities(), probabilities(), moved], voxel_ml=VOXEL_ML, rules=BeliefRules()
    )

    assert found == pytest.approx(0.8)


def test_teachers_agree_where_neither_finds_anything():
    """A scan without hematoma is no disagreement."""
    nothing = np.zeros((4, 10, 10), np.float32)

    found = least_agreement([nothing, nothing], voxel_ml=VOXEL_ML, rules=BeliefRules())

    assert found == 1.0


@pytest.mark.parametrize(
    "wrong", [{"sure": 0.1}, {"doubt": 0.0}, {"agreement": 1.5}, {"least_ml": -1.0}]
)
def test_impossible_rules_cannot_be_made(wrong):
    """The message names the values."""
    with pytest.raises(ValueError, match=r"needed|lies in"):
        BeliefRules(**wrong)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "series" / "007"
    save_series(build_ct_series(slices=12, spacing_mm=10.0, shape_yx=(128, 128)), path)
    return path


def write_labels(path, rows):
    path.write_text("patient,slice,Intraparenchymal,in_source\n" + "\n".join(rows) + "\n")
    return path


def test_labels_follow_the_slices_through_sorting(folder, tmp_path):
    """Instance 12 of 12, the lowest, shows blood; rows that nobody has seen are unknown."""
    path = write_labels(tmp_path / "labels.csv", ["007,12,1,1", "007,1,0,1", "007,2,1,0"])

    series = read_labelled_series(folder, read_slice_labels(path, column="Intraparenchymal"))

    assert series.slices[0] == SHOWN
    assert series.slices[11] == NOT_SHOWN
    assert int((series.slices == UNKNOWN).sum()) == 10


@pytest.mark.parametrize(
    ("text", "named"),
    [("patient,slice\n", "Intraparenchymal"), ("patient,slice,Intraparenchymal\na,1,x\n", "'x'")],
)
def test_bad_label_files_are_named(tmp_path, text, named):
    """The message names file and fault."""
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(ValueError, match=named) as caught:
        read_slice_labels(path, column="Intraparenchymal")

    assert str(path) in str(caught.value)


def test_a_scan_becomes_a_case_with_the_teachers_label(folder):
    """The teacher calls the fourth slice blood where it is brighter than air."""

    def teacher(volume):
        values = np.zeros(volume.hu_zyx.shape, np.float32)
        values[3] = 0.9 * (volume.hu_zyx[3] > 0)
        return values

    scan = distil_series(
        folder,
        teachers=[teacher],
        labels={},
        source="site",
        spacing_zyx_mm=(5.0, 0.5, 0.5),
        rules=BeliefRules(),
    )

    assert scan.case is not None
    assert scan.case.patient_id == "site-007"
    # Slices of 10 mm on a grid of 5 mm: the slice itself and both halves between its neighbours.
    with_blood = np.flatnonzero((scan.case.label_zyx == 1).any(axis=(1, 2)))
    assert 1 <= len(with_blood) <= 3


def test_a_scan_on_which_teachers_disagree_is_left_out(folder):
    """One teacher sees half the head, the other nothing."""

    def loud(volume):
        return (volume.hu_zyx > 0).astype(np.float32)

    scan = distil_series(
        folder,
        teachers=[loud, lambda volume: np.zeros(volume.hu_zyx.shape, np.float32)],
        labels={},
        source="site",
        spacing_zyx_mm=(5.0, 0.5, 0.5),
        rules=BeliefRules(),
    )

    assert scan.case is None
    assert "0.00" in scan.left_out


def test_the_command_writes_cases_and_keeps_those_that_stand(folder, tmp_path):
    """With the shipped network as the teacher; the second call has nothing to do."""
    from pipeline.model_bundle import builtin_bundle_path

    arguments = [
        "segmentation",
        "distil",
        str(folder.parent),
        "--teacher",
        str(builtin_bundle_path("demo-segmentation")),
        "--source",
        "site",
        "--output",
        str(tmp_path / "cases"),
        "--device",
        "cpu",
    ]

    first = CliRunner().invoke(application(), arguments)
    second = CliRunner().invoke(application(), arguments)

    assert first.exit_code == 0, first.output
    assert "007: " in first.output
    assert (tmp_path / "cases" / "site-007.npz").exists()
    assert "007: " not in second.output
