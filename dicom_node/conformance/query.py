"""The parts of the conformance statement about queries and retrievals that the node starts."""

from typing import Final

from dicom_node.association.presentation import QUERIED, presentation_context_table
from dicom_node.association.query import MOST_ANSWERS
from dicom_node.association.study_listing import MOST_STUDIES as LISTED_AT_ONCE
from dicom_node.intake.prior_choice import MOST_SERIES, MOST_STUDIES
from dicom_node.manual_runs.offer import MOST_SERIES as MOST_MANUAL
from dicom_node.settings.schema import Settings

_TEXT: Final = """
#### 5.2.7 Query/Retrieve Service Class

The node asks for earlier scans, and for studies that a person or a re-read of an archive asks for
(`ichnode pull`, the page of uploads, `ichnode reprocess`). Earlier scans are sought only at peers
with `gives_priors`, once per study and peer, after the first result of a study with a hematoma.
One association for the queries, one for the retrieval; neither is opened while the node has
nothing to ask. It answers no queries itself.

{contexts}

##### 5.2.7.1 SCU of the Study Root Q/R Information Model - FIND SOP Class

| Asked for by | Level | Keys |
| --- | --- | --- |
| search for earlier scans | STUDY | matching: Patient ID (single value), Study Date (range of \
`follow_up.window_h`, {window:g} h by default); returned: Study Time, Study Instance UID, \
Modalities in Study, Issuer of Patient ID, Patient's Birth Date, Patient's Sex |
| search for earlier scans | SERIES | matching: Study Instance UID, Modality (CT); returned: \
Series Instance UID, Series Description, Body Part Examined, Protocol Name, Number of Series \
Related Instances |
| a person | STUDY | matching: one of Patient ID, Study Instance UID, \
Accession Number (single value); returned: the others, Study Date, Study Time, \
Study Description, Modalities in Study |
| a person, a re-read | SERIES | matching: Study Instance UID; returned: Modality, and as above |
| a re-read | STUDY | matching: Study Date (single value), Modalities in \
Study (single value), Study Time (range, only where a day has more than {listed} studies); \
returned: Study Instance UID |

Answers beyond {answers} per query are not used. Answers with another Patient ID, issuer, birth
date or sex than the images, or outside the range of dates, are left out, also if the peer does not
support the key. A re-read asks for one study after the other, first as a person does by Study
Instance UID.

##### 5.2.7.2 SCU of the Study Root Q/R Information Model - MOVE SOP Class

At level SERIES, by Study Instance UID and Series Instance UID; `node.ae_title` is the move
destination. Of the {studies} earliest studies at most {series} series each are retrieved; of
studies that a person or a re-read asks for at most {manual} series each, at any peer.

##### 5.2.7.3 SCU of the Study Root Q/R Information Model - GET SOP Class

As C-MOVE, and proposed together with the CT contexts of section 7.2.1.4, for which the node
proposes the SCP role by SCP/SCU Role Selection; each sub-operation is answered as in 5.2.5.2.
"""

_STATUSES: Final = """
##### 7.3.2.7 Query/Retrieve Service

Received for C-FIND, C-MOVE and C-GET:

| Status | Behaviour |
| --- | --- |
| Success (0000H), Pending (FF00H, FF01H) | as the standard says |
| Warning (B000H) | what was sent is used; the number of failed images is told |
| any other status, time-out, abort | told in words; the search is tried again, \
{attempts} attempts, waiting from {first:g} s, doubled up to {longest:g} s (`follow_up.*`) |
"""


def query_section(settings: Settings) -> str:
    """Return section 5.2.7 in Markdown, with the defaults of the settings."""
    return _TEXT.format(
        contexts=presentation_context_table(QUERIED),
        window=settings.follow_up.window_h,
        answers=MOST_ANSWERS,
        listed=LISTED_AT_ONCE,
        studies=MOST_STUDIES,
        series=MOST_SERIES,
        manual=MOST_MANUAL,
    )


def query_status_section(settings: Settings) -> str:
    """Return section 7.3.2.7 in Markdown, with the defaults of the settings."""
    follow_up = settings.follow_up
    return _STATUSES.format(
        attempts=follow_up.search_attempts,
        first=follow_up.first_retry_s,
        longest=follow_up.longest_wait_s,
    )
