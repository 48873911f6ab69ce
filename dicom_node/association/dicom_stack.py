"""The switches of pynetdicom that exist once per process."""

from pynetdicom import _config


def set_up_dicom_stack() -> None:
    """Set what the node needs of pynetdicom; may be called any number of times.

    Its own log of every PDU and message is switched off: it costs time with each image, and at
    level DEBUG it would show data sets. Files are sent in pieces instead of being decoded and
    encoded again.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.STORE_SEND_CHUNKED_DATASET = True
