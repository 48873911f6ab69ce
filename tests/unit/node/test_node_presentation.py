"""What the node accepts, proposes and calls."""

import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.association.peers import Peer
from dicom_node.association.presentation import (
    ACCEPTED,
    PROPOSED,
    VERIFICATION,
    presentation_context_table,
)

#: PS3.6, table A-1.
ACCEPTED_CLASSES = {
    "1.2.840.10008.1.1": "Verification SOP Class",
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
}
PROPOSED_CLASSES = {
    "1.2.840.10008.1.1": "Verification SOP Class",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image Storage",
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.30": "Parametric Map Storage",
    "1.2.840.10008.5.1.4.1.1.104.1": "Encapsulated PDF Storage",
    "1.2.840.10008.5.1.4.1.1.88.59": "Key Object Selection Document Storage",
    "1.2.840.10008.5.1.4.1.1.88.34": "Comprehensive 3D SR Storage",
}


@pytest.mark.parametrize(
    ("contexts", "classes"), [(ACCEPTED, ACCEPTED_CLASSES), (PROPOSED, PROPOSED_CLASSES)]
)
def test_the_short_lists_are_these(contexts, classes):
    """CT in, results out, and echo both ways: nothing else."""
    assert {str(one.sop_class_uid): one.name for one in contexts} == classes


def test_every_accepted_encoding_can_be_decoded():
    """What could not be analysed is refused at negotiation."""
    for context in ACCEPTED:
        for syntax in context.transfer_syntaxes:
            if context.sop_class_uid != VERIFICATION:
                assert get_decoder(syntax).is_available, syntax.name


def test_every_context_speaks_the_default_transfer_syntax():
    """PS3.5, section 10.1: Implicit VR Little Endian shall be offered."""
    for context in ACCEPTED + PROPOSED:
        assert ImplicitVRLittleEndian in context.transfer_syntaxes


def test_all_native_encodings_are_accepted():
    """The four of PS3.5, annex A, without compression of pixels."""
    for context in ACCEPTED[1:]:
        assert {
            ImplicitVRLittleEndian,
            ExplicitVRLittleEndian,
            ExplicitVRBigEndian,
            DeflatedExplicitVRLittleEndian,
        } <= set(context.transfer_syntaxes)


def test_the_table_has_a_row_per_pair():
    """For the conformance statement."""
    table = presentation_context_table(PROPOSED).splitlines()

    assert len(table) == 2 + 7 * 2
    assert table[2] == (
        "| Secondary Capture Image Storage | 1.2.840.10008.5.1.4.1.1.7 "
        "| Explicit VR Little Endian | 1.2.840.10008.1.2.1 |"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"ae_title": ""},
        {"ae_title": "SEVENTEEN-LETTERS"},
        {"ae_title": "BACK\\SLASH"},
        {"ae_title": "   "},
        {"calling_ae_title": "ÄRZTE"},
        {"port": 0},
        {"port": 65536},
        {"max_pdu": -1},
        {"connect_timeout_s": 0},
        {"network_timeout_s": 0},
    ],
)
def test_a_peer_that_cannot_be_called_cannot_be_built(wrong):
    """The field is named in the message."""
    right = {
        "name": "pacs",
        "ae_title": "PACS",
        "host": "127.0.0.1",
        "port": 104,
        "calling_ae_title": "ICHNODE",
    }
    with pytest.raises(ValueError, match=r"A peer needs a name|" + next(iter(wrong))):
        Peer(**right | wrong)
