"""A folder of DICOM files, as a person hands it over."""

from collections.abc import Iterator
from pathlib import Path

from dicom_node.operator_error import ExitCode, OperatorError

_PREFIX_AT = 128
_PREFIX = b"DICM"

#: Index of a DICOM medium: no image, but a Part 10 file (PS3.10, section 8.6).
_INDEX_NAME = "DICOMDIR"


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files below a folder, sorted by path.

    A file counts if it has the prefix of PS3.10, section 7.1. The index of a medium is left out.

    Raises
    ------
    OperatorError
        If there is no such folder, or no DICOM file in it.
    """
    if not folder.exists():
        raise OperatorError(f"{folder} does not exist", exit_code=ExitCode.USAGE)
    if not folder.is_dir():
        raise OperatorError(
            f"{folder} is a file; a folder with DICOM files is needed", exit_code=ExitCode.USAGE
        )
    files = sorted(_dicom_files(folder))
    if not files:
        count = sum(path.is_file() for path in folder.rglob("*"))
        raise OperatorError(
            f"{folder} holds no DICOM file ({count} other files)", exit_code=ExitCode.USAGE
        )
    return files


def _dicom_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.upper() == _INDEX_NAME:
            continue
        with path.open("rb") as stream:
            if stream.read(_PREFIX_AT + len(_PREFIX))[_PREFIX_AT:] == _PREFIX:
                yield path
