"""Heads to be analysed: a simulated patient with a hematoma, again and again under new UIDs."""

import subprocess
import sys
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

ROOT = Path(__file__).parents[2]

#: Slice thickness in mm that gives about so many slices of a head.
THICKNESS_MM = {30: 5.0, 300: 0.5}


def template(folder: Path, slices: int) -> list[Path]:
    """Return the files of one simulated series, made if absent; 300 slices take a while."""
    place = folder / f"head-{slices}"
    if not place.exists():
        making = folder / f"making-{slices}"
        subprocess.run(
            [
                *(sys.executable, "-m", "training", "phantom", "--patients", "1", "--seed", "77"),
                *("--no-follow-up", "--format", "dicom", "--tilt", "0", "--output", str(making)),
                *("--slice-thickness", str(THICKNESS_MM[slices])),
            ],
            check=True,
            capture_output=True,
            cwd=ROOT,
        )
        making.rename(place)
    return sorted(place.rglob("*.dcm"))


def copy_of(files: list[Path], folder: Path) -> tuple[str, list[Path]]:
    """Write a series as one of another patient; return its UID and files."""
    folder.mkdir(parents=True)
    study, series, frame, patient = (generate_uid() for _ in range(4))
    written = []
    for path in files:
        ds = pydicom.dcmread(path)
        ds.PatientID = ds.PatientName = str(patient)[-16:]
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        written.append(folder / path.name)
        ds.save_as(written[-1], enforce_file_format=True)
    return str(series), written
