"""A study that somebody names, looked for at a PACS and fetched over the loopback address."""

import threading
from dataclasses import replace
from functools import partial

import pytest
from node_builders import Clock, opened_ledger, small_series
from query_provider import QueryProvider

from dicom_node.association.peers import Peer
from dicom_node.association.retrieve import get_series, move_series
from dicom_node.association.study_query import StudyWish, find_studies
from dicom_node.errors import QueryRefusedError
from dicom_node.intake.custody import Custody
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.intake.spool import Spool, SpoolLimits
from dicom_node.jobs.study_search import StudySearch
from dicom_node.manual_runs.pull import Pull, advice
from dicom_node.manual_runs.standing import Standings, Step

FREE = threading.Event()


def scan(number, **changes):
    images = small_series(seed=number, study_uid=f"1.2.{number}", patient_id="P1")
    for image in images:
        image.StudyDate, image.StudyTime = "20260104", "101500"
        image.AccessionNumber = f"A{number}"
        for keyword, value in changes.items():
            setattr(image, keyword, value)
    return images


def peer_at(port):
    return Peer(
        name="pacs",
        ae_title="PACS",
        host="127.0.0.1",
        port=port,
        calling_ae_title="ICHNODE",
        dimse_timeout_s=60,
    )


def studies(port, **wish):
    found = find_studies(peer_at(port), StudyWish(**wish), stop=FREE)
    return {one.series.study_instance_uid for one in found}


def test_a_study_is_found_by_any_of_its_three_names():
    """Patient ID, Study Instance UID, Accession Number."""
    images = [*scan(1), *scan(2), *scan(3, PatientID="P2")]
    with QueryProvider(images).listening() as port:
        assert studies(port, patient_id="P1") == {"1.2.1", "1.2.2"}
        assert studies(port, study_uid="1.2.3") == {"1.2.3"}
        assert studies(port, accession="A2") == {"1.2.2"}
        assert studies(port, patient_id="P9") == set()


def test_a_careless_pacs_is_not_believed():
    """It tells everything it has, whatever is asked."""
    provider = QueryProvider([*scan(1), *scan(2, PatientID="P2")])
    provider.ignores_keys = True
    with provider.listening() as port:
        assert studies(port, patient_id="P1") == {"1.2.1"}
        assert studies(port, accession="A1") == {"1.2.1"}


@pytest.fixture
def custody(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        spool = Spool(tmp_path / "spool", limits=SpoolLimits(free_floor_bytes=0))
        yield (
            ledger,
            Custody(spool=spool, register=ledger.arrivals, patient_salt=ledger.patient_salt),
        )


def pull_of(custody, port, fetch=None):
    ledger, intake = custody
    return Pull(
        peer=peer_at(port),
        find=find_studies,
        fetch=fetch or partial(get_series, peer_at(port), intake=intake, clock=Clock()),
        standings=Standings(StudySearch(ledger.database)),
        rules=DEFAULT_RULES,
    )


def test_a_pulled_study_is_in_custody_and_is_not_fetched_twice(custody):
    """By C-GET; the magnetic resonance series of the study stays where it is, and says why."""
    other = scan(1, Modality="MR", SeriesInstanceUID="1.2.1.9")
    with QueryProvider([*scan(1), *other]).listening() as port:
        pull = pull_of(custody, port)
        offer = pull.look(StudyWish(study_uid="1.2.1"), stop=FREE)
        (done,) = pull.bring(offer, stop=FREE)
        second = pull.look(StudyWish(patient_id="P1"), stop=FREE)

    assert {one.modality: one.reason for one in offer.series}["MR"] == "its modality is MR"
    assert (done.ok, done.completed) == (True, 12)
    assert (second.wanted, len(second.here)) == ((), 1)
    (standing,) = pull.standings.of([("1.2.1", done.series.series_instance_uid)])
    assert (standing.step, standing.images) == (Step.RECEIVING, 12)


def test_nothing_of_the_kind_is_told_without_naming_the_patient(custody):
    """The words go to a terminal, perhaps into somebody's log."""
    with (
        QueryProvider(scan(1)).listening() as port,
        pytest.raises(QueryRefusedError, match=r"pacs has nothing of a Patient ID$"),
    ):
        pull_of(custody, port).look(StudyWish(patient_id="POISON"), stop=FREE)


def test_a_pacs_that_does_not_know_the_node_is_told_so(custody):
    """C-MOVE to a destination that it has not (A801)."""
    with QueryProvider(scan(1)).listening() as port:
        pull = pull_of(custody, port, fetch=partial(move_series, peer_at(port)))
        done = pull.bring(pull.look(StudyWish(patient_id="P1"), stop=FREE), stop=FREE)

    assert "enter ICHNODE there" in advice(done, node_title="ICHNODE", peer_title="PACS")


def test_an_image_that_is_not_there_is_awaited(custody):
    """C-MOVE has been answered, the images are on their way."""
    with QueryProvider([]).listening() as port:
        pull = pull_of(custody, port)

    (standing,) = pull.standings.of([("1.2.1", "1.2.1.1")])
    assert standing.step is Step.AWAITED
    assert not replace(standing, images=3).is_over
