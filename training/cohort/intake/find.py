"""Everything that a source folder holds, DICOM and NIfTI alike."""

from collections.abc import Callable
from pathlib import Path

from training.cohort.intake.dicom_tree import dicom_files, find_dicom_scans
from training.cohort.intake.found_scan import Findings
from training.cohort.intake.nifti_tree import find_nifti_scans, is_mask, nifti_files


def find_scans(root: Path, *, label: int | None, on_file: Callable[[], None]) -> Findings:
    """Return the scans below a folder with their masks, and files that belong to none.

    Files and folders whose name begins with a dot are left alone: copies of an operating
    system, and what a program is still writing.

    Parameters
    ----------
    root : Path
        The source.
    label : int or None
        Value of hematoma in NIfTI masks; None takes the only one, or 1 of several.
    on_file : callable
        Told after each DICOM file.

    Raises
    ------
    ValueError
        If there is no such folder, or no scan in it.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is no folder")
    dicom = [path for path in dicom_files(root) if not _is_hidden(path, root)]
    nifti = [path for path in nifti_files(root) if not _is_hidden(path, root)]
    homes = {path.parent for path in dicom}
    drawn = [path for path in nifti if _belongs_to_dicom(path, root, homes)]
    plain = [path for path in nifti if path not in set(drawn)]
    from_nifti = find_nifti_scans(root, plain, label=label)
    from_dicom = find_dicom_scans(root, dicom, drawn, label=label, on_file=on_file)
    scans = (*from_dicom.scans, *from_nifti.scans)
    if not scans:
        raise ValueError(
            f"{root} holds neither DICOM nor NIfTI scans "
            f"({len(dicom)} DICOM and {len(nifti)} NIfTI files were looked at)"
        )
    return Findings(scans=scans, strays=(*from_dicom.strays, *from_nifti.strays))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _belongs_to_dicom(path: Path, root: Path, homes: set[Path]) -> bool:
    """Return whether a NIfTI file is a mask of a DICOM series: in its folder or beside it."""
    if path.parent in homes:
        return True
    beside = any(
        home.parent == path.parent and path.name.lower().startswith(home.name.lower())
        for home in homes
    )
    return beside and is_mask(path, root)
