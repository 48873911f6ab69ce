"""Lossless compression of pictures on their way to a peer that wants it.

The object stays the same instance: every pixel value is restored, so that its UID may stand
(PS3.3, section C.7.6.1.1.5, asks for another one only after a lossy compression). Nothing is
compressed lossily: reports refer to captures by their UIDs, and a copy with other pixels would be
another instance that no report knows.
"""

import logging
from typing import Final

from pydicom.dataset import FileDataset
from pydicom.uid import JPEGLSLossless, RLELossless, SecondaryCaptureImageStorage

from dicom_node.errors import describe_error

LOGGER = logging.getLogger(__name__)

#: Pictures can be sent in these, by UID. Masks of one bit and maps of floats cannot (PS3.5, 8.2).
COMPRESSED: Final = frozenset({str(JPEGLSLossless), str(RLELossless)})

_PICTURES: Final = frozenset({str(SecondaryCaptureImageStorage)})


def fits(sop_class_uid: str, transfer_syntax_uid: str) -> bool:
    """Return whether plain objects of a class can be sent in a transfer syntax."""
    return transfer_syntax_uid not in COMPRESSED or sop_class_uid in _PICTURES


def compress(picture: FileDataset, transfer_syntax_uid: str) -> bool:
    """Compress the pixels of a picture in place; return False, and leave it, if that fails."""
    try:
        picture.compress(transfer_syntax_uid, generate_instance_uid=False)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        LOGGER.warning("A picture could not be compressed: %s", describe_error(error))
        return False
    return True
