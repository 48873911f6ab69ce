"""From a data set to the file that is stored and sent."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.jobs.task import ObjectKind, ResultObject


def encoded(kind: ObjectKind, result: Dataset) -> ResultObject:
    """Return a result object as the file that is stored and sent."""
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return ResultObject(
        kind=kind,
        sop_class_uid=str(result.SOPClassUID),
        sop_instance_uid=str(result.SOPInstanceUID),
        series_instance_uid=str(result.SeriesInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        encoded=buffer.getvalue(),
    )
