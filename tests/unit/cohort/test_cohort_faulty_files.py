"""Claims about damaged files in the source of a cohort: named, counted, never in the way."""

import gzip
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cohort_builder import blood, run, save_nifti, save_seg, series
from ct_builder import save_series

from pipeline.ct_series import read_ct_series
from training.cohort.intake.criteria import Criterion
from training.cohort.intake.found_scan import MaskError
from training.cohort.intake.mask_nifti import read_mask_nifti
from training.cohort.intake.mask_seg import read_mask_seg


def cut(path: Path, share: float) -> None:
    """Leave only the beginning of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.fixture
def volume():
    return read_ct_series(series("A", seed=1))


@pytest.mark.parametrize("damage", ["cut", "text", "cut inside", "flat"])
def test_a_damaged_nifti_mask_is_refused_as_a_mask(tmp_path, volume, damage):
    """Half a gzip stream, a text, half the voxels, a picture of two axes: one kind of error."""
    path = tmp_path / ("mask.nii" if damage == "cut inside" else "mask.nii.gz")
    save_nifti(path, blood(volume), volume)
    if damage == "text":
        path.write_bytes(gzip.compress(b"no image, but a text" * 100))
    elif damage == "flat":
        save_nifti(path, blood(volume), volume)
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[40:42] = (2).to_bytes(2, "little")  # the number of axes, NIfTI-1 header
        path.write_bytes(gzip.compress(bytes(content)))
    else:
        cut(path, 0.5)

    with pytest.raises(MaskError, match="mask cannot be read"):
        read_mask_nifti(path, volume, label=None)


@pytest.mark.parametrize(
    "missing",
    [
        "PerFrameFunctionalGroupsSequence",
        "PixelData",
        "SegmentSequence",
        "SharedFunctionalGroupsSequence",
        "Rows",
    ],
)
def test_a_seg_without_a_needed_attribute_is_refused_as_a_mask(tmp_path, volume, missing):
    """Whatever is taken away, the import hears of an unfit mask and not of a broken program."""
    path = tmp_path / "seg.dcm"
    save_seg(path, series("A", seed=1), blood(volume))
    seg = pydicom.dcmread(path)
    delattr(seg, missing)
    seg.save_as(path)

    with pytest.raises(MaskError, match=r"segmentation|segments"):
        read_mask_seg(path, volume)


def test_damaged_files_are_listed_and_the_others_imported(tmp_path):
    """A cut slice and a cut scan are unreadable scans; a cut mask is bad; a lost SEG is stray."""
    source = tmp_path / "source"
    good = series("A", seed=1)
    save_series(good, source / "A")
    volume = read_ct_series(good)
    save_seg(source / "A" / "seg.dcm", good, blood(volume))
    save_series(series("B", seed=2), source / "B")
    cut(sorted((source / "B").iterdir())[3], 0.6)
    save_nifti(source / "C" / "scan.nii.gz", volume.hu_zyx, volume)
    cut(source / "C" / "scan.nii.gz", 0.4)
    save_nifti(source / "D" / "scan.nii.gz", volume.hu_zyx + np.int16(1), volume)
    save_nifti(source / "D" / "scan-label.nii.gz", blood(volume), volume)
    cut(source / "D" / "scan-label.nii.gz", 0.4)
    lost = pydicom.dcmread(source / "A" / "seg.dcm")
    del lost.ReferencedSeriesSequence
    lost.save_as(source / "lost.dcm")
    (source / "note.dcm").write_bytes(bytes(128) + b"DICM" + b"no data set")

    imported = run(source, tmp_path / "cohort", keep_ids=True)

    problems = {one.patient_id: one.problem for one in imported.scans}
    assert problems == {
        "A": "",
        "B": Criterion.UNREADABLE,
        "C": Criterion.UNREADABLE,
        "D": Criterion.BAD_MASK,
    }
    assert {(stray.where, stray.reason) for stray in imported.strays} == {
        ("lost.dcm", "mask without a scan"),
        ("note.dcm", "unreadable DICOM file"),
    }
    assert [one.patient_id for one in imported.included] == ["A"]
