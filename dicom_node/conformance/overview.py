"""Sections 1 and 3 of the statement: what the node does for whom, in tables of one line each."""

from collections.abc import Iterable
from typing import Final

from dicom_node.association.presentation import (
    ACCEPTED,
    PROPOSED,
    QUERIED,
    VERIFICATION,
    AbstractSyntax,
)

_COVER: Final = """\
# DICOM conformance statement

| | |
| --- | --- |
| Product | ichnode |
| Version | {version} |
| Made by | the ichnode project (open source, Apache-2.0) |
| Document | written by `ichnode conformance` from the tables that the node runs on; not edited |

RESEARCH USE ONLY: ichnode is not a medical device. The sections are those of PS3.2, Annex N;
what a heading of that annex asks for and the node does not do is said in one line.

## 1 Overview

ichnode receives head CT series by C-STORE, analyses one series per study for intracerebral
hematoma and sends its results to the configured destinations by C-STORE or STOW-RS. Two scans of
one patient are compared; where the site wants it, earlier ones are sought at peers by
Query/Retrieve. It is no archive: it keeps objects for its own work and answers no query.

### 1.1 Content and Transfer

| SOP Class | UID | Created | Received (Storage SCP) | Sent (Storage SCU) | Sent (STOW-RS) |
| --- | --- | --- | --- | --- | --- |
{content}

#### 1.1.1 Structured Reporting Root Template IDs

| SOP Class | Root template | Mapping resource |
| --- | --- | --- |
| Comprehensive 3D SR Storage | TID 1500 Measurement Report | DCMR |

### 1.2 DIMSE Services

| Service | SCU | SCP |
| --- | --- | --- |
| 1.2.1 Verification | Y | Y |
| 1.2.2 Storage | Y | Y |
| 1.2.2 Storage Commitment Push Model | Y, option | Y, option |
| 1.2.3 Workflow management (Modality Worklist, MPPS, UPS over DIMSE, IAN) | N | N |
{queried}
| 1.2.5 Print management | N | N |

### 1.3 DICOM Web Services

| Service | User agent | Origin server |
| --- | --- | --- |
| 1.3.1 URI service (WADO-URI) | N | N |
| 1.3.2 Studies service: store (STOW-RS) | Y, option | N |
| 1.3.2 Studies service: retrieve (WADO-RS) | Y, option | N |
| 1.3.2 Studies service: search (QIDO-RS) | N | N |
| 1.3.3 Worklist service (UPS-RS) | Y, option | N |
| 1.3.4 Non-Patient Instance service | N | N |
| 1.3.5 Storage Commitment service | N | N |
| 1.3.6 Modality Scheduled Procedure Step service | N | N |
| 1.3.7 Modality Performed Procedure Step service | N | N |

### 1.4 Media Services

None. `ichnode analyze` writes Part 10 files into a folder, without a DICOMDIR.

### 1.5 Real-Time Video Service

None.

### 1.6 De-identification Profiles

`ichnode export-cohort` writes de-identified copies by the rules in
[export.md](export.md). They follow the Basic Application Level Confidentiality Profile (PS3.15,
Annex E) as far as that page says; no option of the profile is claimed here.

### 1.7 Specific Character Sets

Images in every character set of the standard are accepted and kept as they are. Results are
written in ISO_IR 192 (UTF-8).
"""

_INTRODUCTION: Final = """
## 3 Introduction

### 3.1 Revision History

The revision is that of the software: see its change log. This statement is written anew with every
version.

### 3.2 Audience

Those who connect the node to scanners, archives and viewers.

### 3.3 Remarks

A conformance statement does not promise that two systems work together. Test them:
`ichnode echo PEER --contexts` asks a peer what it takes before anything is sent.

### 3.4 Terms and Definitions

See the [glossary](glossary.md), and PS3.1.

### 3.5 Abbreviations

AE Application Entity, SCU/SCP Service Class User/Provider, SEG Segmentation, SC Secondary Capture,
SR Structured Report, TID Template Identifier, CID Context Group Identifier.

### 3.6 References

DICOM PS3.2 (Annex N), PS3.3, PS3.4, PS3.5, PS3.7, PS3.8, PS3.10, PS3.15, PS3.16, PS3.18.
"""


def overview_section(version: str) -> str:
    """Return cover and section 1 in Markdown."""
    return _COVER.format(
        version=version,
        content="\n".join(_content()),
        queried="\n".join(f"| 1.2.4 {one.name} | Y, option | N |" for one in QUERIED),
    )


def introduction_section() -> str:
    """Return section 3 in Markdown."""
    return _INTRODUCTION


def _content() -> Iterable[str]:
    sent = {one.sop_class_uid for one in PROPOSED}
    received = {one.sop_class_uid for one in ACCEPTED}
    for one in _stored():
        made = "Y" if one.sop_class_uid in sent else "N"
        taken = "Y" if one.sop_class_uid in received else "N"
        yield f"| {one.name} | {one.sop_class_uid} | {made} | {taken} | {made} | {made} |"


def _stored() -> list[AbstractSyntax]:
    return [one for one in (*ACCEPTED, *PROPOSED) if one.sop_class_uid != VERIFICATION]
