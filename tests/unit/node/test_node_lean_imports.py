"""What a receiver has in its memory: no decoder of pixels, no arrays."""

import subprocess
import sys

_PROGRAM = """
import sys
from dicom_node.bootstrap.lean_imports import leave_decoders_out
leave_decoders_out()
import dicom_node.commands.serve
import dicom_node.bootstrap.audit, dicom_node.bootstrap.receiver_report
import dicom_node.intake.counted, dicom_node.intake.custody, dicom_node.intake.recorder
import dicom_node.jobs.timetable
from dicom_node.bootstrap.receiver import LiveListeners
print(sorted(name for name in ("gdcm", "numpy", "PIL", "pylibjpeg") if sys.modules.get(name)))
"""


def test_a_receiver_can_do_without_decoders():
    """All that it is made of can be imported, and pydicom brings none of them along."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
