"""One Implementation Class UID, whatever the node writes or says."""

from pathlib import Path

from dicom_node.association.file_format import IMPLEMENTATION_CLASS_UID

ROOT = Path(__file__).parents[3] / "dicom_node"


def test_software_has_one_implementation_class_uid():
    """It identifies the software (PS3.7, D.3.3.2): files, results and associations agree."""
    places = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*.py"))
        if "2.25.2750252815398" in path.read_text()
        or "IMPLEMENTATION_CLASS_UID =" in path.read_text()
    ]

    assert places == ["association/file_format.py"]
    assert IMPLEMENTATION_CLASS_UID.startswith("2.25.")
