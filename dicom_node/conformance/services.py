"""Sections 4 and 5 of the statement: the parts of the node, and what each service does."""

from typing import Final

from dicom_node.association.presentation import (
    ACCEPTED,
    PROPOSED,
    presentation_context_table,
)
from dicom_node.conformance.delivery import commitment_section, store_section
from dicom_node.conformance.query import query_section
from dicom_node.conformance.worklist import retrieve_section, worklist_section
from dicom_node.intake.recorder import PAUSE_S
from dicom_node.settings.schema import Settings

_MODEL: Final = """
## 4 Implementation Model

### 4.1 Application Entities and Data Flow

```text
              C-STORE, C-ECHO, N-ACTION                    C-STORE, STOW-RS, C-ECHO
scanner, PACS ---------------------> +------------------+ ---------------------> PACS, VNA
              <--------------------- |    ichnode AE    | <---------------------
              N-EVENT-REPORT         |  {ae_title:<15} |        N-EVENT-REPORT
                                     +------------------+
                                        |  C-FIND, C-MOVE or C-GET (option)
                                        v
                                      PACS with earlier scans
```

There is one Application Entity. It accepts and opens associations under one AE title
(`node.ae_title`). Two processes speak for it: the receiver accepts, the office opens.

#### 4.1.1 Functional Definition of ichnode AE

1. It takes images and answers Success when each is durable.
2. It decides when a series is complete, and which series of a study is analysed. It may begin to
   look at a series before; nothing is made of that until the series is complete.
3. It analyses the series and makes the objects of annex A.A.
4. It sends them to every destination, repeats what failed, and asks for storage commitment where
   the settings say so.
5. After a result it may seek earlier scans, compare them, and send the comparison.
6. Where it is asked to, it fetches studies from peers and analyses them: single ones
   (`ichnode pull`, the page of uploads) or those of an archive (`ichnode reprocess`).

## 5 Service and Interoperability Description

### 5.1 Mapping of Services to Application Entities

| Service | AE | Role |
| --- | --- | --- |
| Verification | ichnode AE | SCU and SCP |
| Storage | ichnode AE | SCP for images, SCU for results |
| Storage Commitment Push Model | ichnode AE | SCU (option), SCP (option) |
| Query/Retrieve, Study Root | ichnode AE | SCU (option) |
| STOW-RS | ichnode AE | user agent (option) |
| UPS-RS, and WADO-RS for its images | ichnode AE | user agent (option) |

### 5.2 DIMSE Services

#### 5.2.1 Basic Worklist Management Service

Not supported.

#### 5.2.2 Modality Performed Procedure Step Service

Not supported.

#### 5.2.3 Unified Worklist and Procedure Step Service

Not supported over DIMSE.

#### 5.2.4 Instance Availability Notification Service

Not supported.

#### 5.2.5 Storage Service

##### 5.2.5.1 SCU of the Storage SOP Classes

| Property | Value |
| --- | --- |
| Associations | one per destination at a time unless `peers.associations` says more; results of \
one series never overtake each other, those of urgent studies go before all others |
| Association kept open | after its last object an association stays open for `peers.keep_open_s` \
(2 s; 0: it is released at once) and serves the next results that need no other presentation \
context; then the node releases it, and before it opens another beyond `peers.associations` |
| Order of objects | secondary captures, segmentation, forecast, uncertainty map, page, \
key objects, report; \
with `peers.report_first` the report first |
| Retry | an attempt that failed: {attempts} attempts, waiting from \
{first:g} s, doubled up to {longest:g} s (`delivery.*`); an object that is refused: \
{refusal} attempts |
| Circuit breaker | after {unreachable} failed connections in a row a destination is only probed \
by C-ECHO, every {probe:g} to {longest_probe:g} s; nothing that waits for it is given up |
| Transfer syntax | the first of `peers.encodings` that the object can take and the \
destination accepts |

| Object | SOP Class | Content |
| --- | --- | --- |
| Capture | Secondary Capture Image Storage | one RGB image per slice of the triplet: the slice \
with outline and Grad-CAM overlay on its own pixel grid, inside margins that hold scale, \
orientation, numbers and RESEARCH USE ONLY; position and spacing are those of the larger image |
| Segmentation | Segmentation Storage | the hematoma, binary, on the grid of the source series |
| Forecast | Segmentation Storage | the hematoma as a growth model expects it at follow-up if it \
expands, binary, in a series of its own with a private property type; never merged with the \
measured one; only where `worker.growth_bundle` names a model and `results.forecast` is true |
| Uncertainty map | Parametric Map Storage | entropy of the segmentation in nats on the grid of \
the source series, 32-bit floats with a real world value mapping; only where \
`results.uncertainty_map` is true |
| Page | Encapsulated PDF Storage | the report as one A4 page, fonts embedded, without a \
patient's name; only where `results.pdf` is true |
| Key objects | Key Object Selection Document Storage | Of Interest (TID 2010): captures and the \
slice of largest area; only where `results.key_objects` is true |
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
| Page | Encapsulated PDF Storage | the report as one A4 page, fonts embedded, without a \
patient's name, but with the dates of both scans (Burned In Annotation YES); only where \
`results.pdf` is true |
| Key objects | Key Object Selection Document Storage | Of Interest (TID 2010): the capture and \
the follow-up's slice of largest area; the baseline's, too, where it is of the same study; only \
where `results.key_objects` is true |
| Report | Comprehensive 3D SR Storage | both measurements, change with its range, expansion by \
which criterion, elapsed time, flags; in the study of the follow-up, with the evidence of both |

All objects belong to the study, patient and frame of reference of the source series. Their UIDs
are derived from the source instances, the model and its configuration: the same input
yields the same objects, a changed input yields new ones that name their predecessors.
If no hematoma is found, no segmentation and no map is made, and the report says so. What the
objects hold stands in annexes A.A and A.B.

###### 5.2.5.1.1 Transcoding of Transfer Syntaxes

Objects are kept in Explicit VR Little Endian.

| From | To | Supported |
| --- | --- | --- |
| Explicit VR Little Endian | Implicit VR Little Endian, Deflated Explicit VR Little Endian | \
SUPPORTED (same SOP Instance UID) |
| Explicit VR Little Endian | JPEG-LS Lossless, RLE Lossless | SUPPORTED (same SOP Instance UID) \
for captures, where `peers.encodings` names `jpegls` or `rle`: every pixel value is restored; \
other objects NOT_SUPPORTED |
| Explicit VR Little Endian | any other | NOT_SUPPORTED; nothing is ever compressed with loss |

##### 5.2.5.2 SCP of the Storage SOP Classes

Success is answered only when the encoded data set has been written and synchronised to disk under
a name that every start of the node finds; its row in the ledger follows within {row:g} s, or is
made by that start. Data sets are kept as they were encoded; nothing is coerced and
no pixel is decoded by the receiver. Level of conformance: level 2 (full) until the analysis.
An instance that is sent again is answered with Success; identical content changes nothing.
Requested Procedure Priority (0040,1003), Study Priority ID (0032,000C), descriptions and the
calling AE title may make a study urgent (`[urgent]`): it is analysed and sent before others. The
Priority (0000,0700) of a C-STORE request is not looked at.
"""

_BETWEEN: Final = """
#### 5.2.8 Print Management Service

Not supported.

### 5.3 DICOM Web Services

#### 5.3.1 URI Web Service

Not supported.

#### 5.3.2 Studies Web Service

##### 5.3.2.1 Media Types

| Transaction | Sent | Accepted |
| --- | --- | --- |
| Retrieve | - | `multipart/related; type="application/dicom"` in every transfer syntax |
| Store | `multipart/related; type="application/dicom"`, Explicit VR Little Endian | \
`application/dicom+json`, `application/dicom+xml` |
"""

_SEARCH: Final = """
##### 5.3.2.4 Search Transaction

Not supported.
"""

_REST: Final = """
#### 5.3.4 Non-Patient Instance Web Service

Not supported.

#### 5.3.5 Notification Web Service

Not supported.

#### 5.3.6 Storage Commitment Web Service

Not supported.

#### 5.3.7 Modality Scheduled Procedure Step Web Service

Not supported.

#### 5.3.8 Modality Performed Procedure Step Web Service

Not supported.

### 5.4 Media Services

None.

### 5.5 Real-Time Video Services

None.

### 5.6 Cross-Service Considerations

An object that a destination accepted by C-STORE is delivered; where commitment is asked, only when
the destination has committed itself to it. Images that are fetched as earlier scans are treated
like received ones, and their results are sent, too.

### 5.7 Specific Character Sets

Received: any; a character set that the node does not know changes nothing in custody, and what it
cannot decode is not shown. Sent: ISO_IR 192. Queries are made in the character set of the images
that name the patient, and only of values without wildcards.
"""


def model_and_services(settings: Settings) -> str:
    """Return sections 4 and 5 in Markdown."""
    delivery = settings.delivery
    head = _MODEL.format(
        ae_title=settings.node.ae_title,
        attempts=delivery.attempts,
        first=delivery.first_retry_s,
        longest=delivery.longest_wait_s,
        refusal=delivery.refusal_attempts,
        unreachable=delivery.unreachable_after,
        probe=delivery.first_probe_s,
        longest_probe=delivery.longest_probe_s,
        row=PAUSE_S,
    )
    return "".join(
        [
            head,
            commitment_section(settings),
            query_section(settings),
            _BETWEEN,
            retrieve_section(),
            store_section(),
            _SEARCH,
            worklist_section(),
            _REST,
        ]
    )


def context_tables() -> tuple[str, str]:
    """Return the presentation contexts that are proposed, and those that are accepted."""
    return presentation_context_table(PROPOSED), presentation_context_table(ACCEPTED)
