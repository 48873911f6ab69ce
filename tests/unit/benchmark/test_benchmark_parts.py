"""Contestants, held-out scans, conditions, rows and masks of a benchmark."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from training.cohort.case import Case, save_case
from training.cohort.folder import load_cohort
from training.cohort.patient_split import PatientSplit, write_split
from training.evaluation.lesions import LesionCount
from training.evaluation.scan_score import ScanScore
from training.segmentation.architectures import ARCHITECTURES
from training.segmentation.benchmark.conditions import conditions, keep_conditions
from training.segmentation.benchmark.contestant import TITLES, Contestant, choose_contestants
from training.segmentation.benchmark.examination import load_mask, save_mask
from training.segmentation.benchmark.held_out import held_out_scans
from training.segmentation.benchmark.scan_row import ScanRow, append_row, read_rows
from training.segmentation.benchmark.training_port import (
    EqualTraining,
    parse_budget,
    read_recipes,
)
from training.segmentation.experiment import Budget, Experiment

KNOWN = ("nnunet", "umamba-enc", "compact")


def cohort_of(folder: Path, patients, *, source="simulated", split=None):
    """Return a cohort of tiny cases, one scan for each name."""
    for patient in patients:
        save_case(
            folder,
            Case(
                case_id=f"{patient}-baseline",
                patient_id=patient,
                source=source,
                hu_zyx=np.zeros((2, 4, 4), dtype=np.int16),
                label_zyx=np.zeros((2, 4, 4), dtype=np.uint8),
                spacing_zyx_mm=(5.0, 2.0, 2.0),
            ),
        )
    if split is not None:
        write_split(folder / "splits.json", split, how="by hand")
    return load_cohort(folder)


def a_training(**changes) -> EqualTraining:
    fields = {
        "cohorts": (Path("sim"),),
        "experiment": Experiment(),
        "budget": Budget(epochs=2, minutes=5),
        "seed": 1,
        "device": "cpu",
    }
    return EqualTraining(**{**fields, **changes})


def test_every_architecture_has_a_title():
    """The table of titles is total: tables and figures write names as papers do."""
    assert set(TITLES) == set(ARCHITECTURES)


def test_all_architectures_take_part_in_the_order_of_the_table():
    """``all`` stands for every architecture; bundles come after them."""
    chosen = choose_contestants("all", ["blast=/models/blast"], known=KNOWN)

    assert [one.name for one in chosen] == ["nnunet", "umamba-enc", "compact", "blast"]
    assert [one.title for one in chosen] == ["nnU-Net", "U-Mamba Enc", "Compact U-Net", "blast"]
    assert chosen[-1].bundle == Path("/models/blast")


@pytest.mark.parametrize(
    ("architectures", "bundles", "message"),
    [
        ("unet", [], "Architecture 'unet' is unknown; known: all, nnunet, umamba-enc, compact"),
        ("none", [], "Nobody takes part"),
        ("nnunet, nnunet", [], "nnunet takes part twice"),
        ("compact", ["compact=/somewhere"], "compact takes part twice"),
        ("none", ["/somewhere"], "NAME=PATH expected"),
        ("none", ["a/b=/somewhere"], "letters, digits"),
    ],
)
def test_impossible_contestants_are_refused(architectures, bundles, message):
    """Unknown names, double names and malformed bundles are named."""
    with pytest.raises(ValueError, match=message):
        choose_contestants(architectures, bundles, known=KNOWN)


def test_a_test_part_is_judged_on(tmp_path):
    """Where the cohort has a test part, that is held out, and nothing else."""
    split = PatientSplit(
        train=frozenset("ab"), validation=frozenset("c"), test=frozenset(("d", "e"))
    )
    cohort = cohort_of(tmp_path / "clinic", "abcde", source="clinic", split=split)

    found = held_out_scans(cohort)

    assert [scan.patient_id for scan in found.scans] == ["d", "e"]
    assert found.describe() == "2 scans of 2 patients, real heads (test part of cohort clinic)"


def test_without_a_test_part_the_validation_part_is_judged_on_and_named(tmp_path):
    """Where the scans come from is told, since one loop chooses its epoch by them."""
    split = PatientSplit(train=frozenset("ab"), validation=frozenset("c"))
    cohort = cohort_of(tmp_path / "sim", "abc", split=split)

    found = held_out_scans(cohort)

    assert "simulated heads (validation part of cohort sim)" in found.describe()


def test_a_test_cohort_is_judged_on_whole(tmp_path):
    """All patients of another cohort are held out, whatever its own split; a limit counts them."""
    cohort = cohort_of(tmp_path / "sim", "ab")
    other = cohort_of(tmp_path / "other", "wxyz")

    assert len(held_out_scans(cohort, other).scans) == 4
    assert [scan.patient_id for scan in held_out_scans(cohort, other, limit=2).scans] == ["w", "x"]


def test_a_patient_is_never_trained_and_tested_on(tmp_path):
    """One common patient is enough to refuse."""
    cohort = cohort_of(tmp_path / "sim", "ab")
    other = cohort_of(tmp_path / "other", "bc")

    with pytest.raises(ValueError, match="1 test patients are also trained on, first b"):
        held_out_scans(cohort, other)


def test_nothing_held_out_is_refused(tmp_path):
    """A benchmark needs somebody to judge on."""
    split = PatientSplit(train=frozenset("ab"))
    with pytest.raises(ValueError, match="No scan is held out"):
        held_out_scans(cohort_of(tmp_path / "sim", "ab", split=split))


def test_a_benchmark_keeps_its_conditions(tmp_path):
    """Another seed in the same folder is refused by name; another machine is not."""
    split = PatientSplit(train=frozenset("a"), validation=frozenset("b"))
    cohort = cohort_of(tmp_path / "sim", "ab", split=split)
    begun = conditions(cohort, held_out_scans(cohort), a_training(), hardware="A")
    keep_conditions(tmp_path / "out", begun)

    keep_conditions(tmp_path / "out", dataclasses.replace(begun, hardware="B"))
    with pytest.raises(ValueError, match="a benchmark with seed 1, now it is 2"):
        keep_conditions(tmp_path / "out", dataclasses.replace(begun, seed=2))


def test_conditions_say_what_was_done(tmp_path):
    """Data, budget, grid, seed and hardware are told in words."""
    split = PatientSplit(train=frozenset("a"), validation=frozenset("b"))
    cohort = cohort_of(tmp_path / "sim", "ab", split=split)
    found = conditions(cohort, held_out_scans(cohort), a_training(), hardware="one core")

    text = " ".join(found.describe())
    for fact in ("1 scans of 1 patients", "simulated heads", "at most 5 min", "one core"):
        assert fact in text
    assert "Patches of 20 x 320 x 256 voxels of 5 x 0.5 x 0.5 mm" in text
    assert "Equal budget: 1000 patches, 2 a step" in text  # 2 epochs of 250 steps of 2


def a_row(case_id="a-baseline", digest="00") -> ScanRow:
    score = ScanScore(
        case_id=case_id,
        patient_id="a",
        dice=0.5,
        iou=None,
        hd95_mm=3.25,
        predicted_ml=1.0,
        true_ml=2.0,
        lesions=LesionCount(true=2, found=1, false=0),
    )
    return ScanRow(
        contestant="compact", bundle_sha256=digest, score=score, seconds=1.5, peak_memory_mb=20.0
    )


def test_rows_come_back_as_they_were_written(tmp_path):
    """What JSON lines hold is what was measured, absent values included."""
    path = tmp_path / "rows.jsonl"
    rows = [a_row("one"), a_row("two")]
    for row in rows:
        append_row(path, row)

    assert read_rows(path) == rows
    assert read_rows(tmp_path / "absent.jsonl") == []


def test_rows_of_other_weights_and_cut_off_rows_are_left_out(tmp_path):
    """A stop in the middle of a line costs that scan only; new weights make all rows old."""
    path = tmp_path / "rows.jsonl"
    append_row(path, a_row("one", "old"))
    append_row(path, a_row("two", "new"))
    with path.open("a") as stream:
        stream.write('{"contestant": "comp')

    assert [row.score.case_id for row in read_rows(path, bundle_sha256="new")] == ["two"]


def test_a_row_can_be_added_after_one_that_was_cut_off(tmp_path):
    """The half line is dropped, so that it does not swallow the next one."""
    path = tmp_path / "rows.jsonl"
    append_row(path, a_row("one"))
    with path.open("a") as stream:
        stream.write('{"contestant": "comp')

    append_row(path, a_row("two"))

    assert [row.score.case_id for row in read_rows(path)] == ["one", "two"]


def test_masks_come_back_as_they_were_written(tmp_path):
    """A size that is no multiple of eight loses nothing."""
    mask = np.random.default_rng(0).random((3, 5, 7)) > 0.5
    save_mask(tmp_path, "a", mask)

    assert np.array_equal(load_mask(tmp_path, "a"), mask)


def test_a_name_that_is_no_folder_is_refused():
    """Names become folders."""
    with pytest.raises(ValueError, match="letters, digits"):
        Contestant(name="../escape")


def test_everybody_sees_as_many_patches():
    """The light loop takes one patch in a step, the others two: it gets twice the steps."""
    training = a_training(budget=Budget(epochs=3, iterations=10))

    for name in ARCHITECTURES:
        granted = training.budget_of(name)
        batch = 1 if name == "compact" else 2
        assert granted.epochs * granted.iterations * batch == 60


def test_budgets_are_read_from_words():
    """Names of the budget's fields, separated by commas."""
    assert parse_budget("epochs=4, iterations=50") == Budget(epochs=4, iterations=50)
    assert parse_budget("minutes=2.5") == Budget(minutes=2.5)
    assert parse_budget("") == Budget()


@pytest.mark.parametrize("text", ["4", "steps=4", "epochs=many", "epochs=1,epochs=2", "epochs=0"])
def test_faulty_budgets_are_refused(text):
    """Every fault is told before a training begins."""
    with pytest.raises(ValueError, match="Budget"):
        parse_budget(text)


def test_recipes_are_for_architectures_with_a_loop_of_their_own():
    """An architecture of nnU-Net's loop has none; the shipped one is read."""
    shipped = Path(__file__).parents[3] / "config" / "training" / "demo_segmentation.toml"

    assert read_recipes([f"compact={shipped}"])["compact"].architecture == "CompactUNet"
    with pytest.raises(ValueError, match="NAME of slex-net, compact"):
        read_recipes([f"nnunet={shipped}"])
