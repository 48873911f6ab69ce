"""The parts of the conformance statement about worklists: UPS-RS, and images by WADO-RS."""

from typing import Final

from dicom_node.results.workitem_codes import ANALYSIS_WORKITEM, Discontinuation

_RETRIEVE: Final = """
##### 5.3.2.2 Retrieve Transaction

WADO-RS (PS3.18, section 10.4), as user agent. Only for workitems whose worklist has
`images_from = "web"`: whole series or studies as
`multipart/related; type="application/dicom"; transfer-syntax=*`. What comes is taken into custody
like an object of C-STORE; classes and encodings that the listener would not accept are left out.
"""

_WORKLIST: Final = """
#### 5.3.3 Worklist Web Service

UPS-RS (PS3.18, section 11), as user agent. For each `[[worklists]]` the node performs workitems.
Media type: `application/dicom+json`.

| Transaction | Resource | Used for |
| --- | --- | --- |
| Search | GET `/workitems` | SCHEDULED workitems, with the site's codes as matching keys \
where no labels are set; pages of 100, at most 10 |
| Retrieve | GET `/workitems/UID` | before a claim, and at each look while it is in hand |
| Change state | PUT `/workitems/UID/state` | IN PROGRESS (claim), COMPLETED, CANCELED, with the \
Transaction UID |
| Update | POST `/workitems/UID?transaction-uid=UID` | progress, performed procedure, outputs, \
reason of an end |
| Create, request cancellation, subscribe, unsubscribe, suspend, event channel | - | not used: \
the node asks every `worklists.poll_s` |

A workitem is claimed if it is SCHEDULED, its Input Readiness State is READY (or not stated), its
Scheduled Workitem Code or Procedure Step Label is one of the site's, its station codes are empty
or name this station, and its input names CT images. The Transaction UID is kept on disk before it
is used. Scheduled Procedure Step Priority HIGH makes the study urgent.

| Attribute written | Tag | When |
| --- | --- | --- |
| Procedure Step Progress, Description (in Progress Information Sequence) | (0074,1004), \
(0074,1006) | while it is in hand |
| Performed Station Name Code, Start and End DateTime, Description, Workitem Code | (0040,4028), \
(0040,4050), (0040,4051), (0040,0254), (0040,4019) | while it is in hand, and at its end |
| Output Information Sequence: every delivered object with study, series and where it can be \
retrieved | (0040,4033) | before COMPLETED |
| Procedure Step Cancellation DateTime, Reason For Cancellation, Discontinuation Reason Code | \
(0040,4052), (0074,1238), (0074,100E) | before CANCELED |

A workitem without a code of its own is performed as ({value}, {scheme}, {meaning}). Reasons of an
end without results (CID 9300):

| Code | Meaning |
| --- | --- |
{reasons}

A request for cancellation is honoured as long as the analysis has not begun; it is seen at the
next look, where the server shows it. Images that were routed to the node are analysed all the
same.

| HTTP status | Treated as |
| --- | --- |
| 400, 409, 413 | this workitem is refused; asked again later, given up after 12 times |
| 404, 410 | this workitem is gone |
| all others | the server takes no part; asked less and less often, up to \
`worklists.longest_wait_s` |
"""


def retrieve_section() -> str:
    """Return section 5.3.2.2 in Markdown."""
    return _RETRIEVE


def worklist_section() -> str:
    """Return section 5.3.3 in Markdown."""
    reasons = [one.as_dict for one in Discontinuation]
    return _WORKLIST.format(
        **ANALYSIS_WORKITEM,
        reasons="\n".join(f"| ({one['value']}, DCM) | {one['meaning']} |" for one in reasons),
    )
