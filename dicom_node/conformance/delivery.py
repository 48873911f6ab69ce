"""The parts of the conformance statement about storage commitment and STOW-RS."""

from typing import Final

from dicom_node.association.commitment import COMMITMENT_INSTANCE, STORAGE_COMMITMENT
from dicom_node.association.commitment_terms import REASONS
from dicom_node.association.presentation import (
    PLAIN,
    AbstractSyntax,
    presentation_context_table,
)
from dicom_node.delivery.stow import ABOUT_OBJECTS
from dicom_node.settings.schema import Settings

_COMMITMENT: Final = """
#### 5.2.6 Storage Commitment Service

Offered only where a peer has `commitment = true` or `node.answers_commitment` is true.
SOP Instance of the class: {instance}.

{contexts}

##### 5.2.6.1 SCU of the Storage Commitment Push Model SOP Class

The node asks (N-ACTION, action type 1) a destination with `commitment = true` for what it
accepted, one transaction per request, and takes the report (N-EVENT-REPORT, event types 1 and 2)
over the same association for {wait:g} s, or over one that the destination opens, with SCP/SCU Role
Selection or without. Only the AE title that was asked can report. Without a report it is asked
again after `delivery.commitment_answer_s` ({answer:g} s), {asks} times. An object that is reported
as failed is sent again.

##### 5.2.6.2 SCP of the Storage Commitment Push Model SOP Class

The node vouches for the images that it has in custody. It reports over the same
association if that is still open, else over a new one to the peer with the caller's AE title, for
which it proposes the SCP role. Without retention (`retention.enabled`) it deletes nothing; with
it, it keeps what it committed itself to for {kept:g} days (`retention.keep_committed_days`),
longer where a study is held. A request for what is gone is answered with 0112H. The node is no
archive.

| Failure reason | Meaning | Given by the node |
| --- | --- | --- |
{reasons}
"""

_STORE: Final = """
##### 5.3.2.3 Store Transaction

STOW-RS (PS3.18, section 10.5), as user agent.

Results go to `web_peers` in one POST to `<url>/studies` per result set:
`multipart/related; type="application/dicom"`, Explicit VR Little Endian, with basic or bearer
authentication where a secret is set. TLS 1.2 or later; certificate and name are always verified.
No proxy is used and no redirection followed. The answer is read as DICOM JSON or as XML (Native
DICOM Model, PS3.19, A.1; a document type declaration is refused), each object by
Referenced SOP Sequence and Failed SOP Sequence; 200 without content is success for all of them.

| HTTP status | Treated as |
| --- | --- |
| {about} | the fate of each object, as the answer says; without a word only 200 is success |
| all others | the server as a whole takes no part; sent again later |
"""


def commitment_section(settings: Settings) -> str:
    """Return section 5.2.6 in Markdown; defaults of the settings are the values it names."""
    from dicom_node.delivery.notary import REPORT_WAIT_S

    context = AbstractSyntax(sop_class_uid=STORAGE_COMMITMENT, transfer_syntaxes=PLAIN)
    return _COMMITMENT.format(
        instance=COMMITMENT_INSTANCE,
        kept=settings.retention.keep_committed_days,
        contexts=presentation_context_table([context]),
        wait=REPORT_WAIT_S,
        answer=settings.delivery.commitment_answer_s,
        asks=settings.delivery.commitment_attempts,
        reasons="\n".join(_reasons()),
    )


def store_section() -> str:
    """Return section 5.3.2.3 in Markdown."""
    return _STORE.format(about=", ".join(str(status) for status in sorted(ABOUT_OBJECTS)))


def _reasons() -> list[str]:
    given = {0x0112: "not in custody", 0x0119: "in custody as another SOP class"}
    return [
        f"| {reason:04X}H | {words} | {given.get(reason, 'no')} |"
        for reason, words in sorted(REASONS.items())
    ]
