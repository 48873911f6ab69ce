"""Which of the series that a PACS offers are fetched."""

from datetime import datetime

from dicom_node.association.query import RemoteSeries
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.prior_choice import choose_priors

TAKEN = datetime(2026, 1, 5, 8, 30)  # noqa: DTZ001 - most scanners name no time zone


def offered(number, *, study=None, date="20260104", time="101500", **facts):
    return RemoteSeries(
        study_instance_uid=f"1.{study or number}",
        series_instance_uid=f"2.{number}",
        study_date=date,
        study_time=time,
        **{"description": "HEAD 5.0", "body_part": "HEAD", "instances": 30, **facts},
    )


def chosen(*series, known_series=(), known_studies=()):
    found = choose_priors(
        series,
        before=TAKEN,
        known_series=known_series,
        known_studies=known_studies,
        rules=DEFAULT_RULES,
    )
    return [one.series_instance_uid for one in found]


def test_what_the_site_excludes_is_not_fetched():
    """A scout, an angiography, a chest and a series of two images are no heads to compare."""
    assert chosen(
        offered(1),
        offered(2, description="Topogram"),
        offered(3, description="CTA head"),
        offered(4, body_part="CHEST"),
        offered(5, instances=2),
    ) == ["2.1"]


def test_what_a_pacs_does_not_tell_excludes_nothing():
    """Many do not count images or name a body part in a query."""
    assert chosen(offered(1, description="", body_part="", instances=None)) == ["2.1"]


def test_of_a_study_the_two_best_are_fetched():
    """By the points of the site's rules: a bone kernel's description counts against a series."""
    assert chosen(
        offered(1, study=9, description="head bone"),
        offered(2, study=9, description="head"),
        offered(3, study=9, description="brain", body_part=""),
    ) == ["2.2", "2.3"]


def test_the_earliest_three_studies_are_fetched():
    """The first is the baseline; the others may be follow-ups."""
    days = ["20260105", "20260103", "20260104", "20260102"]
    times = ["080000", "120000", "120000", "120000"]
    series = [
        offered(n, date=day, time=time)
        for n, (day, time) in enumerate(zip(days, times, strict=True))
    ]

    assert chosen(*series) == ["2.3", "2.1", "2.2"]


def test_what_is_here_is_not_fetched_again():
    """Neither a series that the node has, nor another one of a study that was analysed."""
    series = (offered(1), offered(2), offered(3))

    assert chosen(*series, known_series={"2.1"}, known_studies={"1.2"}) == ["2.3"]


def test_a_later_study_is_no_prior():
    """At 9:00 is later than at 8:30; a study of the same day without a time may be earlier."""
    assert chosen(
        offered(1, date="20260105", time="090000"),
        offered(2, date="20260105", time="0815"),
        offered(3, date="20260105", time=""),
    ) == ["2.3", "2.2"]
