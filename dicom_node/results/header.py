"""What every object of a result set carries: patient, equipment, times, character set."""

from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Final, Protocol

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.results import codes, wording
from dicom_node.results.context import ResultContext
from dicom_node.results.identity import ModelIdentity, model_device_uid
from dicom_node.results.patient_study import patient_and_study

#: UTF-8: holds every patient's name and every comment.
CHARACTER_SET: Final = "ISO_IR 192"
#: Longest SH, LO value (PS3.5, section 6.2).
_LONG_STRING: Final = 64
#: What is said of the scanner, where the source says it (PS3.3, C.12.1, table C.12-1).
_SCANNER: Final = (
    "ManufacturerModelName",
    "SoftwareVersions",
    "DeviceSerialNumber",
    "StationName",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
)

#: What each of a context's models does, in their order.
_MODEL_TASKS: Final = (
    "Segmentation of the hematoma",
    "Prediction of expansion",
    "Forecast of the hematoma at follow-up",
)


class OfSource(Protocol):
    """A series that a result is about; `SourceSeries`, or one that was not read as a volume."""

    @property
    def header(self) -> Dataset:
        """One of its instances, without pixel data; not to be changed."""


def stamp(
    result: Dataset,
    *,
    source: OfSource,
    context: ResultContext,
    series_number: int,
    series_description: str,
) -> None:
    """Write into `result` what all objects of one result set have in common.

    The library that builds some objects writes the present time and leaves out some of what
    it could copy; after this every object of a set agrees, and a repeat is byte-identical.
    """
    result.SpecificCharacterSet = CHARACTER_SET
    result.update(patient_and_study(source.header))
    result.SeriesNumber = series_number
    result.SeriesDescription = series_description
    result.Manufacturer = context.manufacturer
    result.ManufacturerModelName = context.model_name
    result.DeviceSerialNumber = context.device_serial_number
    result.SoftwareVersions = list(context.software_versions)
    now = _local(context.now, source.header)
    for prefix in ("Content", "Series", "InstanceCreation"):
        setattr(result, f"{prefix}Date", f"{now:%Y%m%d}")
        setattr(result, f"{prefix}Time", f"{now:%H%M%S}")
    result.ContributingEquipmentSequence = _contributing_equipment(source, context)
    result.CodingSchemeIdentificationSequence = [_coding_scheme()]
    _stamp_file_meta(result)


def coded(code: Code) -> Dataset:
    """Return an item of a code sequence (PS3.3, section 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _local(now: datetime, header: Dataset) -> datetime:
    """Return `now` in the time zone that the study declares, else as given.

    Timezone Offset From UTC holds for all times of an object, the study's among them.
    """
    offset = str(header.get("TimezoneOffsetFromUTC") or "")
    try:
        parsed = datetime.strptime(offset, "%z")
    except ValueError:
        return now
    return now.astimezone(timezone(parsed.utcoffset() or timedelta()))


def _contributing_equipment(source: OfSource, context: ResultContext) -> list[Dataset]:
    """Return the scanner, the node and all models (IHE AIR lists every algorithm)."""
    scanner = _equipment(
        codes.ACQUISITION_EQUIPMENT,
        manufacturer=str(source.header.get("Manufacturer") or "UNKNOWN"),
        description="Acquisition equipment of the source images",
    )
    for keyword in _SCANNER:
        if source.header.get(keyword):
            scanner[keyword] = deepcopy(source.header[keyword])
    node = _equipment(
        codes.PROCESSING_EQUIPMENT,
        manufacturer=context.manufacturer,
        description=f"Analysis of the source images. {wording.RESEARCH_STATEMENT}",
    )
    node.ManufacturerModelName = context.model_name
    node.SoftwareVersions = list(context.software_versions)
    node.DeviceSerialNumber = context.device_serial_number
    node.DeviceUID = context.observer_uid
    node.ContributionDateTime = f"{context.now:%Y%m%d%H%M%S%z}"
    return [
        scanner,
        node,
        *(
            _model_equipment(context, model, task)
            for model, task in zip(context.models, _MODEL_TASKS, strict=False)
        ),
    ]


def _model_equipment(context: ResultContext, model: ModelIdentity, task: str) -> Dataset:
    item = _equipment(
        codes.PROCESSING_EQUIPMENT, manufacturer=context.manufacturer, description=task
    )
    item.ManufacturerModelName = model.name[:_LONG_STRING]
    item.SoftwareVersions = model.version[:_LONG_STRING]
    item.DeviceUID = model_device_uid(model)
    return item


def _equipment(purpose: Code, *, manufacturer: str, description: str) -> Dataset:
    item = Dataset()
    item.Manufacturer = manufacturer
    item.ContributionDescription = description
    item.PurposeOfReferenceCodeSequence = [coded(purpose)]
    return item


def _coding_scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = codes.PRIVATE_SCHEME
    item.CodingSchemeUID = codes.PRIVATE_SCHEME_UID
    item.CodingSchemeName = codes.PRIVATE_SCHEME_NAME
    item.CodingSchemeVersion = codes.PRIVATE_SCHEME_VERSION
    item.CodingSchemeResponsibleOrganization = codes.PRIVATE_SCHEME_ORGANIZATION
    return item


def _stamp_file_meta(result: Dataset) -> None:
    file_meta = FileMetaDataset()
    file_meta.FileMetaInformationVersion = b"\x00\x01"
    file_meta.MediaStorageSOPClassUID = result.SOPClassUID
    file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    result.file_meta = file_meta
