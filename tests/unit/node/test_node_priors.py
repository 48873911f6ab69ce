"""Searches for earlier scans, with a PACS that is played."""

from datetime import date, timedelta

import pytest
from node_builders import file_bytes
from site_builder import ADMISSION, NEXT_DAY, PAIRING, Site, scan
from sqlalchemy import select

from dicom_node.association.peers import Peer
from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import PeerUnreachableError, QueryRefusedError, UnknownEntryError
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.prior_seeker import NOTHING, PriorSeeker, PriorSource, SeekingRules
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobKind
from dicom_node.jobs.tables import InstanceRow, PriorSearchRow

PLANS = PlanningRules(pairing=PAIRING, prior_peers=("pacs",))
RULES = SeekingRules(
    window=timedelta(hours=72),
    selection=DEFAULT_RULES,
    retry=RetryPolicy(max_attempts=2, first_delay_s=60),
)
PEER = Peer(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, calling_ae_title="ICHNODE")


class Pacs:
    """Has series, and hands them to the site when they are fetched."""

    def __init__(self, site):
        self.site = site
        self.scans = []
        self.queries = []
        self.fetched = []
        self.fault = None
        self.way = self.bring

    def find(self, peer, query, *, stop):
        del peer, stop
        self.queries.append(query)
        if self.fault is not None:
            raise self.fault
        return tuple(self.remote(images) for images in self.scans)

    def remote(self, images, day="20260104"):
        return RemoteSeries(
            study_instance_uid=images[0].StudyInstanceUID,
            series_instance_uid=images[0].SeriesInstanceUID,
            study_date=day,
            study_time="080000",
            description="HEAD",
            instances=len(images),
        )

    def fetch(self, series, *, stop):
        return self.way(series, stop=stop)

    def bring(self, series, *, stop):
        del stop
        self.fetched += [one.series_instance_uid for one in series]
        done = []
        for one in series:
            (images,) = (
                s for s in self.scans if s[0].SeriesInstanceUID == one.series_instance_uid
            )
            self.site.send(images)
            done.append(
                Retrieval(series=one, completed=len(images), failed=0, status=0, message="")
            )
        return tuple(done)


@pytest.fixture
def site(ledger, clock):
    return Site(ledger, clock, PLANS)


@pytest.fixture
def pacs(site):
    return Pacs(site)


@pytest.fixture
def seeker(ledger, clock, pacs, tmp_path):
    return PriorSeeker(
        ledger=ledger.priors,
        sources={"pacs": PriorSource(peer=PEER, fetch=pacs.fetch)},
        spool_root=tmp_path,
        rules=RULES,
        find=pacs.find,
        clock=clock,
    )


@pytest.fixture
def analyzed(site, ledger, tmp_path):
    """Analyse a scan whose first image lies in the spool, so that a search is due."""
    images = scan(1)
    task = site.analyze(images, NEXT_DAY)
    with ledger.database.read() as session:
        for path in session.scalars(select(InstanceRow.path)):
            (tmp_path / path).write_bytes(file_bytes(images[0]))
    return task


def state(ledger):
    with ledger.database.read() as session:
        row = session.scalars(select(PriorSearchRow)).one()
        return row.state.value, row.reason, row.attempts


def told(ledger, task):
    entries = ledger.reports.timeline(task.series_instance_uid)
    return [entry.text for entry in entries if entry.kind == "priors"]


def test_a_prior_is_fetched_analysed_and_compared_with(analyzed, seeker, pacs, site, ledger):
    """The search asks for the patient of the images, three days back; the rest goes as always."""
    prior = scan(2)
    pacs.scans = [prior]

    assert seeker.seek_once("pacs")
    baseline = site.finish(ADMISSION)

    (query,) = pacs.queries
    assert query.patient.patient_id == scan(1)[0].PatientID
    assert (query.first_day, query.last_day) == (date(2026, 1, 3), date(2026, 1, 6))
    assert state(ledger) == ("done", "fetched 12 images of 1 series", 1)
    assert told(ledger, analyzed) == ["pacs: fetched 12 images of 1 series"]
    task = site.claim().task
    assert task.kind is JobKind.COMPARISON
    assert (task.series_instance_uid, task.baseline.job_id) == (
        analyzed.series_instance_uid,
        baseline.job_id,
    )


def test_the_prior_itself_is_not_searched_for(analyzed, seeker, pacs, site):
    """One admission does not fetch the patient's whole past."""
    pacs.scans = [scan(2)]
    seeker.seek_once("pacs")
    site.finish(ADMISSION)

    assert analyzed.job_id
    assert not seeker.seek_once("pacs")


def test_nothing_is_fetched_twice(analyzed, seeker, pacs, site, ledger):
    """The scan itself is in the PACS, too; it is here already."""
    pacs.scans = [scan(1)]

    seeker.seek_once("pacs")

    assert pacs.fetched == []
    assert site.claim() is None
    assert state(ledger)[:2] == ("done", NOTHING)
    assert told(ledger, analyzed) == [f"pacs: {NOTHING}"]


def test_a_pacs_that_is_away_is_asked_again_later(analyzed, seeker, pacs, ledger, clock):
    """After 60 s; then it gives up and says why, until an operator wants it again."""
    pacs.fault = PeerUnreachableError("No connection to pacs")
    seeker.seek_once("pacs")
    assert state(ledger) == ("pending", "No connection to pacs", 1)
    clock.turn(59)
    assert not seeker.seek_once("pacs")
    clock.turn(1)
    assert seeker.seek_once("pacs")
    assert state(ledger) == ("dead", "No connection to pacs", 2)

    assert ledger.priors.retry("pacs", clock()) == 1
    pacs.fault = None

    assert seeker.seek_once("pacs")
    assert state(ledger) == ("done", NOTHING, 1)
    assert len(told(ledger, analyzed)) == 3
    with pytest.raises(UnknownEntryError):
        ledger.priors.retry("nobody", clock())


def test_a_refusal_is_told_in_the_words_of_the_peer(analyzed, seeker, pacs, ledger):
    """It does not know our AE title: the operator must enter it there."""
    pacs.scans = [scan(2)]
    words = "pacs: it does not know our AE title as a move destination (0xA801)"

    def refuse(series, *, stop):
        del stop
        return tuple(
            Retrieval(series=one, completed=0, failed=0, status=0xA801, message=words)
            for one in series
        )

    pacs.way = refuse
    seeker.seek_once("pacs")

    assert analyzed.job_id
    assert state(ledger) == ("pending", words, 1)


def test_what_a_broken_retrieval_left_is_fetched_again(
    analyzed, seeker, pacs, ledger, clock, site
):
    """Half of the images came; the series is known, but not complete."""
    prior = scan(2)
    pacs.scans = [prior]

    def break_off(series, *, stop):
        del series, stop
        site.send(prior[:6])
        raise PeerUnreachableError("The connection broke")

    pacs.way = break_off
    seeker.seek_once("pacs")
    assert state(ledger)[0] == "pending"
    pacs.way = pacs.bring
    clock.turn(60)

    seeker.seek_once("pacs")

    assert analyzed.job_id
    assert state(ledger)[0] == "done"
    assert pacs.fetched == [prior[0].SeriesInstanceUID]


def test_images_that_failed_are_asked_for_once_more(analyzed, seeker, pacs, ledger, clock, site):
    """One of twelve could not be stored; the second time it is taken as it is, and told."""
    prior = scan(2)
    pacs.scans = [prior]

    def lose_one(series, *, stop):
        del stop
        pacs.fetched += [one.series_instance_uid for one in series]
        site.send(prior[:11])
        return tuple(
            Retrieval(series=one, completed=11, failed=1, status=0xB000, message="pacs: some")
            for one in series
        )

    pacs.way = lose_one
    seeker.seek_once("pacs")
    assert state(ledger)[:2] == ("pending", "fetched 11 images of 1 series, 1 failed (pacs: some)")
    clock.turn(60)
    seeker.seek_once("pacs")

    assert analyzed.job_id
    assert pacs.fetched == [prior[0].SeriesInstanceUID] * 2
    assert state(ledger)[0] == "done"


def test_without_the_images_nobody_knows_whom_to_ask_for(site, seeker, pacs, ledger):
    """The spool was emptied: the search gives up, without a word about the patient."""
    site.analyze(scan(1), NEXT_DAY)

    seeker.seek_once("pacs")

    assert pacs.queries == []
    assert state(ledger)[:2] == (
        "dead",
        "the image that says whom to ask for is unreadable",
    )


def test_a_foreign_fault_is_named_without_its_words(analyzed, seeker, pacs, ledger):
    """The message of an outside library may quote the patient."""
    pacs.fault = ValueError("POISON^DONOTLOG")

    seeker.seek_once("pacs")

    kind, reason, _ = state(ledger)
    assert analyzed.job_id
    assert kind == "pending"
    assert "POISON" not in reason
    assert "ValueError" in reason


def test_a_search_whose_office_died_is_done_again(analyzed, ledger, clock, seeker):
    """It was begun and never ended; half an hour later it is due."""
    again_at = clock() + timedelta(minutes=30)
    begun = ledger.priors.begin("pacs", now=clock(), again_at=again_at)

    assert begun.series_uid == analyzed.series_instance_uid
    assert not seeker.seek_once("pacs")
    clock.turn(30 * 60)
    assert seeker.seek_once("pacs")
    assert state(ledger)[2] == 2


def test_a_stopped_search_is_due_at_once(analyzed, seeker, pacs, ledger):
    """The node was stopped in the middle: the next start goes on."""
    pacs.fault = QueryRefusedError("broken off")
    seeker.stop()

    seeker.seek_once("pacs")

    assert analyzed.job_id
    assert state(ledger)[0] == "pending"
    assert seeker.seek_once("pacs")
