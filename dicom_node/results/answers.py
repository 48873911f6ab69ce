"""The items that qualitative evaluations of a report are made of."""

from typing import Final

from highdicom.sr import (
    CodeContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes

_CONTAINS: Final = RelationshipTypeValues.CONTAINS


def answer(question: Code, value: Code) -> CodeContentItem:
    """Return a question with its coded answer."""
    return CodeContentItem(name=question, value=value, relationship_type=_CONTAINS)


def comment(text: str) -> TextContentItem:
    """Return a remark in words."""
    return TextContentItem(name=codes.COMMENT, value=text, relationship_type=_CONTAINS)


def comment_on(picture: Dataset, text: str, name: Code) -> TextContentItem:
    """Return a remark that refers to a result of the node, by what that is.

    The image library cannot refer to results: its entries need an acquisition modality (CID 29).
    """
    remark = comment(text)
    image = ImageContentItem(
        name=name,
        referenced_sop_class_uid=picture.SOPClassUID,
        referenced_sop_instance_uid=picture.SOPInstanceUID,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )
    remark.ContentSequence = ContentSequence([image])
    return remark
