"""Sections 6 and 7 of the statement: configuration, associations, status codes."""

from typing import Final

from pydicom.uid import UID

from dicom_node.association.compression import fits
from dicom_node.association.file_format import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicom_node.association.presentation import (
    PLAIN,
    PROPOSED,
    VERIFICATION,
    AbstractSyntax,
    presentation_context_table,
)
from dicom_node.association.refusals import REFUSAL_WORDS
from dicom_node.association.store_answer import (
    STATUS_OF_ERROR,
    STATUS_OF_REFUSAL,
    StoreStatus,
)
from dicom_node.bootstrap.parts import ENCODING_UIDS
from dicom_node.conformance.query import query_status_section
from dicom_node.conformance.services import context_tables
from dicom_node.settings.schema import Settings

_CONFIGURATION: Final = """
## 6 Configuration

### 6.1 General Configuration Parameters

Every setting stands with its range, default and meaning in `config/node.toml` and in
[operation.md](operation.md#5-settings). Those that other systems see:

| Parameter | Setting | Default |
| --- | --- | --- |
| AE title | `node.ae_title` | {ae_title} |
| Address, port | `node.host`, `node.port` | {host}:{port} |
| Port with TLS | `tls.port` | {tls_port} |
| Callers | `node.callers` | {callers} |
| Peers: AE title, address, port, time-outs, encodings | `[[peers]]` | none |

### 6.2 Configuration of DIMSE Services

| Service | Settings |
| --- | --- |
| 6.2.5 Storage SCU | `peers.receives_results`, `peers.receives`, `peers.encodings`, \
`peers.associations`, `peers.keep_open_s`, `peers.report_first`, `[delivery]` |
| 6.2.5 Storage SCP | `node.max_object_mb`, `node.max_unfinished_mb`, `node.free_space_floor_mb`, \
`[assembly]`, `[selection]` |
| 6.2.6 Storage Commitment | `peers.commitment`, `node.answers_commitment`, \
`delivery.commitment_answer_s`, `delivery.commitment_attempts` |
| 6.2.7 Query/Retrieve | `peers.gives_priors`, `[follow_up]` |

### 6.3 Configuration of DICOM Web Services

| Service | Settings |
| --- | --- |
| 6.3.2 Studies service (STOW-RS) | `[[web_peers]]` |
| 6.3.3 Worklist service (UPS-RS) | `[[worklists]]` |

### 6.4 Configuration of Media Storage Service

None.

### 6.5 Configuration of Real-Time Video Service

None.

### 6.6 Configuration of Audit Trail - Syslog

`[audit]`: repository, transport, what is said of patients.

## 7 Network and Media Communication Details

### 7.1 General

#### 7.1.1 General Association Parameters

| Property | Value |
| --- | --- |
| Application context name | 1.2.840.10008.3.1.1.1 |
| Implementation Class UID | {class_uid} |
| Implementation Version Name | {version_name} |
| Maximum PDU length | {max_pdu} bytes (`node.max_pdu_bytes`, `peers.max_pdu_bytes`) |
| Asynchronous operations | not supported |
| Extended negotiation | none; SCP/SCU Role Selection for C-GET and storage commitment |
| User identity negotiation | not supported |
| Network | TCP/IP, IPv4 and IPv6 |

### 7.2 Specifications

#### 7.2.1 ichnode Application Entity

##### 7.2.1.1 Sequencing of Real-World Activities for ichnode AE

What happens to one series happens in the order of 4.1.1. Several series, several destinations and
several senders go side by side; what is urgent goes before all else, and a re-read of an archive
after all else.

##### 7.2.1.2 Association Parameters of ichnode AE

Those of 7.1.1.

##### 7.2.1.3 Association Initiation

| Property | Value |
| --- | --- |
| Calling AE title | `node.ae_title` |
| When | results wait for a destination; a destination is probed; commitment is asked or \
reported; earlier scans are sought; studies are asked for (`ichnode pull`, the page of uploads, \
`ichnode reprocess`); an operator tests a peer (`ichnode echo`, the page of AE titles) or says \
`ichnode send` |
| Release | when all is sent that is due; for results `peers.keep_open_s` later, or when the peer \
has no room for another association of the node |
| Time-outs | `peers.connect_timeout_s`, `peers.association_timeout_s`, \
`peers.response_timeout_s` |

Proposed for results; each pair is a context of its own:

{proposed}

Proposed as well where the site names them in `peers.encodings`; pictures are compressed without
loss, under the same SOP Instance UID:

{preferred}

##### 7.2.1.4 Association Acceptance

| Property | Value |
| --- | --- |
| Simultaneous associations | {max_associations} (`node.max_associations`), of one caller \
{per_caller} (`node.max_associations_per_caller`) |
| Calling AE titles | only those listed in `node.callers`, from the addresses that stand there; \
others: A-ASSOCIATE-RJ, source 1, reason 3 |
| Called AE title | only `node.ae_title`; others: A-ASSOCIATE-RJ, source 1, reason 7 |
| Transfer syntax | of several in one context the first that stands here |

Accepted:

{accepted}

### 7.3 Status Codes

#### 7.3.1 General AE Communication and Failure Behavior and Handling

##### 7.3.1.1 Communication Failure Behavior as Association Initiator

| Failure | Behavior |
| --- | --- |
| association rejected | told in words; tried again (5.2.5.1) |
| abort, time-out, broken connection | objects that were not answered are sent again |
| context refused | the object is refused; tried again `delivery.refusal_attempts` times |

##### 7.3.1.2 Communication Failure Handling as Association Acceptor

| Failure | Handling |
| --- | --- |
| abort, time-out, broken connection | what was not answered is not in custody |
| context refused | "abstract syntax not supported" or "transfer syntaxes not supported" |

#### 7.3.2 DIMSE Services

C-ECHO is answered with 0000H. Services 1 to 4 and 8 of section 5.2 are not supported and have no
status codes.

##### 7.3.2.5 Storage Service

###### 7.3.2.5.1 SCU of the Storage SOP Classes - C-STORE

| Status | Treated as |
| --- | --- |
| Success (0000H), warnings (B000H, B006H, B007H) | accepted |
| all others | refused: the reason is shown, the object is offered again, at most \
`delivery.refusal_attempts` times |

###### 7.3.2.5.2 SCP of the Storage SOP Classes - C-STORE

| Status | Meaning | When |
| --- | --- | --- |
{statuses}

##### 7.3.2.6 Storage Commitment Service

Answers to N-ACTION and N-EVENT-REPORT:

| Status | When |
| --- | --- |
| 0000H | the request or report is recorded in the ledger |
| 0110H | the ledger refuses; the request or report must be repeated |
| 0115H | no transaction, no object, an invalid UID, or a transaction that was never asked |
| 0123H | another action, or the node may not answer requests |
"""

_WEB_STATUSES: Final = """
#### 7.3.3 DICOM Web Services

See 5.3.2 and 5.3.3.
"""


def network_section(settings: Settings) -> str:
    """Return sections 6 and 7 in Markdown; the defaults of the settings are the values."""
    node = settings.node
    proposed, accepted = context_tables()
    told = _CONFIGURATION.format(
        ae_title=node.ae_title,
        host=node.host,
        port=node.port,
        tls_port=settings.tls.port,
        callers=", ".join(str(one) for one in node.callers),
        class_uid=IMPLEMENTATION_CLASS_UID,
        version_name=IMPLEMENTATION_VERSION_NAME,
        max_pdu=node.max_pdu_bytes,
        max_associations=node.max_associations,
        per_caller=node.max_associations_per_caller,
        proposed=proposed,
        preferred=presentation_context_table(_preferred()),
        accepted=accepted,
        statuses=_status_rows(),
    )
    return f"{told}{query_status_section(settings)}{_WEB_STATUSES}"


def _preferred() -> list[AbstractSyntax]:
    """Return what a site may prefer to the plain encodings, by class of result."""
    further = [UID(uid) for uid in ENCODING_UIDS.values() if uid not in PLAIN]
    return [
        AbstractSyntax(
            sop_class_uid=one.sop_class_uid,
            transfer_syntaxes=tuple(uid for uid in further if fits(one.sop_class_uid, uid)),
        )
        for one in PROPOSED
        if one.sop_class_uid != VERIFICATION
    ]


def _status_rows() -> str:
    rows = [f"| {StoreStatus.SUCCESS:04X}H | SUCCESS | the node has taken custody |"]
    for error, status in STATUS_OF_ERROR.items():
        when = (error.__doc__ or "").splitlines()[0].rstrip(".")
        rows.append(f"| {status:04X}H | {status.name} | {when[0].lower()}{when[1:]} |")
    for kind, status in STATUS_OF_REFUSAL.items():
        rows.append(f"| {status:04X}H | {status.name} | {REFUSAL_WORDS[kind]} |")
    rows.append(f"| {StoreStatus.UNFORESEEN:04X}H | UNFORESEEN | a fault of the node |")
    return "\n".join(rows)
