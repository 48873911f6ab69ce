"""What is committed: contracts kept, generated papers current, nobody's machine in a file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Paths that exist on one machine only.
_FOREIGN = re.compile(r"/(?:home|Users)/[a-z]\w*/|/root/|/work/|/tmp/w/|C:\\\\Users")


def tracked_files():
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_file_names_a_path_of_somebodys_machine():
    """A checkout works anywhere."""
    found = []
    for path in tracked_files():
        if not path.is_file() or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if _FOREIGN.search(text):
            found.append(str(path.relative_to(ROOT)))

    assert found == []


def test_the_conformance_statement_is_current():
    """The committed file is what the tables say; ``make conformance`` writes it."""
    from dicom_node.conformance.statement import conformance_statement

    committed = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")

    assert committed == conformance_statement()


def test_the_import_contracts_hold():
    """Who may know whom, as ``setup.cfg`` says."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_reason_and_flag_is_in_the_operation_manual():
    """A person can look up whatever the node says."""
    from dicom_node.jobs.state import DeliveryState, JobState, SeriesState
    from pipeline.quality_flags import QualityFlag
    from pipeline.rejection import RejectionCode

    manual = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")

    for enum in (RejectionCode, QualityFlag, SeriesState, JobState, DeliveryState):
        for member in enum:
            assert f"`{member.value}`" in manual, member


def test_every_refusal_is_in_the_security_manual():
    """Whoever is turned away can be told why."""
    from dicom_node.association.refusals import RefusalKind

    manual = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

    for kind in RefusalKind:
        assert f"| `{kind.value}` |" in manual, kind
