"""The presentation contexts that the node accepts and proposes.

The lists are short on purpose: what is not on them is refused at negotiation, so that a sender
learns it before it sends, and a proposal of every storage class costs nobody a second. A scanner
may offer localizers and dose reports of other SOP classes in the same association: those contexts
are rejected one by one ("abstract syntax not supported", PS3.8, section 9.3.3.2), the CT contexts
beside them are accepted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    Comprehensive3DSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

#: Verification SOP Class (PS3.4, section A.4); pydicom has no name for it.
VERIFICATION = UID("1.2.840.10008.1.1")

#: Query/Retrieve in the Study Root information model (PS3.4, section C.6.2), as SCU.
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = UID("1.2.840.10008.5.1.4.1.2.2.2")
STUDY_ROOT_GET = UID("1.2.840.10008.5.1.4.1.2.2.3")

#: The encodings of native pixels, preferred first. Explicit VR keeps private elements readable.
UNCOMPRESSED: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)

#: Compressed encodings that restore every pixel value.
LOSSLESS: tuple[UID, ...] = (
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)

#: Compressed encodings that may have changed pixel values; the reader flags them.
LOSSY: tuple[UID, ...] = (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
    HTJ2K,
)

#: What every DICOM application can read (PS3.5, section 10.1), best first.
PLAIN: tuple[UID, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractSyntax:
    """One SOP class and the encodings that are spoken for it, preferred first."""

    sop_class_uid: UID
    transfer_syntaxes: tuple[UID, ...]

    @property
    def name(self) -> str:
        """Name of the SOP class in PS3.6."""
        return self.sop_class_uid.name


#: What the node takes as SCP. Order of the syntaxes is the node's preference.
ACCEPTED: tuple[AbstractSyntax, ...] = (
    AbstractSyntax(sop_class_uid=VERIFICATION, transfer_syntaxes=PLAIN),
    AbstractSyntax(
        sop_class_uid=CTImageStorage, transfer_syntaxes=UNCOMPRESSED + LOSSLESS + LOSSY
    ),
    AbstractSyntax(
        sop_class_uid=EnhancedCTImageStorage, transfer_syntaxes=UNCOMPRESSED + LOSSLESS + LOSSY
    ),
)

#: What the node sends as SCU when it returns results.
PROPOSED: tuple[AbstractSyntax, ...] = (
    AbstractSyntax(sop_class_uid=SecondaryCaptureImageStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=SegmentationStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=ParametricMapStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=EncapsulatedPDFStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=KeyObjectSelectionDocumentStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=Comprehensive3DSRStorage, transfer_syntaxes=PLAIN),
    AbstractSyntax(sop_class_uid=VERIFICATION, transfer_syntaxes=PLAIN),
)


#: What the node asks peers for that have earlier scans; with C-GET it also proposes the CT classes
#: of `ACCEPTED`, in the role of the storage provider.
QUERIED: tuple[AbstractSyntax, ...] = tuple(
    AbstractSyntax(sop_class_uid=service, transfer_syntaxes=PLAIN)
    for service in (STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET)
)


def presentation_context_table(contexts: Iterable[AbstractSyntax]) -> str:
    """Return the Markdown table of presentation contexts, one row per pair."""
    rows = [
        f"| {context.name} | {context.sop_class_uid} | {syntax.name} | {syntax} |"
        for context in contexts
        for syntax in context.transfer_syntaxes
    ]
    header = "| SOP Class | UID | Transfer Syntax | UID |"
    return "\n".join([header, "| --- | --- | --- | --- |", *rows])
