"""What multi-frame results have in common: every frame lies on one source image and names it."""

from pydicom.dataset import Dataset

from dicom_node.results.context import ResultContext
from dicom_node.results.header import stamp
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


def finish(
    made: Dataset,
    names: list[str],
    *,
    dimensions_uid: str,
    source: SourceSeries,
    context: ResultContext,
    series_number: int,
    series_description: str,
) -> Dataset:
    """Return what the library built as the node sends it: of the patient, and repeatable.

    Parameters
    ----------
    made : Dataset
        The object, built upon slices that are called `names`; taken over, not copied.
    names : list of str
        One per slice, from `slice_names`.
    dimensions_uid : str
        Replaces the library's random Dimension Organization UID.
    """
    result = Dataset()
    result.update(made)
    result.preamble = made.preamble
    result.BodyPartExamined = "HEAD"
    _name_dimensions(result, dimensions_uid)
    _name_sources(result, dict(zip(names, source.images, strict=True)), source)
    stamp(
        result,
        source=source,
        context=context,
        series_number=series_number,
        series_description=series_description,
    )
    return result


def _name_dimensions(result: Dataset, uid: str) -> None:
    """Replace the random Dimension Organization UID, in the organization and every index."""
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid


def _name_sources(result: Dataset, images: dict[str, SourceImage], source: SourceSeries) -> None:
    """Refer to instance and frame instead of the names that slices had been given."""
    for frame in result.PerFrameFunctionalGroupsSequence:
        for derivation in frame.DerivationImageSequence:
            for item in derivation.SourceImageSequence:
                item.update(images[str(item.ReferencedSOPInstanceUID)].reference())
    instances = source.instances()
    result.SourceImageSequence = [image.reference() for image in instances]
    series = result.ReferencedSeriesSequence[0]
    series.ReferencedInstanceSequence = [image.reference() for image in instances]
