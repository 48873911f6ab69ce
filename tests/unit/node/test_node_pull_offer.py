"""What is fetched of the series that a peer tells of, and when nothing more is to come."""

from dataclasses import replace

import pytest

from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.association.study_query import FoundSeries, StudyWish
from dicom_node.errors import UnaskablePatientError
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.selection import SeriesAttribute, TextRule
from dicom_node.manual_runs.offer import MOST_SERIES, judge
from dicom_node.manual_runs.pull import advice

STUDY = "1.2.3"


def series(number, description="HEAD 5.0 H31s", **changes):
    more = {"body_part": "HEAD", "instances": 30, "modality": "CT"} | changes
    modality = more.pop("modality")
    return FoundSeries(
        series=RemoteSeries(
            study_instance_uid=more.pop("study", STUDY),
            series_instance_uid=f"1.2.3.{number}",
            study_date="20260104",
            study_time="",
            description=description,
            **more,
        ),
        modality=modality,
    )


def reason_of(one, rules=DEFAULT_RULES, **here):
    (judged,) = judge([one], rules, images_here=here).series
    return judged.fits, judged.reason


def test_a_head_ct_is_fetched():
    """Nothing speaks against it."""
    offer = judge([series(1)], DEFAULT_RULES, images_here={})

    assert [one.series_instance_uid for one in offer.wanted] == ["1.2.3.1"]
    assert offer.images == 30


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (series(1, modality="MR"), "its modality is MR"),
        (series(1, modality="SR"), "its modality is SR"),
        (series(1, "Topogram 0.6"), "excluded by rule: description matches"),
        (series(1, body_part="CHEST"), "excluded by rule: body_part matches"),
        (series(1, instances=3), "3 images, at least 10 needed"),
    ],
)
def test_what_is_left_says_why(one, why):
    """Modality, the site's rules, too few images."""
    fits, reason = reason_of(one)

    assert not fits
    assert reason.startswith(why)


def test_one_object_may_be_a_whole_scan():
    """Enhanced CT has all frames in one instance."""
    assert reason_of(series(1, instances=1))[0]


def test_a_rule_that_a_query_cannot_judge_leaves_nothing_out():
    """No query tells the kernel; the images do once they are here."""
    kernel = replace(
        DEFAULT_RULES, include=(TextRule(attribute=SeriesAttribute.KERNEL, pattern="H31"),)
    )
    described = replace(
        DEFAULT_RULES, include=(TextRule(attribute=SeriesAttribute.DESCRIPTION, pattern="brain"),)
    )

    assert reason_of(series(1), kernel)[0]
    assert reason_of(series(1, ""), described)[0]
    assert reason_of(series(1), described) == (False, "no rule includes it")


def test_the_best_of_each_study_are_fetched():
    """A bone kernel is worth fewer points than four of soft tissue."""
    soft = [series(number) for number in range(1, MOST_SERIES + 1)]
    offer = judge(
        [series(9, "HEAD bone"), *soft, series(20, study="1.2.4")], DEFAULT_RULES, images_here={}
    )

    wanted = {one.series_instance_uid for one in offer.wanted}
    assert wanted == {one.series.series_instance_uid for one in soft} | {"1.2.3.20"}
    (bone,) = (one for one in offer.series if one.series.description == "HEAD bone")
    assert bone.reason == f"rank 4 of 4 by what the peer tells; the best {MOST_SERIES} are fetched"


@pytest.mark.parametrize(("images", "is_here"), [(0, False), (29, False), (30, True)])
def test_what_is_here_is_not_fetched_again(images, is_here):
    """A series of which images are missing is."""
    offer = judge([series(1)], DEFAULT_RULES, images_here={"1.2.3.1": images})

    assert bool(offer.here) is is_here
    assert bool(offer.wanted) is not is_here


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"patient_id": "P1", "study_uid": "1.2"},
        {"patient_id": "P*"},
        {"patient_id": "P\\Q"},
        {"accession": "A?"},
        {"patient_id": "P\n"},
        {"patient_id": "P" * 65},
        {"study_uid": "one.two"},
    ],
)
def test_a_wish_names_one_thing_and_no_pattern(fields):
    """A wildcard would bring other patients (PS3.4, C.2.2.2.4); the refusal quotes nothing."""
    with pytest.raises(UnaskablePatientError) as refused:
        StudyWish(**fields)

    assert not any(value in str(refused.value) for value in fields.values())


def test_a_wish_does_not_show_of_whom():
    """Whoever logs one logs no patient."""
    wish = StudyWish(patient_id="POISON")

    assert "POISON" not in repr(wish) + wish.words


def done(**changes):
    facts = {"completed": 30, "failed": 0, "status": 0, "message": ""} | changes
    return Retrieval(series=series(1).series, **facts)


def told(*retrievals):
    return advice(retrievals, node_title="ICHNODE", peer_title="PACS")


def test_nothing_is_advised_if_all_images_came():
    """Nothing to put right."""
    assert told(done()) == ""


def test_an_unknown_move_destination_says_what_to_enter_where():
    """Status A801 of C-MOVE (PS3.4, table C.4-2)."""
    words = "pacs: it does not know our AE title as a move destination (0xA801)"

    assert told(done(completed=0, status=0xA801, message=words)) == (
        f"{words}: enter ICHNODE there with this node's host and port, or use C-GET"
    )


def test_images_that_did_not_come_say_where_to_look():
    """The peer could not store at the node: it may not call, or calls somewhere else."""
    words = told(done(completed=0, failed=30, status=0xB000, message="pacs: some failed"))

    assert "30 images did not come: may PACS call the node (node.callers)" in words
