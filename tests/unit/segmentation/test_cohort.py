"""Cases, splits, and the imports of cohorts."""

import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from training.cohort.case import IGNORED, Case, load_case, save_case
from training.cohort.nifti import read_nifti
from training.cohort.phe_sich import LabelRules, estimate_pixel_mm, pseudo_label, read_patient
from training.cohort.prepared import pending_cases
from training.cohort.simulated import read_scans
from training.cohort.split import divide, in_validation


def skull_stack(slices: int = 7, *, pixel_mm: float = 0.5) -> np.ndarray:
    """Slices with a ring of bone, 150 x 186 mm outside, 7 mm thick, brain at 30 HU inside."""
    y, x = np.mgrid[0:512, 0:512] - 255.5
    y, x = y * pixel_mm, x * pixel_mm
    outer = np.hypot(x / 75, y / 93)
    inner = np.hypot(x / 68, y / 86)
    plane = np.where(outer <= 1, 100.0, -20.0)
    plane = np.where(inner <= 1, 30.0, plane)
    return np.repeat(plane[None].astype(np.float32), slices, axis=0)


def disc(centre_yx, radius_px) -> np.ndarray:
    y, x = np.mgrid[0:512, 0:512]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) <= radius_px


def test_case_survives_the_round_trip(tmp_path):
    """A case is read as it was written."""
    case = Case(
        case_id="a-1",
        patient_id="a",
        source="toy",
        hu_zyx=np.arange(24, dtype=np.int16).reshape(2, 3, 4),
        label_zyx=np.ones((2, 3, 4), dtype=np.uint8),
        spacing_zyx_mm=(5.0, 0.5, 0.5),
    )

    read = load_case(save_case(tmp_path, case))

    np.testing.assert_array_equal(read.hu_zyx, case.hu_zyx)
    assert (read.case_id, read.patient_id, read.spacing_zyx_mm) == ("a-1", "a", (5.0, 0.5, 0.5))
    assert read.hematoma_ml == pytest.approx(24 * 1.25 / 1000)


def test_scans_of_a_patient_stay_together():
    """Whatever the order and number of scans, a patient is on one side only."""
    scans = [(f"p{i % 40}", i) for i in range(200)]

    training, validation = divide(scans, patient_of=lambda scan: scan[0], fraction=0.25)

    assert {p for p, _ in training}.isdisjoint({p for p, _ in validation})
    assert len(training) + len(validation) == 200


def test_nobody_changes_sides_when_the_cohort_grows():
    """The side is a function of the identifier alone; about the wanted share is held out."""
    held_out = [in_validation(f"patient-{i}", fraction=0.2) for i in range(2000)]

    assert 0.17 < np.mean(held_out) < 0.23
    assert in_validation("patient-7", fraction=0.2) == held_out[7]


def test_impossible_fraction_is_refused():
    """A share lies between nothing and everything."""
    with pytest.raises(ValueError, match=r"1\.2"):
        in_validation("a", fraction=1.2)


def test_pixel_size_follows_from_the_size_of_the_skull():
    """A skull drawn at 0.5 mm is measured at 0.5 mm."""
    assert estimate_pixel_mm(skull_stack()) == pytest.approx(0.5, rel=0.02)


def test_stack_without_skull_is_refused():
    """Without bone there is no scale."""
    with pytest.raises(ValueError, match="skull"):
        estimate_pixel_mm(np.full((3, 64, 64), 30, dtype=np.float32))


def test_bright_core_beside_the_oedema_becomes_the_label():
    """A disc of blood with a rim of drawn oedema is labelled, other blood is ignored."""
    hu = skull_stack()
    oedema = np.zeros(hu.shape, dtype=bool)
    for z in (2, 3, 4):
        hu[z][disc((250, 200), 20)] = 65
        oedema[z] = disc((250, 200), 26) & ~disc((250, 200), 20)
        hu[z][disc((250, 330), 12)] = 65
    rng = np.random.default_rng(0)
    hu += rng.normal(0, 3, hu.shape).astype(np.float32) * (hu > 0) * (hu < 90)

    label = pseudo_label(hu, oedema, pixel_mm=0.5, rules=LabelRules())

    truth = disc((250, 200), 20)
    core = label[3] == 1
    assert 2 * (core & truth).sum() / (core.sum() + truth.sum()) > 0.93
    assert (label[3][disc((250, 330), 8)] == IGNORED).all()
    assert (label[0] == 0).all()


def test_sideways_pictures_are_turned_nose_up(tmp_path):
    """The source shows the nose to the left; a mark there ends up at the top."""
    folder = tmp_path / "0001"
    folder.mkdir()
    for index, plane in enumerate(skull_stack(3)):
        grey = ((plane + 20) / 120 * 255).astype(np.uint8)
        nose_left = np.rot90(grey, 1)
        nose_left[240:270, 110:130] = 180  # about 65 HU, in the front of the brain
        Image.fromarray(nose_left).save(folder / f"{index:02d}.webp", lossless=True)

    case = read_patient(folder)

    bright = (case.hu_zyx[1] > 60) & (case.hu_zyx[1] < 70)
    mark = np.argwhere(ndimage.binary_erosion(bright, iterations=4))
    assert mark[:, 0].max() < case.hu_zyx.shape[1] * 0.25
    assert case.spacing_zyx_mm == (5.0, 0.5, 0.5)


def write_simulated(folder, *, sheared: bool = False) -> None:
    folder.mkdir(parents=True)
    affine = np.diag([-0.5, -0.5, 5.0, 1.0])
    if sheared:
        affine[1, 2] = -1.5
    hu = np.full((60, 80, 6), 30, dtype=np.int16)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[20:40, 30:50, 2:4] = 1
    labels[0:10, 0:10, :] = 3
    for name, values in (("baseline", hu), ("baseline_labels", labels)):
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"{name}.nii.gz")
    (folder / "patient.json").write_text("{}")


def test_sheared_nifti_keeps_the_offset_of_each_slice(tmp_path):
    """RAS -1.5 mm per slice along y is LPS +1.5 mm."""
    write_simulated(tmp_path / "SIM0001", sheared=True)

    values, grid = read_nifti(tmp_path / "SIM0001" / "baseline.nii.gz")

    assert values.shape == (6, 80, 60)
    np.testing.assert_allclose(grid.slice_origins_lps_mm[2], (0.0, 3.0, 10.0))
    assert grid.row_cosine_lps == (1.0, 0.0, 0.0)


def test_only_the_intracerebral_label_of_a_simulated_head_counts(tmp_path):
    """2 slices of 20 x 20 pixels of 0.25 mm2 at 5 mm are 1 mL; extra-axial blood is not."""
    write_simulated(tmp_path / "cohort" / "SIM0001")

    (case,) = read_scans(tmp_path / "cohort" / "SIM0001", (5.0, 0.5, 0.5))

    assert case.hematoma_ml == pytest.approx(1.0, rel=0.05)
    assert case.patient_id == "cohort-SIM0001"


def test_prepared_patients_are_not_prepared_again(tmp_path):
    """A second call finds only what is new."""
    write_simulated(tmp_path / "cohort" / "SIM0001")
    (pending,) = pending_cases(tmp_path / "cohort", tmp_path / "out")
    for case in pending.read():
        save_case(tmp_path / "out", case)
    write_simulated(tmp_path / "cohort" / "SIM0002")

    again = list(pending_cases(tmp_path / "cohort", tmp_path / "out"))

    assert [item.patient_id for item in again] == ["cohort-SIM0002"]


def test_folder_of_nothing_known_is_refused(tmp_path):
    """A folder without patients is named."""
    with pytest.raises(ValueError, match="neither"):
        list(pending_cases(tmp_path, tmp_path / "out"))
