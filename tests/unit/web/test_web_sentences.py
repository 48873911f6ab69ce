"""The ledger's sentences in Chinese: whatever the node itself says is found by its pattern."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.bootstrap import standing
from dicom_node.intake.assembly import AssemblyRules, SeriesAssembly, judge
from dicom_node.intake.instance import SeriesAttributes
from dicom_node.intake.selection import (
    Candidate,
    SelectionRules,
    SeriesAttribute,
    TextRule,
    select,
)
from dicom_node.intake.urgency import UrgencyRules, urgency
from dicom_node.jobs import planning
from dicom_node.web.language import translations
from dicom_node.web.sentences import REJECTIONS, translated
from pipeline.rejection import RejectionCode, RejectionReason

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[a-z]{4,}")
CT = "1.2.840.10008.5.1.4.1.1.2"


def chinese(sentence):
    return translated(sentence, translations("zh").gettext)


def candidate(uid="1.2", *, slices=30, **attributes):
    return Candidate(
        series_instance_uid=uid,
        attributes=SeriesAttributes(**{"sop_class_uid": CT, **attributes}),
        orientation=None,
        slices=slices,
    )


def objections():
    """Return what selection says of series that break every rule, and of one outranked."""
    scout = TextRule(attribute=SeriesAttribute.DESCRIPTION, pattern="scout|dose; 3D")
    head = TextRule(attribute=SeriesAttribute.BODY_PART, pattern="HEAD")
    rules = SelectionRules(exclude=(scout,), include=(head,))
    bad = candidate(
        sop_class_uid="1.2", description="SCOUT|", slices=1, slice_thickness_mm=12.5,
        contrast_agent="yes",
    )  # fmt: skip
    several = select([bad], rules).refused["1.2"].reason
    pair = select([candidate("1.2"), candidate("1.3")], SelectionRules())
    return [several, pair.chosen["1.2"], pair.refused["1.3"].reason]


def verdicts():
    """Return what assembly says of a series."""
    rules, at = AssemblyRules(), NOON + timedelta(hours=1)
    series = {"slices": (), "last_received_at": NOON}
    return [
        judge(SeriesAssembly(**series), rules, NOON).reason,
        judge(SeriesAssembly(**series), rules, at).reason,
        judge(SeriesAssembly(**series, open_associations=2), rules, at).reason,
        judge(SeriesAssembly(**series, fetching_since=NOON), rules, at).reason,
        judge(SeriesAssembly(**series, patients=2), rules, at).reason,
    ]


def urgencies():
    """Return why series are urgent."""
    rule = TextRule(attribute=SeriesAttribute.STUDY, pattern="stroke")
    rules = UrgencyRules(callers=frozenset({"ER1"}), priorities=frozenset({"STAT"}), rules=(rule,))
    stat, stroke = SeriesAttributes(priority="STAT"), SeriesAttributes(study="stroke")
    return [
        urgency([stat], "ER1", rules),
        urgency([stat], "CT1", rules),
        urgency([stroke], "CT1", rules),
        f"with its study: {urgency([stat], 'CT1', rules)}",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        *(objections() + verdicts() + urgencies()),
        *(planning.NO_TIME, planning.PURGED, planning.OTHER_ISSUER),
        "worker-1 stopped without a word",
        "not committed: no report after 5 requests",
    ],
)
def test_what_the_node_says_is_said_in_chinese(sentence):
    """Every number and name of it stays; nothing is lost."""
    told = chinese(sentence)

    assert CHINESE.search(told), told
    for part in re.findall(r"\d+(?:\.\d+)?|[A-Z]{2,}\d*", sentence):
        assert part in told


@pytest.mark.parametrize("code", RejectionCode)
def test_every_rejection_of_the_models_has_its_words(code):
    """By its code; what was found and needed stays as support needs it."""
    reason = RejectionReason(code=code, found="5 slices", needed="at least 10")

    told = chinese(reason.message)

    assert told != reason.message
    assert CHINESE.search(told)
    assert "5 slices" in told
    assert "at least 10" in told
    assert str(code) in REJECTIONS


def alarms():
    """Return the sentences of standing alerts, with 7 in place of what is filled in."""
    tree = ast.parse(Path(standing.__file__).read_text(encoding="utf-8"))
    calls = [
        one.value
        for one in ast.walk(tree)
        if isinstance(one, ast.keyword) and one.arg == "sentence"
    ]
    found = []
    for value in calls:
        parts = value.values if isinstance(value, ast.JoinedStr) else [value]
        words = [part.value if isinstance(part, ast.Constant) else "7" for part in parts]
        found.append("".join(words))
    return found


@pytest.mark.parametrize("sentence", alarms())
def test_every_alarm_of_the_node_is_said_in_chinese(sentence):
    """A new alarm needs its pattern in `dicom_node.web.sentences`."""
    assert CHINESE.search(chinese(sentence)), sentence


@pytest.mark.parametrize(
    "sentence",
    [
        *("", "A900: SOP class not wanted", "x" * 5000, "50 % of it"),
        "the archive of the whole department accepts nothing",
        "our service answers",
        "pacs: some of them accepted",
    ],
)
def test_words_of_others_stay_as_they_are(sentence):
    """Also whatever is too long to be one of ours."""
    assert chinese(sentence) == sentence


def test_several_sentences_are_told_one_by_one():
    """As selection joins them, and as assembly does."""
    first, second = "its images are no CT images", "no rule includes it"
    semicolon = translations("zh").gettext("; ")

    assert chinese(f"{first}; {second}") == chinese(first) + semicolon + chinese(second)


def test_the_page_of_a_study_says_why_in_chinese(node):
    """The reason of a series, its timeline, and what makes it urgent."""
    client = node.client("otto")
    client.cookies.set("ichnode-language", "zh")
    node.ledger.urgent_lane.hurry(node.study, node.clock())

    page = client.get(f"/studies/{node.study}").text

    assert "an operator said so" not in page
    assert chinese("an operator said so") in page
    assert chinese("from MODALITY") in page
    assert "quiet for 5 s" not in page
