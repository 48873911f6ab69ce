"""The frames of an instance: one of a CT image, many of an enhanced CT image."""

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.refusal import refusal
from pipeline.rejection import RejectionCode

MULTI_FRAME_CLASSES = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})

#: Frames of one instance above which its header is not believed.
MAX_FRAMES = 20_000


def headers_of(instance: Dataset) -> list[ImageHeader]:
    """Return the header of every image in an instance.

    What a frame does not say itself is taken from the shared functional groups, and what these
    do not say from the instance (PS3.3, section C.7.6.16). The order of the frames means
    nothing here: slices are ordered by their positions.

    Raises
    ------
    SeriesRejectedError
        GEOMETRY_MISSING if the functional groups do not match the number of frames.
    """
    image = ImageHeader(instance=instance)
    if image.text("SOPClassUID") not in MULTI_FRAME_CLASSES:
        return [image]
    frames = image.count("NumberOfFrames")
    shared = image.items("SharedFunctionalGroupsSequence")[:1]
    per_frame = image.items("PerFrameFunctionalGroupsSequence")
    if not 1 <= frames <= MAX_FRAMES or len(per_frame) != frames:
        raise refusal(
            RejectionCode.GEOMETRY_MISSING,
            found=f"{frames} frames with {len(per_frame)} per-frame functional groups",
            needed=f"1 to {MAX_FRAMES} frames with as many groups",
        )
    return [
        ImageHeader(instance=instance, frame_number=number, groups=(groups, *shared))
        for number, groups in enumerate(per_frame, start=1)
    ]
