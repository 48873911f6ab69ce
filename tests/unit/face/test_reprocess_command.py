"""What ``ichnode reprocess start`` makes of its words, and what its report holds."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from dicom_node.commands.reprocess import Asked, _span, _write_csv
from dicom_node.jobs.reprocess_state import ReprocessRequest, StudyEntry, StudyState
from dicom_node.operator_error import OperatorError
from dicom_node.settings.schema import PeerSettings, Settings

PACS = PeerSettings(name="pacs", ae_title="PACS", host="pacs", port=104, receives_results=True)
SETTINGS = Settings(peers=(PACS,))
ASKED = Asked(
    peer="pacs",
    folder=None,
    since="2020-01-01",
    until="2020-01-31",
    modality="CT",
    studies=None,
    by="get",
    deliver="pacs",
    unless_model="ABC",
    pace=2.0,
    hours="20-6",
    waiting=5,
    workers=2,
)


def test_words_make_a_request_that_survives_the_ledger():
    """A month of 31 days, at night, two studies a minute; written and read again it stays."""
    request = ASKED.request(SETTINGS)

    assert (request.first_day, request.days) == (date(2020, 1, 1), 31)
    assert (request.from_hour, request.to_hour, request.per_minute) == (20, 6, 2.0)
    assert (request.deliver_to, request.unless_model) == (("pacs",), "abc")
    assert ReprocessRequest.of_text(request.as_text()) == request


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peer": ""}, "from a peer or from a --folder"),
        ({"peer": "other"}, "no peer is called 'other'"),
        ({"since": "", "until": ""}, "name days"),
        ({"until": ""}, "first and a last day"),
        ({"until": "2019-01-01"}, "before the first"),
        ({"since": "January"}, "Invalid isoformat"),
        ({"hours": "6-6"}, "are none"),
        ({"hours": "25-6"}, "from 0 to 23"),
        ({"by": "post"}, "post"),
        ({"deliver": "pacs,elsewhere"}, "no destination is called 'elsewhere'; there are: pacs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(change, words):
    """Before a run is noted."""
    with pytest.raises(OperatorError, match=words):
        replace(ASKED, **change).request(SETTINGS)


def test_a_list_of_studies_is_read_once_each(tmp_path):
    """Empty lines and repeats do not count; a line that is no UID is named by its number."""
    file = tmp_path / "uids.txt"
    file.write_text("1.2.3\n\n1.2.4 \n1.2.3\n")
    asked = replace(ASKED, since="", until="", studies=file)
    assert asked.listed() == ("1.2.3", "1.2.4")

    file.write_text("1.2.3\nDOE^JOHN\n")
    with pytest.raises(OperatorError, match=r"entry 2 of .* is no Study Instance UID"):
        asked.listed()


def test_the_report_has_a_line_for_every_study():
    """UIDs, state, reason, outcome, model, numbers, times."""
    entry = StudyEntry(
        entry_id=1,
        run_id=1,
        study_uid="1.2",
        state=StudyState.NOT_ELIGIBLE,
        reason="3 images, at least 10 needed",
        attempts=1,
        images=3,
        began_at=datetime(2026, 1, 5, tzinfo=UTC),
    )
    file = io.StringIO()
    _write_csv([entry, entry], file)

    assert file.getvalue().splitlines() == [
        "study_uid,state,reason,series_uid,outcome,model,images,attempts,began_at,finished_at",
        *['1.2,not_eligible,"3 images, at least 10 needed",,,,3,1,2026-01-05T00:00:00+00:00,'] * 2,
    ]


def test_time_left_is_told_as_people_say_it():
    """90 s, five hours, three days."""
    assert [_span(90), _span(5 * 3600), _span(72 * 3600)] == ["2 min", "5.0 h", "3.0 days"]
