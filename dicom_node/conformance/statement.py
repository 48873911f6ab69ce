"""The DICOM conformance statement, made from the tables that the node runs on (PS3.2, Annex N)."""

from dicom_node.association.presentation import ACCEPTED, PROPOSED, presentation_context_table
from dicom_node.association.refusals import REFUSAL_WORDS
from dicom_node.association.store_answer import STATUS_OF_ERROR, STATUS_OF_REFUSAL, StoreStatus
from dicom_node.conformance.delivery import delivery_section
from dicom_node.conformance.query import query_section
from dicom_node.conformance.security import security_section
from dicom_node.settings import Settings
from pipeline import __version__

_HEADER = """# DICOM conformance statement of ichnode {version}

Written by `ichnode conformance` from the tables that the node runs on; do not edit.
Structure after PS3.2, Annex N. RESEARCH USE ONLY: ichnode is not a medical device.

## 1. Overview

ichnode receives head CT series by C-STORE, analyses one series per study for intracerebral
hematoma and sends its results to the configured destinations by C-STORE or STOW-RS. It acts as
Verification SCP and SCU, Storage SCP for CT images and Storage SCU for the results.
Two scans of one patient are compared; where the site wants it, earlier ones are sought at peers
by Query/Retrieve as SCU. Storage commitment is spoken where the settings say so. It answers no
query and no retrieval itself, offers no print and no worklist, and it stores objects only until
they are analysed: it is no archive.
"""

_RECEIVER = """
## 2. Receiver (Storage SCP, Verification SCP)

### 2.1 Association policies

| Property | Value |
| --- | --- |
| Application context name | 1.2.840.10008.3.1.1.1 |
| Default AE title | {ae_title} (`node.ae_title`) |
| Default address | {host}:{port} (`node.host`, `node.port`) |
| Simultaneous associations | {max_associations} (`node.max_associations`) |
| Maximum PDU length received | {max_pdu} bytes (`node.max_pdu_bytes`) |
| Asynchronous operations | not supported |
| Calling AE titles | only those listed in `node.callers`, from the addresses that stand there; \
others: A-ASSOCIATE-RJ, source 1, reason 3 |
| Called AE title | only `node.ae_title`; others: A-ASSOCIATE-RJ, source 1, reason 7 |

### 2.2 Accepted presentation contexts

{accepted}

### 2.3 Storage behaviour

Success is answered only when the encoded data set has been written and synchronised to disk and
has been recorded in the ledger. Data sets are kept as they were encoded; nothing is coerced and
no pixel is decoded by the receiver. Level of conformance: level 2 (full) until the analysis.
An instance that is sent again is answered with Success; identical content changes nothing.
Requested Procedure Priority (0040,1003), Study Priority ID (0032,000C), descriptions and the
calling AE title may make a study urgent (`[urgent]`): it is analysed and sent before others. The
Priority (0000,0700) of a C-STORE request is not looked at.

| Status | Meaning | When |
| --- | --- | --- |
{statuses}
"""

_SENDER = """
## 3. Sender (Storage SCU, Verification SCU)

### 3.1 Association policies

| Property | Value |
| --- | --- |
| Calling AE title | `node.ae_title` |
| Associations | one per destination at a time unless `peers.associations` says more; results of \
one series never overtake each other, those of urgent studies go before all others |
| Order of objects | secondary captures, segmentation, forecast, uncertainty map, report; \
with `peers.report_first` the report first |
| Retry | an attempt that failed: {attempts} attempts, waiting from \
{first:g} s, doubled up to {longest:g} s (`delivery.*`); an object that is refused: \
{refusal} attempts |
| Circuit breaker | after {unreachable} failed connections in a row a destination is only probed \
by C-ECHO, every {probe:g} to {longest_probe:g} s; nothing that waits for it is given up |
| Accepted answers | Success (0000H) and warnings (B000H, B006H, B007H) |

### 3.2 Proposed presentation contexts

{proposed}

### 3.3 Objects created

| Object | SOP Class | Content |
| --- | --- | --- |
| Capture | Secondary Capture Image Storage | one RGB image per slice of the triplet, \
with the Grad-CAM overlay, a legend, the probability and RESEARCH USE ONLY |
| Segmentation | Segmentation Storage | the hematoma, binary, on the grid of the source series |
| Forecast | Segmentation Storage | the hematoma as a growth model expects it at follow-up if it \
expands, binary, in a series of its own with a private property type; never merged with the \
measured one; only where `worker.growth_bundle` names a model and `results.forecast` is true |
| Uncertainty map | Parametric Map Storage | entropy of the segmentation in nats on the grid of \
the source series, 32-bit floats with a real world value mapping; only where \
`results.uncertainty_map` is true |
| Report | Comprehensive 3D SR Storage | measurements with the 95 % range of the volume, \
prediction, forecast volume in a measurement group of its own, other findings, quality flags, \
model identity |

A series that cannot be analysed gives, where `results.say_not_processed` is true and no other
series of its study steps in, one Comprehensive 3D SR that says so and why, with no measurement.

Two scans of a patient that are compared give one more set:

| Object | SOP Class | Content |
| --- | --- | --- |
| Segmentations | Segmentation Storage | the hematoma on both scans as one model sees it, each on \
the grid of its own series and in the study of its own series, with one tracking UID |
| Capture | Secondary Capture Image Storage | both scans side by side, with outlines, volumes, \
change, interval and RESEARCH USE ONLY, in the study of the follow-up |
| Report | Comprehensive 3D SR Storage | both measurements, change with its range, expansion by \
which criterion, elapsed time, flags; in the study of the follow-up, with the evidence of both |

All objects belong to the study, patient and frame of reference of the source series. Their UIDs
are derived from the source instances, the model and its configuration: the same input
yields the same objects, a changed input yields new ones that name their predecessors.
If no hematoma is found, no segmentation and no map is made, and the report says so.
"""

_FOOTER = """
## 4. Media, character sets, security

- Media storage: none. `ichnode analyze` writes Part 10 files into a folder.
- Character sets: Specific Character Set is copied from the source with the patient's attributes.
- Security: below.
"""

_LAST = """
## 5. Configuration

Every setting stands with its explanation in `config/node.toml` and in
[operation.md](operation.md).
"""


def conformance_statement() -> str:
    """Return the statement in Markdown; the defaults of the settings are the values it names."""
    settings = Settings()
    node, delivery = settings.node, settings.delivery
    return "".join(
        [
            _HEADER.format(version=__version__),
            _RECEIVER.format(
                ae_title=node.ae_title,
                host=node.host,
                port=node.port,
                max_associations=node.max_associations,
                max_pdu=node.max_pdu_bytes,
                accepted=presentation_context_table(ACCEPTED),
                statuses=_status_rows(),
            ),
            _SENDER.format(
                attempts=delivery.attempts,
                first=delivery.first_retry_s,
                longest=delivery.longest_wait_s,
                refusal=delivery.refusal_attempts,
                unreachable=delivery.unreachable_after,
                probe=delivery.first_probe_s,
                longest_probe=delivery.longest_probe_s,
                proposed=presentation_context_table(PROPOSED),
            ),
            query_section(settings),
            delivery_section(settings),
            _FOOTER,
            security_section(settings),
            _LAST,
        ]
    )


def _status_rows() -> str:
    rows = [f"| {StoreStatus.SUCCESS:04X}H | SUCCESS | the node has taken custody |"]
    for error, status in STATUS_OF_ERROR.items():
        when = (error.__doc__ or "").splitlines()[0].rstrip(".")
        rows.append(f"| {status:04X}H | {status.name} | {when[0].lower()}{when[1:]} |")
    for kind, status in STATUS_OF_REFUSAL.items():
        rows.append(f"| {status:04X}H | {status.name} | {REFUSAL_WORDS[kind]} |")
    return "\n".join(rows)
