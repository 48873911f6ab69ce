"""What multi-frame results have in common: every frame lies on one source image and names it."""

from pydicom.dataset import Dataset

from dicom_node.results.identity import ResultIdentity, ResultRole
from dicom_node.results.source import SourceImage, SourceSeries


def slice_names(source: SourceSeries, identity: ResultIdentity) -> list[str]:
    """Return one UID per slice: of the image, or made up where an image holds many slices."""
    return [
        image.sop_instance_uid
        if image.frame_number is None
        else identity.uid(
            ResultRole.SEGMENTATION, f"{image.sop_instance_uid} {image.frame_number}"
        )
        for image in source.images
    ]


def name_dimensions(result: Dataset, uid: str) -> None:
    """Replace the random Dimension Organization UID, in the organization and every index."""
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid


def name_sources(result: Dataset, images: dict[str, SourceImage], source: SourceSeries) -> None:
    """Refer to instance and frame instead of the names that slices had been given."""
    for frame in result.PerFrameFunctionalGroupsSequence:
        for derivation in frame.DerivationImageSequence:
            for item in derivation.SourceImageSequence:
                item.update(images[str(item.ReferencedSOPInstanceUID)].reference())
    instances = source.instances()
    result.SourceImageSequence = [image.reference() for image in instances]
    series = result.ReferencedSeriesSequence[0]
    series.ReferencedInstanceSequence = [image.reference() for image in instances]
