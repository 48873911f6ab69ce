"""Claims about the import of scans and masks into a cohort."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cohort_builder import BALL, blood, run, save_nifti, save_seg, series
from ct_builder import save_series
from typer.testing import CliRunner

from pipeline.ct_series import read_ct_series
from pipeline.training_statistics import Measure, Trait
from training.cli import application
from training.cohort.case import IGNORED, load_case
from training.cohort.folder import load_cohort
from training.cohort.intake.criteria import Criterion
from training.cohort.intake.flow import flow_of
from training.cohort.intake.found_scan import MaskError, MaskKind
from training.cohort.intake.mask_nifti import read_mask_nifti
from training.cohort.intake.mask_seg import read_mask_seg
from training.cohort.intake.tables import write_tables
from training.cohort.patient_split import Part
from training.cohort.scan_statistics import cohort_statistics


@pytest.fixture
def dicom_source(tmp_path) -> Path:
    """Three patients: a SEG, a NIfTI mask, no mask; the first was scanned twice."""
    root = tmp_path / "source"
    for patient, seed, day in (("A", 1, "20260105"), ("A", 2, "20260106"), ("B", 3, "20260105")):
        instances = series(patient, seed=seed, day=day)
        folder = root / patient / f"visit{seed}"
        save_series(instances, folder)
        volume = read_ct_series(instances)
        if patient == "A":
            save_seg(folder / "seg.dcm", instances, blood(volume))
        else:
            save_nifti(folder / "drawn.nii.gz", blood(volume), volume)
    save_series(series("C", seed=4), root / "C")
    return root


def test_dicom_series_with_both_kinds_of_masks_become_cases(dicom_source, tmp_path):
    """The volume in the table is the ball's, and so is the prepared label's, within voxels."""
    imported = run(dicom_source, tmp_path / "cohort")

    labelled = [one for one in imported.scans if one.mask is not MaskKind.NONE]
    assert [one.problem for one in imported.scans] == [""] * 4
    assert sorted(one.mask for one in labelled) == ["dicom_seg", "dicom_seg", "nifti"]
    for one in labelled:
        assert one.hematoma_ml == pytest.approx(BALL.volume_ml, rel=0.05)
        case = load_case(tmp_path / "cohort" / f"{one.scan_id}.npz")
        assert case.hematoma_ml == pytest.approx(BALL.volume_ml, rel=0.1)
        assert case.hu_zyx[case.label_zyx == 1].mean() == pytest.approx(65, abs=3)


def test_cards_can_say_which_equipment_made_the_scans(dicom_source, tmp_path):
    """Four scans of 5 mm by one maker and kernel; volumes are those that a model measured."""
    write_tables(tmp_path / "cohort", run(dicom_source, tmp_path / "cohort"))

    found = cohort_statistics([tmp_path / "cohort"], volumes_ml=[0.0, 10.0, 20.0])

    assert found is not None
    assert found.cohort == "cohort"
    assert {name: kinds.shares for name, kinds in found.traits.items()} == {
        Trait.THICKNESS: {"3.5-5.5 mm": 1.0},
        Trait.MANUFACTURER: {"SYNTHETIC": 1.0},
        Trait.KERNEL: {"H31S": 1.0},
    }
    assert found.measures[Measure.VOLUME].cases == 2


def test_files_without_header_say_nothing_of_equipment(nifti_source, tmp_path):
    """NIfTI has no place for maker and kernel; the thickness is that of the slices."""
    write_tables(tmp_path / "cohort", run(nifti_source, tmp_path / "cohort"))

    found = cohort_statistics([tmp_path / "cohort"], volumes_ml=[])

    assert found is not None
    assert set(found.traits) == {Trait.THICKNESS}
    assert cohort_statistics([tmp_path], volumes_ml=[]) is None


def test_a_scan_without_mask_is_kept_apart_with_nothing_known(dicom_source, tmp_path):
    """It lies in the folder for unlabelled scans and every voxel is ignored."""
    imported = run(dicom_source, tmp_path / "cohort")

    (bare,) = [one for one in imported.scans if one.mask is MaskKind.NONE]
    case = load_case(tmp_path / "cohort" / "unlabelled" / f"{bare.scan_id}.npz")
    assert (case.label_zyx == IGNORED).all()
    assert bare.scan_id not in {scan.case_id for scan in load_cohort(tmp_path / "cohort").scans}


def test_dates_decide_what_baseline_and_follow_up_are(dicom_source, tmp_path):
    """The earlier scan of a patient is the baseline, the other comes 24 h later."""
    imported = run(dicom_source, tmp_path / "cohort")

    twice = [one for one in imported.scans if one.mask is MaskKind.DICOM_SEG]
    told = {(one.time_point.value, one.hours_after_baseline) for one in twice}
    assert told == {("baseline", 0.0), ("follow_up", 24.0)}


def test_no_original_identifier_leaves_an_import(dicom_source, tmp_path):
    """Neither a file's name nor its bytes in the cohort show the source's patient or UID."""
    hidden = "SECRETPATIENT"
    save_series(series(hidden, seed=5, day="20260107"), dicom_source / "D")

    run(dicom_source, tmp_path / "cohort")

    for path in (tmp_path / "cohort").rglob("*"):
        assert hidden not in str(path.relative_to(tmp_path))
        if path.is_file():
            content = path.read_bytes()
            assert hidden.encode() not in content
            assert b"20260107" not in content


def test_the_same_salt_gives_the_same_pseudonyms_and_another_gives_others(dicom_source, tmp_path):
    """A site that keeps its salt can join cohorts."""
    one, same, other = (
        {scan.patient_id for scan in run(dicom_source, tmp_path / name, salt=salt).scans}
        for name, salt in (("one", "a"), ("two", "a"), ("three", "b"))
    )

    assert one == same
    assert not one & other


def test_an_import_prepares_only_what_is_new(dicom_source, tmp_path):
    """Files of unchanged scans keep their time stamp; a new patient is added."""
    run(dicom_source, tmp_path / "cohort")
    state = tmp_path / "cohort" / ".import"
    before = {path.name: path.stat().st_mtime_ns for path in state.glob("*.npz")}
    save_series(series("E", seed=6), dicom_source / "E")

    again = run(dicom_source, tmp_path / "cohort")

    assert len(again.scans) == 5
    after = {path.name: path.stat().st_mtime_ns for path in state.glob("*.npz")}
    assert {name: after[name] for name in before} == before


def test_seg_frames_are_laid_on_slices_by_position(tmp_path):
    """Highdicom left out empty frames and wrote them superior first; the mask comes out exact."""
    instances = series("A", seed=1)
    volume = read_ct_series(instances)
    save_seg(tmp_path / "seg.dcm", instances, blood(volume), labels=("Hematoma", "Oedema"))

    assert np.array_equal(read_mask_seg(tmp_path / "seg.dcm", volume), blood(volume))


def test_seg_of_segments_without_a_hematoma_is_refused_by_name(tmp_path):
    """Two segments, none called hematoma: the message lists both."""
    instances = series("A", seed=1)
    volume = read_ct_series(instances)
    save_seg(tmp_path / "seg.dcm", instances, blood(volume), labels=("Oedema", "Skull"))

    with pytest.raises(MaskError, match="Oedema, Skull"):
        read_mask_seg(tmp_path / "seg.dcm", volume)


def test_seg_beside_the_slices_is_refused(tmp_path):
    """A segmentation of a scan 20 mm away does not fit."""
    volume = read_ct_series(series("A", seed=1))
    moved = series("A", seed=1)
    for one in moved:
        x, y, z = (float(value) for value in one.ImagePositionPatient)
        one.ImagePositionPatient = [f"{x + 20:.6g}", f"{y:.6g}", f"{z:.6g}"]
    save_seg(tmp_path / "seg.dcm", moved, blood(volume))

    with pytest.raises(MaskError, match="pixels beside its slice"):
        read_mask_seg(tmp_path / "seg.dcm", volume)


@pytest.mark.parametrize("flips", [(), (0,), (1,), (0, 1, 2)])
def test_a_mask_in_another_storage_order_is_put_right(tmp_path, flips):
    """Axes stored the other way round, with the affine to say so, mean the same voxels."""
    volume = read_ct_series(series("A", seed=1))
    save_nifti(tmp_path / "mask.nii.gz", blood(volume), volume)
    image = nibabel.load(tmp_path / "mask.nii.gz")
    for axis in flips:
        turned = np.flip(np.asarray(image.dataobj), axis)
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
        affine[:3, axis] *= -1
        image = nibabel.Nifti1Image(turned, affine)
    nibabel.save(image, tmp_path / "turned.nii.gz")

    found = read_mask_nifti(tmp_path / "turned.nii.gz", volume, label=None)

    assert np.array_equal(found, blood(volume))


def test_masks_that_do_not_fit_are_told_apart(tmp_path):
    """Another matrix, another place, unclear values: each has its own words."""
    volume = read_ct_series(series("A", seed=1))
    truth = blood(volume)
    save_nifti(tmp_path / "small.nii.gz", truth[:-1], volume)
    save_nifti(tmp_path / "values.nii.gz", np.where(truth, 3, 2), volume)
    save_nifti(tmp_path / "place.nii.gz", truth, volume)
    image = nibabel.load(tmp_path / "place.nii.gz")
    affine = image.affine.copy()
    affine[0, 3] += 50
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), tmp_path / "place.nii.gz")

    for name, words in (
        ("small", "29 x 64 x 64 voxels, scan 30 x 64 x 64"),
        ("values", r"values \[2, 3\]"),
        ("place", "mm away"),
    ):
        with pytest.raises(MaskError, match=words):
            read_mask_nifti(tmp_path / f"{name}.nii.gz", volume, label=None)
    asked = read_mask_nifti(tmp_path / "values.nii.gz", volume, label=3)
    assert np.array_equal(asked, truth)


@pytest.fixture
def nifti_source(tmp_path) -> Path:
    """NIfTI scans of eight patients by name alone, and a mask without a scan; five faults."""
    root = tmp_path / "nifti"
    for index, patient in enumerate("abcdef"):
        volume = read_ct_series(series(patient, seed=index))
        save_nifti(root / patient / "baseline.nii.gz", volume.hu_zyx, volume)
        mask = blood(volume)
        if patient == "b":
            mask = mask[:-2]
        if patient == "c":
            mask[:] = False
        save_nifti(root / patient / "baseline_mask.nii.gz", mask, volume)
    volume = read_ct_series(series("a", seed=0))
    save_nifti(root / "g" / "scan.nii.gz", volume.hu_zyx, volume)  # the same voxels as a
    save_nifti(root / "h" / "lost-label.nii.gz", blood(volume), volume)
    thick = read_ct_series(series("i", seed=9, slices=20, spacing_mm=7.5))
    save_nifti(root / "i" / "scan.nii.gz", thick.hu_zyx, thick)
    save_nifti(root / "i" / "scan-label.nii.gz", blood(thick), thick)
    return root


def test_every_fault_has_its_own_criterion_and_count(nifti_source, tmp_path):
    """Of eight patients: one bad mask, one empty, one duplicate, one scan of thick slices."""
    imported = run(nifti_source, tmp_path / "cohort", keep_ids=True)

    excluded = {scan.split("-")[0]: why for scan, why in imported.verdict.excluded.items()}
    assert excluded == {
        "b": Criterion.BAD_MASK,
        "c": Criterion.EMPTY_MASK,
        "g": Criterion.DUPLICATE,
        "i": Criterion.THICK_SLICES,
    }
    assert [stray.reason for stray in imported.strays] == ["mask without a scan"]
    flow = flow_of(imported)
    assert (flow.found.patients, flow.included.patients) == (8, 4)
    assert sum(count.patients for count in flow.scan_exclusions) == 4


def test_the_command_writes_tables_counts_and_figure(nifti_source, tmp_path):
    """One row a scan in cohort.csv, one an exclusion, the tree printed, --strict fails."""
    output = tmp_path / "cohort"
    arguments = ["cohort", "import", str(nifti_source), "--output", str(output)]

    result = CliRunner().invoke(
        application(), [*arguments, "--spacing", "5,4,4", "--keep-ids", "--strict"]
    )

    assert result.exit_code == 1
    assert "4 masks or files do not fit" in result.output
    assert "slices thicker than 5 mm: 1 patient, 1 scan" in result.output
    with (output / "cohort.csv").open() as stream:
        rows = {row["patient_id"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 8
    assert rows["b"]["excluded"] == "bad_mask"
    assert float(rows["a"]["hematoma_ml"]) == pytest.approx(BALL.volume_ml, rel=0.05)
    parts = {rows[one]["part"] for one in "adef"}
    assert parts == {"train", "validation", "test"}
    with (output / "exclusions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 5
    assert (output / "flow.png").stat().st_size > 10_000


def test_a_split_with_a_patient_on_both_sides_is_refused(dicom_source, tmp_path):
    """Two scans of one patient may not be divided, whatever the file calls them."""
    first = run(dicom_source, tmp_path / "cohort")
    scans = [one for one in first.scans if one.mask is MaskKind.DICOM_SEG]
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [scans[0].scan_id], "validation": [scans[1].scan_id]}))

    with pytest.raises(ValueError, match="in train and in validation"):
        run(dicom_source, tmp_path / "cohort", split=path)


def test_a_split_by_original_identifiers_is_kept(dicom_source, tmp_path):
    """The operator writes what the hospital calls the patients."""
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["A"], "val": ["B"]}))

    run(dicom_source, tmp_path / "cohort", split=path)

    cohort = load_cohort(tmp_path / "cohort")
    assert len(cohort.part(Part.TRAIN)) == 2
    assert len(cohort.part(Part.VALIDATION)) == 1


def test_a_series_that_the_reader_refuses_is_listed_with_its_reason(tmp_path):
    """A stack of four slices is no head."""
    save_series(series("A", seed=1, slices=4), tmp_path / "source" / "A")

    imported = run(tmp_path / "source", tmp_path / "cohort")

    (only,) = imported.scans
    assert only.problem == Criterion.UNREADABLE
    assert "too_few_slices" in only.detail
    assert imported.included == ()


def test_of_two_series_of_a_visit_one_is_taken(tmp_path):
    """The 5 mm series stays, the thin one of the same study is a spare."""
    thick = series("A", seed=1, study_uid="1.2.3", series_number=2)
    thin = series("A", seed=2, study_uid="1.2.3", series_number=3, slices=60, spacing_mm=2.5)
    save_series(thick, tmp_path / "source" / "A" / "thick")
    save_series(thin, tmp_path / "source" / "A" / "thin")

    imported = run(tmp_path / "source", tmp_path / "cohort")

    assert {one.slices: one.problem for one in imported.scans} == {30: "", 60: "other_series"}


def test_a_source_without_scans_is_refused(tmp_path):
    """An empty folder is no cohort."""
    with pytest.raises(ValueError, match="neither DICOM nor NIfTI"):
        run(tmp_path, tmp_path / "cohort")
