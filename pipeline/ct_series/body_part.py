"""Whether the header says that the series shows a head."""

import re
from collections.abc import Sequence

from pipeline.ct_series.header import ImageHeader
from pipeline.ct_series.refusal import refusal
from pipeline.rejection import RejectionCode

#: Words that leave the head possible: sites write HEADNECK, BRAIN W/O, SKULL BASE, KOPF ...
_HEAD = re.compile(
    "HEAD|BRAIN|SKULL|NEURO|FACE|FACIAL|CRANI|CEREB|ENCEPH|ORBIT|SINUS|IAC|TEMPORAL|MASTOID"
    "|WHOLE ?BODY|KOPF|SCH[AÄ]DEL|TETE|CABEZA|TESTA|HOOFD"
)

#: Words of the defined terms for parts that are no head (PS3.16, annex L).
_OTHER = re.compile(
    r"\b(CHEST|THORAX|LUNG|HEART|CARDIAC|CORONARY|BREAST|RIB|STERNUM|ABDOMEN|PELVIS|LIVER"
    r"|KIDNEY|PANCREAS|SPLEEN|COLON|BLADDER|PROSTATE|UTERUS|OVARY|TESTIS|PENIS|AORTA|TRUNK"
    r"|[CTLS]*SPINE|SACRUM|COCCYX|NECK|SHOULDER|CLAVICLE|SCAPULA|HUMERUS|ARM\b|ELBOW|WRIST"
    r"|HAND|FINGER|HIP|FEMUR|THIGH|KNEE|LEG\b|TIBIA|ANKLE|FOOT|TOE|CALCANEUS|EXTREMITY)"
)


def refuse_other_body_part(images: Sequence[ImageHeader]) -> None:
    """Refuse a series of which every image names a part of the body other than the head.

    An empty or unknown word is no reason: many sites leave it so, and the content is looked at
    later (`pipeline.quality.assess_volume`). The reason repeats only words of the standard.

    Raises
    ------
    SeriesRejectedError
        NOT_A_HEAD.
    """
    parts = {_other_part(image) for image in images}
    if "" in parts:
        return
    raise refusal(
        RejectionCode.NOT_A_HEAD,
        found=f"body part {', '.join(sorted(parts))}",
        needed="a head, or no body part at all",
    )


def _other_part(image: ImageHeader) -> str:
    """Return the word for a part of the body that is no head, empty if there is none."""
    regions = [ImageHeader(instance=item) for item in image.items("AnatomicRegionSequence")]
    meanings = [region.text("CodeMeaning") for region in regions]
    words = " ".join([image.text("BodyPartExamined"), *meanings])
    other = _OTHER.search(words)
    return other.group(1) if other and not _HEAD.search(words) else ""
