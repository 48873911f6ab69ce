"""The part of the conformance statement about queries and retrievals that the node starts."""

from typing import Final

from dicom_node.association.presentation import QUERIED, presentation_context_table
from dicom_node.association.query import MOST_ANSWERS
from dicom_node.association.study_listing import MOST_STUDIES as LISTED_AT_ONCE
from dicom_node.intake.prior_choice import MOST_SERIES, MOST_STUDIES
from dicom_node.manual_runs.offer import MOST_SERIES as MOST_MANUAL
from dicom_node.settings.schema import Settings

_TEXT: Final = """
#### 5.2.7 Query/Retrieve service: search for earlier scans and studies that are asked for (SCU)

Searches for earlier scans: only at peers with `gives_priors`, once per study and peer, after the
first result of a study with a hematoma. One association for the queries, one for the retrieval;
neither is opened while the node has nothing to ask. It answers no queries itself.

{contexts}

C-GET is proposed together with the CT contexts of section 7.2.1.2, for which the node proposes the
SCP role by SCP/SCU Role Selection; each sub-operation is answered as in 5.2.5.2. C-MOVE names
`node.ae_title` as the move destination.

| Request | Level | Keys |
| --- | --- | --- |
| C-FIND | STUDY | matching: Patient ID (single value), Study Date (range of \
`follow_up.window_h`, {window:g} h by default); returned: Study Time, Study Instance UID, \
Modalities in Study, Issuer of Patient ID, Patient's Birth Date, Patient's Sex |
| C-FIND | SERIES | matching: Study Instance UID, Modality (CT); returned: Series Instance UID, \
Series Description, Body Part Examined, Protocol Name, Number of Series Related Instances |
| C-FIND, asked for by a person | STUDY | matching: one of Patient ID, Study Instance UID, \
Accession Number (single value); returned: the others, Study Date, Study Time, \
Study Description, Modalities in Study |
| C-FIND, re-read of an archive | STUDY | matching: Study Date (single value), Modalities in \
Study (single value), Study Time (range, only where a day has more than {listed} studies); \
returned: Study Instance UID |
| C-FIND, asked for by a person | SERIES | matching: Study Instance UID; returned: Modality, and \
as above |
| C-MOVE or C-GET | SERIES | Study Instance UID, Series Instance UID |

Answers beyond {answers} per query are not used. Answers with another Patient ID, issuer, birth
date or sex than the images, or outside the range of dates, are left out, also if the peer does not
support the key. Of the {studies} earliest studies at most {series} series each are retrieved.
Of studies that a person asks for (`ichnode pull`, the page of uploads) or that a re-read takes
(`ichnode reprocess`) at most {manual} series each are retrieved, at any peer; a re-read asks for
one study after the other, first as a person does by Study Instance UID.

| Status | Behaviour |
| --- | --- |
| Success (0000H), Pending (FF00H, FF01H) | as the standard says |
| Warning (B000H) | what was sent is used; the number of failed images is told |
| any other status, time-out, abort | told in words; the search is tried again, \
{attempts} attempts, waiting from {first:g} s, doubled up to {longest:g} s (`follow_up.*`) |
"""


def query_section(settings: Settings) -> str:
    """Return the section in Markdown, with the defaults of the settings."""
    follow_up = settings.follow_up
    return _TEXT.format(
        contexts=presentation_context_table(QUERIED),
        window=follow_up.window_h,
        answers=MOST_ANSWERS,
        listed=LISTED_AT_ONCE,
        studies=MOST_STUDIES,
        series=MOST_SERIES,
        manual=MOST_MANUAL,
        attempts=follow_up.search_attempts,
        first=follow_up.first_retry_s,
        longest=follow_up.longest_wait_s,
    )
