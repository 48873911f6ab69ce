"""Simulated scans as DICOM CT series (CT Image Storage, PS3.3, section A.3)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from training.phantom.identifiers import simulated_uid
from training.phantom.patient import SimulatedPatient, SimulatedScan

#: Said in every object, so that nobody takes it for a patient's.
SIMULATED_NOTICE = "SIMULATED image, no patient; not for diagnosis; research use only"

#: HU of stored value 0: what 12-bit scanners use.
_INTERCEPT = -1024

#: The day on which every simulated patient falls ill.
_ONSET = datetime(2001, 1, 1, 8, 0, 0, tzinfo=UTC)

_IMPLEMENTATION_UID = UID(simulated_uid("implementation"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesIdentity:
    """Who and what a series is, all derived from seed and number.

    Attributes
    ----------
    patient_id, patient_name, sex, age_years
        The patient: ``SIM0001`` and ``SIMULATED^PATIENT 0001``.
    study_uid, series_uid, frame_of_reference_uid : str
        Unique identifiers.
    acquired : datetime
        Time of the scan.
    description : str
        Series description; says that the data are simulated.
    institution, manufacturer, model, kernel : str
        Where the scan was taken, and with what.
    """

    patient_id: str
    patient_name: str
    sex: str
    age_years: int
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    acquired: datetime
    description: str
    institution: str = "SIMULATED"
    manufacturer: str = "ichnode"
    model: str = "Simulated scanner"
    kernel: str = "SOFT"


def series_identity(patient: SimulatedPatient, name: str) -> SeriesIdentity:
    """Return the identity of a patient's scan; `name` is ``baseline`` or ``follow_up``."""
    scan = patient.baseline if name == "baseline" else patient.follow_up
    if scan is None:
        raise ValueError(f"Patient {patient.patient_id} has no scan {name}")
    key: tuple[str | int, ...] = (patient.seed, patient.index, patient.anatomy_name, name)
    identity = _plain_identity(patient, scan, key, name)
    if patient.course is None:
        return identity
    centre = patient.course.centre
    key = (*key, centre.name)
    return replace(
        identity,
        study_uid=simulated_uid(*key, "study"),
        series_uid=simulated_uid(*key, "series"),
        institution=f"SIMULATED {centre.name}",
        manufacturer=centre.manufacturer,
        model=centre.model,
        kernel=centre.kernel,
    )


def _plain_identity(
    patient: SimulatedPatient, scan: SimulatedScan, key: tuple[str | int, ...], name: str
) -> SeriesIdentity:
    return SeriesIdentity(
        patient_id=patient.patient_id,
        patient_name=f"SIMULATED^PATIENT {patient.index:04d}",
        sex="M" if patient.traits.is_male else "F",
        age_years=patient.traits.age_years,
        study_uid=simulated_uid(*key, "study"),
        series_uid=simulated_uid(*key, "series"),
        frame_of_reference_uid=scan.volume.grid.frame_of_reference_uid,
        acquired=_ONSET + timedelta(hours=scan.hours_from_onset),
        description=f"SIMULATED HEAD {scan.protocol.slice_thickness_mm:g} mm {name}",
    )


def write_dicom_series(
    scan: SimulatedScan, folder: Path, *, identity: SeriesIdentity
) -> tuple[Path, ...]:
    """Write one file per slice (``IM0001.dcm`` is the lowest) and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, data_set in enumerate(dicom_instances(scan, identity=identity), start=1):
        path = folder / f"IM{number:04d}.dcm"
        data_set.save_as(path, enforce_file_format=True)
        paths.append(path)
    return tuple(paths)


def dicom_instances(scan: SimulatedScan, *, identity: SeriesIdentity) -> Iterator[FileDataset]:
    """Yield the CT images of a scan, from the lowest slice upwards."""
    for index in range(scan.volume.grid.shape_zyx[0]):
        uid = UID(simulated_uid(identity.series_uid, index))
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = _IMPLEMENTATION_UID
        data_set = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data_set.SOPClassUID = CTImageStorage
        data_set.SOPInstanceUID = uid
        _describe_patient_and_study(data_set, identity)
        _describe_series(data_set, identity)
        _describe_geometry(data_set, scan, index)
        _describe_acquisition(data_set, scan, identity)
        _set_pixels(data_set, scan, index)
        yield data_set


def _describe_patient_and_study(data_set: Dataset, identity: SeriesIdentity) -> None:
    """Set the Patient and General Study modules (PS3.3, sections C.7.1.1 and C.7.2.1)."""
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.PatientName = identity.patient_name
    data_set.PatientID = identity.patient_id
    data_set.PatientBirthDate = ""
    data_set.PatientSex = identity.sex
    data_set.PatientAge = f"{identity.age_years:03d}Y"
    data_set.PatientComments = SIMULATED_NOTICE
    data_set.StudyInstanceUID = identity.study_uid
    data_set.StudyID = identity.patient_id
    data_set.StudyDescription = "SIMULATED HEAD CT"
    data_set.AccessionNumber = ""
    data_set.ReferringPhysicianName = ""
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(data_set, f"{name}Date", identity.acquired.strftime("%Y%m%d"))
        setattr(data_set, f"{name}Time", identity.acquired.strftime("%H%M%S"))


def _describe_series(data_set: Dataset, identity: SeriesIdentity) -> None:
    """Set General Series, Frame of Reference and General Equipment (C.7.3.1, C.7.4.1, C.7.5.1)."""
    data_set.Modality = "CT"
    data_set.SeriesInstanceUID = identity.series_uid
    data_set.SeriesNumber = 2
    data_set.SeriesDescription = identity.description
    data_set.ProtocolName = "SIMULATED HEAD"
    data_set.BodyPartExamined = "HEAD"
    data_set.PatientPosition = "HFS"
    data_set.FrameOfReferenceUID = identity.frame_of_reference_uid
    data_set.PositionReferenceIndicator = ""
    data_set.Manufacturer = identity.manufacturer
    data_set.ManufacturerModelName = identity.model
    data_set.DeviceSerialNumber = "0"
    data_set.SoftwareVersions = "phantom 1"
    data_set.StationName = "SIMULATED"
    data_set.InstitutionName = identity.institution


def _describe_geometry(data_set: Dataset, scan: SimulatedScan, index: int) -> None:
    """Set Image Plane and what tells slices apart (PS3.3, section C.7.6.2)."""
    grid = scan.volume.grid
    data_set.InstanceNumber = index + 1
    data_set.AcquisitionNumber = 1
    data_set.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data_set.ImageComments = SIMULATED_NOTICE
    data_set.PixelSpacing = [_decimal(step) for step in grid.pixel_spacing_yx_mm]
    data_set.ImageOrientationPatient = [
        _decimal(part) for part in (*grid.row_cosine_lps, *grid.column_cosine_lps)
    ]
    origin = grid.slice_origins_lps_mm[index]
    data_set.ImagePositionPatient = [_decimal(part) for part in origin]
    data_set.SliceThickness = _decimal(scan.protocol.slice_thickness_mm)
    # Where the slice crosses the middle of the table, which the tilt does not move.
    data_set.SliceLocation = _decimal(
        scan.protocol.first_mm + index * scan.protocol.slice_thickness_mm
    )


def _describe_acquisition(
    data_set: Dataset, scan: SimulatedScan, identity: SeriesIdentity
) -> None:
    """Set the CT Image module (PS3.3, section C.8.2.1)."""
    field_mm = scan.protocol.pixel_mm * scan.volume.grid.shape_zyx[2]
    data_set.AcquisitionDateTime = identity.acquired.strftime("%Y%m%d%H%M%S")
    data_set.KVP = "120"
    data_set.ScanOptions = "AXIAL MODE"
    data_set.DataCollectionDiameter = "250"
    data_set.ReconstructionDiameter = _decimal(field_mm)
    data_set.GantryDetectorTilt = _decimal(scan.protocol.tilt_deg)
    data_set.TableHeight = "150"
    data_set.ExposureTime = 1000
    data_set.XRayTubeCurrent = 250
    data_set.Exposure = 250
    data_set.FilterType = "HEAD"
    data_set.ConvolutionKernel = identity.kernel
    data_set.WindowCenter, data_set.WindowWidth = "40", "80"
    data_set.WindowCenterWidthExplanation = "BRAIN"


def _set_pixels(data_set: Dataset, scan: SimulatedScan, index: int) -> None:
    """Set Image Pixel and the rescaling to HU (PS3.3, sections C.7.6.3 and C.11.1)."""
    hu = scan.volume.hu_zyx[index]
    stored = np.clip(hu.astype(np.int32) - _INTERCEPT, 0, 4095).astype("<u2")
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.Rows, data_set.Columns = hu.shape
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 12, 11
    data_set.PixelRepresentation = 0
    data_set.RescaleIntercept, data_set.RescaleSlope = str(_INTERCEPT), "1"
    data_set.RescaleType = "HU"
    data_set.PixelData = stored.tobytes()


def _decimal(value: float) -> str:
    """Return a number as Decimal String of at most 16 characters (PS3.5, section 6.2)."""
    text = f"{value:.9f}"[:16].rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
