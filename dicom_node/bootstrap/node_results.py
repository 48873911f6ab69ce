"""Pictures and objects of results for the pages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dicom_node.bootstrap.layout import KEY_SLICE_NAME, DataLayout
from dicom_node.errors import UnaskablePatientError
from dicom_node.jobs.holdings import Holdings
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.task import ObjectKind
from dicom_node.results.errors import ResultError
from dicom_node.web.source import KeyImage, ResultFile
from dicom_node.web.words import CAPTURE, LARGEST_SLICE

#: Names of single images in addresses.
_LARGEST: Final = "largest"
_CAPTURE: Final = "capture-"


class NodeResults:
    """Pictures and objects of results, as they lie in the data directory.

    Parameters
    ----------
    ledger, layout
        Of the node.
    """

    def __init__(self, ledger: Ledger, layout: DataLayout) -> None:
        self._ledger = ledger
        self._holdings = Holdings(ledger.database)
        self._layout = layout

    def picture(self, job_id: int) -> Path | None:
        """Return the summary picture of an analysis or comparison, None if there is none."""
        return self._layout.picture(job_id)

    def objects(self, job_id: int) -> Sequence[ResultFile]:
        """Return the result objects of a job, in the order they are sent."""
        found = []
        for one in self._ledger.reports.objects(job_id):
            path = self._layout.outbox / one.path
            found.append(
                ResultFile(
                    kind=one.kind,
                    sop_class_uid=one.sop_class_uid,
                    sop_instance_uid=one.sop_instance_uid,
                    path=path,
                    is_here=path.is_file(),
                )
            )
        return found

    def key_images(self, job_id: int) -> Sequence[KeyImage]:
        """Return the single images of a job: the largest slice, then its captures."""
        from dicom_node.results.capture_view import what_is_shown

        found = []
        if self._key_slice(job_id).is_file():
            found.append(KeyImage(name=_LARGEST, shows=LARGEST_SLICE, is_here=True))
        for number, one in enumerate(self._captures(job_id), start=1):
            shows = what_is_shown(one.path) if one.is_here else ""
            name = f"{_CAPTURE}{number}"
            found.append(KeyImage(name=name, shows=shows or CAPTURE, is_here=one.is_here))
        return found

    def key_picture(self, job_id: int, name: str) -> bytes | None:
        """Return a single image as PNG, None if there is none or it was purged."""
        from dicom_node.results.capture_view import capture_png

        try:
            if name == _LARGEST:
                return self._key_slice(job_id).read_bytes()
            for number, one in enumerate(self._captures(job_id), start=1):
                if name == f"{_CAPTURE}{number}":
                    return capture_png(one.path)
        except (OSError, ResultError):
            return None
        return None

    def _key_slice(self, job_id: int) -> Path:
        return self._layout.summary(job_id) / KEY_SLICE_NAME

    def _captures(self, job_id: int) -> Sequence[ResultFile]:
        return [one for one in self.objects(job_id) if one.kind == ObjectKind.CAPTURE]

    def patient_id(self, study_instance_uid: str) -> str:
        """Return the Patient ID of a study as an image says it; empty if none can be read."""
        from dicom_node.intake.patient_identity import read_patient_identity

        image = self._holdings.image_of_study(study_instance_uid)
        if image is None:
            return ""
        try:
            return read_patient_identity(self._layout.spool / image).patient_id
        except UnaskablePatientError:
            return ""
