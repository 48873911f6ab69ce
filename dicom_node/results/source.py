"""The series that was analysed, as the results refer to it.

Sources differ in what they leave out, in character set and in being one file per slice or
one for all. Here they become one plain header per slice of the volume, complete in all that
a result object must copy, so that the builders of objects know only one kind of source.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from dicom_node.results.errors import ResultSourceError
from dicom_node.results.patient_study import REQUIRED_OF_PATIENT_AND_STUDY
from pipeline.errors import SeriesRejectedError
from pipeline.quality_flags import QualityFlag
from pipeline.rejection import RejectionCode, RejectionReason
from pipeline.volume import CtVolume, VoxelGrid

#: Readers make direction cosines orthonormal; that changes them by less than this.
_SAME_DIRECTION: Final = 1e-3
#: Lossy transfer syntaxes and the method that describes them (PS3.3, C.7.6.1.1.5.1).
_LOSSY_METHOD: Final = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """Reference to the image of one slice.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid : str
        The instance.
    frame_number : int or None
        Frame counted from 1, None in a single-frame instance.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None

    def reference(self) -> Dataset:
        """Return an item of the Image SOP Instance Reference macro (PS3.3, table 10-3)."""
        item = Dataset()
        item.ReferencedSOPClassUID = self.sop_class_uid
        item.ReferencedSOPInstanceUID = self.sop_instance_uid
        if self.frame_number is not None:
            item.ReferencedFrameNumber = self.frame_number
        return item


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceSeries:
    """The analysed series.

    Attributes
    ----------
    header : Dataset
        The instance of the most inferior slice, without pixel data; not to be changed.
    images : tuple of SourceImage
        One per slice of the volume, same order.
    sop_instance_uids : tuple of str
        Every instance that was given, also those that were left out of the volume.
    grid : VoxelGrid
        Grid of the volume.
    thickness_mm : tuple of float
        Nominal thickness of each slice; the slice's extent where the source names none.
    is_lossy : bool
        Whether the pixels had been compressed with loss.
    """

    header: Dataset
    images: tuple[SourceImage, ...]
    sop_instance_uids: tuple[str, ...]
    grid: VoxelGrid
    thickness_mm: tuple[float, ...]
    is_lossy: bool

    @property
    def series_instance_uid(self) -> str:
        """Series that was analysed."""
        return str(self.header.SeriesInstanceUID)

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference that results share with the source."""
        return str(self.header.FrameOfReferenceUID)

    def instances(self) -> tuple[SourceImage, ...]:
        """Return one reference per instance that holds slices, in slice order, no frames."""
        seen = {image.sop_instance_uid: image for image in self.images}
        return tuple(
            SourceImage(sop_class_uid=image.sop_class_uid, sop_instance_uid=uid, frame_number=None)
            for uid, image in seen.items()
        )

    def slice_header(self, index: int, *, sop_instance_uid: str = "") -> Dataset:
        """Return the slice as if it were one single-frame CT image of nobody.

        It is for the library that builds objects, which puts the name of a patient into its
        log; patient and study are written into the finished object instead.

        Parameters
        ----------
        index : int
            Slice of the volume.
        sop_instance_uid : str
            Name given to the slice; default that of its instance.

        Returns
        -------
        Dataset
            Identity, geometry and lossy flags; no patient, no pixels.
        """
        image = self.images[index]
        header = Dataset()
        for keyword in REQUIRED_OF_PATIENT_AND_STUDY:
            setattr(header, keyword, "")
        header.PatientName = "Nobody^"
        header.StudyInstanceUID = self.header.StudyInstanceUID
        header.SeriesInstanceUID = self.series_instance_uid
        header.SOPClassUID = CTImageStorage if image.frame_number else image.sop_class_uid
        header.SOPInstanceUID = sop_instance_uid or image.sop_instance_uid
        header.Modality = "CT"
        _, header.Rows, header.Columns = self.grid.shape_zyx
        header.update(self.slice_geometry(index))
        header.update(self.lossy_flags())
        return header

    def slice_geometry(self, index: int) -> Dataset:
        """Return Image Plane and Frame of Reference attributes of one slice."""
        plane = Dataset()
        plane.FrameOfReferenceUID = self.frame_of_reference_uid
        plane.PositionReferenceIndicator = self.header.get("PositionReferenceIndicator") or ""
        plane.ImagePositionPatient = decimals(self.grid.slice_origins_lps_mm[index])
        plane.ImageOrientationPatient = self._orientation()
        plane.PixelSpacing = decimals(self.grid.pixel_spacing_yx_mm)
        plane.SliceThickness = decimals(self.thickness_mm[index : index + 1])[0]
        return plane

    def _orientation(self) -> list[str]:
        """Return the orientation as the source writes it; viewers compare the text."""
        cosines = (*self.grid.row_cosine_lps, *self.grid.column_cosine_lps)
        written = self.header.get("ImageOrientationPatient")
        if written is not None and np.allclose(
            np.asarray(written, np.float64), cosines, atol=_SAME_DIRECTION
        ):
            return [str(value) for value in written]
        return decimals(cosines)

    def lossy_flags(self) -> Dataset:
        """Return the Lossy Image Compression attributes that a derived image inherits."""
        flags = Dataset()
        flags.LossyImageCompression = "01" if self.is_lossy else "00"
        if not self.is_lossy:
            return flags
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if self.header.get(keyword):
                flags[keyword] = deepcopy(self.header[keyword])
        method = _LOSSY_METHOD.get(_transfer_syntax(self.header))
        if method and "LossyImageCompressionMethod" not in flags:
            flags.LossyImageCompressionMethod = method
        return flags


def source_series(source: Sequence[Dataset], volume: CtVolume) -> SourceSeries:
    """Return what results refer to.

    Parameters
    ----------
    source : sequence of Dataset
        The data sets of the series, any order; pixel data are not looked at.
    volume : CtVolume
        The volume read from them.

    Raises
    ------
    ResultSourceError
        If the volume names no source, or an image that is not among `source`, or the images
        belong to several series.
    SeriesRejectedError
        If the series has no Frame of Reference UID, without which a mask lies nowhere.
    """
    by_uid = {str(instance.SOPInstanceUID): instance for instance in source}
    if not volume.sources:
        raise ResultSourceError("The volume names no source images; results need one per slice")
    absent = {s.sop_instance_uid for s in volume.sources} - set(by_uid)
    if absent:
        raise ResultSourceError(f"{len(absent)} images of the volume are not among the source")
    used = [by_uid[s.sop_instance_uid] for s in volume.sources]
    if len({(i.StudyInstanceUID, i.SeriesInstanceUID) for i in used}) > 1:
        raise ResultSourceError("The images of the volume belong to several series")
    _require_frame_of_reference(used[0])
    return SourceSeries(
        header=used[0],
        images=tuple(
            SourceImage(
                sop_class_uid=str(instance.SOPClassUID),
                sop_instance_uid=slice_source.sop_instance_uid,
                frame_number=slice_source.frame_number,
            )
            for instance, slice_source in zip(used, volume.sources, strict=True)
        ),
        sop_instance_uids=tuple(sorted(by_uid)),
        grid=volume.grid,
        thickness_mm=_thickness_mm(volume),
        is_lossy=QualityFlag.LOSSY_SOURCE in volume.flags or any(map(_is_lossy, used)),
    )


def decimals(values: Sequence[float]) -> list[str]:
    """Return decimal strings of at most 16 characters (PS3.5, section 6.2, DS)."""
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def _require_frame_of_reference(header: Dataset) -> None:
    if not header.get("FrameOfReferenceUID"):
        raise SeriesRejectedError(
            RejectionReason(
                code=RejectionCode.GEOMETRY_MISSING,
                found="no Frame of Reference UID",
                needed="the Frame of Reference UID that PS3.3, C.7.4.1 demands of CT images",
            )
        )


def _thickness_mm(volume: CtVolume) -> tuple[float, ...]:
    named = volume.slice_thickness_mm or (0.0,) * len(volume.sources)
    return tuple(
        float(thickness) if thickness > 0 else float(extent)
        for thickness, extent in zip(named, volume.grid.slice_extents_mm, strict=True)
    )


def _is_lossy(instance: Dataset) -> bool:
    return (
        instance.get("LossyImageCompression") == "01"
        or _transfer_syntax(instance) in _LOSSY_METHOD
    )


def _transfer_syntax(instance: Dataset) -> str:
    file_meta = getattr(instance, "file_meta", None)
    return str(file_meta.get("TransferSyntaxUID", "")) if file_meta is not None else ""
