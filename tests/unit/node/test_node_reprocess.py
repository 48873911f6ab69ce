"""A re-read of an archive: below everything that is waited for, kept, resumed, told of."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from node_builders import arrive, small_series, stored_objects

from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import IllegalTransitionError, PeerUnreachableError, QueryRefusedError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.pairing import PairingRules
from dicom_node.jobs.planning import NO_PLANS, PlanningRules
from dicom_node.jobs.reprocess_ledger import ReprocessLedger
from dicom_node.jobs.reprocess_state import ReprocessRequest, RunState, StudyState
from dicom_node.jobs.rerun import Rerun
from dicom_node.jobs.state import JobState
from dicom_node.jobs.tables import DeliveryRow, InstanceRow, JobRow
from dicom_node.manual_runs.offer import Offer, OfferedSeries
from dicom_node.reprocessing.progress import progress_of
from dicom_node.reprocessing.reprocessor import LIVE_FIRST, Reprocessor

FREE = threading.Event()

#: Of every series.
SLICES = 20
PAIRING = PairingRules(window=timedelta(hours=72), minimum_interval=timedelta(hours=1))
FOLLOW = PlanningRules(pairing=PAIRING, with_shadow=True)


class Archive:
    """A source with a study of one series per name; what it brings arrives at the ledger."""

    def __init__(self, site):
        self.site = site
        self.faults = {}
        self.brought = []
        self.dies_while_bringing = False
        self.sends = True
        self.slices = SLICES

    def next_study(self, run, *, now, again_at, stop):
        del stop
        return self.site.runs.studies.next_study(run.run_id, now=now, again_at=again_at)

    def is_listed(self, run):
        return run.is_listed

    def look(self, study_uid, *, stop):
        del stop
        if study_uid in self.faults:
            raise self.faults[study_uid]
        here = self.site.images(study_uid)
        series = RemoteSeries(
            study_instance_uid=study_uid,
            series_instance_uid=f"{study_uid}.1",
            study_date="",
            study_time="",
        )
        return Offer(
            series=(
                OfferedSeries(
                    series=series,
                    modality="CT",
                    fits=True,
                    is_here=len(here) >= SLICES,
                    reason="fits",
                ),
            )
        )

    def bring(self, series, *, stop):
        del stop
        if "bring" in self.faults:
            raise self.faults["bring"]
        for one in series:
            self.brought.append(one.study_instance_uid)
            if self.sends:
                association = f"a{len(self.brought)}"
                self.site.send(one.study_instance_uid, association=association, slices=self.slices)
            if self.dies_while_bringing:
                raise SystemExit
        return tuple(
            Retrieval(series=one, completed=12, failed=0, status=0, message="") for one in series
        )


class Site:
    """A ledger with its office, a worker by hand, and a re-read."""

    def __init__(self, ledger, clock):
        self.ledger, self.clock = ledger, clock
        self.runs = ReprocessLedger(ledger.database)
        self.office = AssemblyOffice(
            ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
        )
        self.archive = Archive(self)
        self.room = True
        self.reprocessor = self.restarted()

    def restarted(self):
        return Reprocessor(
            ledger=self.runs,
            source_of=lambda _: self.archive,
            has_room=lambda: self.room,
            clock=self.clock,
        )

    def begin(self, *studies, **request):
        facts = {"peer": "pacs", "most_waiting": 3, **request}
        return self.runs.begin(
            ReprocessRequest(**facts), studies=studies, by="anna", now=self.clock()
        )

    def send(self, study, *, association="live", slices=SLICES):
        series = small_series(slices, study_uid=study, series_uid=f"{study}.1")
        arrive(self.ledger, series, self.clock, association_id=association)

    def images(self, study):
        with self.ledger.database.read() as session:
            return session.query(InstanceRow).filter_by(study_uid=study).all()

    def wait(self, seconds=200.0):
        """Let everything arrive and be decided."""
        self.clock.turn(seconds)
        self.office.tick()
        self.office.tick()

    def claim(self):
        return self.ledger.jobs.claim("worker-0", now=self.clock(), lease_s=60, time_limit_s=900)

    def analyse(self, *, model="m1", destinations=("pacs",), plans=NO_PLANS):
        """Complete the next job; return its study, None if there was none."""
        claim = self.claim()
        if claim is None:
            return None
        self.ledger.jobs.complete(
            claim,
            stored_objects(str(claim.task.job_id)),
            model_digest=model,
            configuration_digest="c",
            destinations=destinations,
            record={"status": "hematoma_found", "acquired_at": "2026-01-04T10:00:00"},
            now=self.clock(),
            plans=plans,
        )
        return claim.task.study_instance_uid

    def jobs(self):
        with self.ledger.database.read() as session:
            rows = session.query(JobRow).order_by(JobRow.job_id).all()
            return [(row.kind.value, row.state) for row in rows]

    def delivering(self):
        """Return the result set that a courier would take next, None if there is none."""
        parcel = self.ledger.deliveries.claim("pacs", "courier", now=self.clock(), lease_s=60)
        return parcel and parcel.result_set_id

    def destinations(self):
        with self.ledger.database.read() as session:
            return {row.destination for row in session.query(DeliveryRow)}

    def states(self, run):
        return {one.study_uid: one.state for one in self.runs.studies.entries(run)}


@pytest.fixture
def site(ledger, clock):
    return Site(ledger, clock)


def test_a_study_is_fetched_analysed_and_kept(site):
    """Nobody is sent the results, nothing follows them, and the run says how it ended."""
    run = site.begin("1.1")
    assert site.reprocessor.work_once()
    site.wait()
    assert site.analyse(plans=FOLLOW) == "1.1"
    assert not site.reprocessor.work_once()

    (entry,) = site.runs.studies.entries(run)
    assert (entry.state, entry.outcome, entry.images) == (
        StudyState.ANALYSED,
        "hematoma_found",
        12,
    )
    assert site.runs.run(run, site.clock()).state is RunState.FINISHED
    assert site.delivering() is None
    assert site.jobs() == [("analysis", JobState.DELIVERED)]


def test_named_destinations_are_sent_the_results_after_all_others(site):
    """Only those named; a live study that was analysed later is delivered before."""
    site.begin("1.1", deliver_to=("pacs",))
    site.reprocessor.work_once()
    site.wait()
    site.analyse(destinations=("pacs", "elsewhere"))
    assert site.destinations() == {"pacs"}
    site.send("1.22")
    site.wait()
    site.analyse()

    assert site.delivering() == 2


def test_live_work_overtakes_at_once(site):
    """No job of the run begins while live images arrive, and no study is fetched."""
    run = site.begin("1.1", "1.2")
    site.reprocessor.work_once()
    site.wait()
    site.send("1.33")

    assert site.claim() is None
    assert not site.reprocessor.work_once()
    assert site.runs.run(run, site.clock()).note == LIVE_FIRST
    site.clock.turn(30)
    site.office.tick()
    site.office.tick()
    assert [site.analyse(), site.analyse()] == ["1.33", "1.1"]
    assert site.reprocessor.work_once()


def test_a_run_has_so_many_studies_in_hand_and_no_more(site):
    """Three of five wait for the one worker; the next comes when one is done."""
    site.begin("1.1", "1.2", "1.3", "1.4", "1.5")
    taken = [site.reprocessor.work_once() for _ in range(5)]
    site.wait()
    assert taken == [True, True, True, False, False]
    site.analyse()

    assert [site.reprocessor.work_once() for _ in range(2)] == [True, False]


def test_a_run_uses_as_many_workers_as_it_may(site):
    """The second worker stays free for whoever comes."""
    site.begin("1.1", "1.2")
    for _ in range(2):
        site.reprocessor.work_once()
    site.wait()

    assert site.claim() is not None
    assert site.claim() is None
    site.send("1.33")
    site.wait(30)
    assert site.claim().task.study_instance_uid == "1.33"


def test_what_was_killed_goes_on_and_nothing_is_done_twice(site):
    """The office dies while images come: the same study again, one job, one result set."""
    run = site.begin("1.1", "1.2")
    site.archive.dies_while_bringing = True
    with pytest.raises(SystemExit):
        site.reprocessor.work_once()
    site.archive.dies_while_bringing = False
    after = site.restarted()
    for _ in range(3):
        after.work_once()
    site.wait()
    done = [site.analyse(), site.analyse(), site.analyse()]
    after.work_once()

    assert {*done} == {"1.1", "1.2", None}
    assert set(site.states(run).values()) == {StudyState.ANALYSED}
    assert site.archive.brought == ["1.1", "1.2"]


def test_half_a_head_whose_fetch_broke_off_waits_for_the_rest(site):
    """The office dies with half of a series here, which shows no gap: one job, of all of it."""
    site.begin("1.1")
    site.archive.dies_while_bringing, site.archive.slices = True, SLICES // 2
    with pytest.raises(SystemExit):
        site.reprocessor.work_once()
    site.wait(30)
    too_early = site.jobs()
    site.archive.dies_while_bringing, site.archive.slices = False, SLICES
    site.restarted().work_once()
    site.wait(30)

    assert too_early == []
    assert len(site.claim().task.files) == SLICES
    assert len(site.jobs()) == 1


def test_a_restart_goes_on_at_once_although_the_clock_does(site):
    """A study of a dead office is due when the next one looks, not the moment after."""
    site.begin("1.1")
    site.archive.dies_while_bringing = True
    with pytest.raises(SystemExit):
        site.reprocessor.work_once()
    site.archive.dies_while_bringing = False

    def going_on():
        site.clock.turn(0.001)
        return site.clock()

    after = Reprocessor(
        ledger=site.runs, source_of=lambda _: site.archive, has_room=lambda: True, clock=going_on
    )

    assert after.work_once()


def test_a_peer_that_is_away_costs_no_study_its_attempts(site):
    """The run waits and says why; the study is fetched once the peer is back."""
    run = site.begin("1.1")
    site.archive.faults["1.1"] = PeerUnreachableError("pacs: no connection")
    for _ in range(9):
        site.reprocessor.work_once()
        site.clock.turn(400)
    assert site.runs.run(run, site.clock()).note == "pacs: no connection"
    site.archive.faults.clear()

    assert site.reprocessor.work_once()
    assert site.archive.brought == ["1.1"]


def test_a_study_that_the_peer_refuses_fails_after_three_attempts(site):
    """With the reason; the run goes on with the others meanwhile and ends."""
    run = site.begin("1.1", "1.2")
    site.archive.faults["1.1"] = QueryRefusedError("pacs has nothing of study 1.1")
    for _ in range(4):
        site.reprocessor.work_once()
        site.reprocessor.work_once()
        site.wait(700)
        site.analyse()
    site.reprocessor.work_once()

    assert site.states(run) == {"1.1": StudyState.FAILED, "1.2": StudyState.ANALYSED}
    (entry, _) = site.runs.studies.entries(run)
    assert (entry.reason, entry.attempts) == ("pacs has nothing of study 1.1", 3)
    assert site.runs.run(run, site.clock()).state is RunState.FINISHED


def test_what_a_model_has_seen_is_left_out(site):
    """Named by the beginning of its digest."""
    site.send("1.1")
    site.wait()
    site.analyse(model="abcdef")
    run = site.begin("1.1", unless_model="abc")
    site.reprocessor.work_once()

    assert site.states(run) == {"1.1": StudyState.SKIPPED}
    assert site.archive.brought == []


def test_what_is_here_is_analysed_again_and_not_fetched(site):
    """By the models of today; the earlier results stay what the destination has."""
    site.send("1.1")
    site.wait()
    site.analyse(model="old")
    run = site.begin("1.1")
    site.reprocessor.work_once()
    assert site.analyse(model="new") == "1.1"
    site.reprocessor.work_once()

    assert site.states(run) == {"1.1": StudyState.ANALYSED}
    assert site.archive.brought == []
    (entry,) = site.runs.studies.entries(run)
    assert entry.model == "new"
    with site.ledger.database.read() as session:
        assert {row.result_set_id for row in session.query(DeliveryRow)} == {1}


def test_a_person_who_asks_for_a_kept_study_is_sent_it(site):
    """Analysed again by hand, the results that were kept go where results go."""
    site.begin("1.1")
    site.reprocessor.work_once()
    site.wait()
    site.analyse()
    site.reprocessor.work_once()
    assert site.delivering() is None

    Rerun(database=site.ledger.database).study("1.1", by="otto", now=site.clock())
    site.analyse()

    assert site.delivering() == 1


def test_a_paused_run_begins_nothing_and_a_stopped_one_takes_back_what_waits(site):
    """What a worker has is finished; another run may begin."""
    run = site.begin("1.1", "1.2")
    site.reprocessor.work_once()
    site.wait()
    with pytest.raises(IllegalTransitionError, match="under way"):
        site.begin("1.9")
    site.runs.move(run, RunState.PAUSED, site.clock())
    assert site.claim() is None
    assert not site.reprocessor.work_once()
    site.runs.move(run, RunState.RUNNING, site.clock())
    site.reprocessor.work_once()
    site.runs.move(run, RunState.STOPPED, site.clock())
    site.wait()

    assert {state for _, state in site.jobs()} == {JobState.WITHDRAWN}
    assert site.claim() is None
    assert site.begin("1.9") == run + 1


def test_a_run_rests_outside_its_hours(site):
    """From 20 to 6 over midnight; jobs that wait are not begun either."""
    local = site.clock().astimezone()
    run = site.begin(
        "1.1", "1.2", from_hour=(local.hour + 23) % 24, to_hour=(local.hour + 1) % 24 or 24
    )
    assert site.reprocessor.work_once()
    site.wait(7200)
    assert not site.reprocessor.work_once()
    assert site.runs.run(run, site.clock()).state is RunState.RESTING
    assert site.claim() is None
    site.clock.turn(22 * 3600)

    site.reprocessor.work_once()
    assert site.runs.run(run, site.clock()).state is RunState.RUNNING
    assert site.claim() is not None


def test_hours_may_go_over_midnight():
    """20-6 holds 23 and 5, not 6 and 19."""
    night = ReprocessRequest(from_hour=20, to_hour=6)
    hours = [h for h in range(24) if night.is_open_at(datetime(2026, 1, 5, h, tzinfo=UTC))]

    assert hours == [0, 1, 2, 3, 4, 5, 20, 21, 22, 23]
    with pytest.raises(ValueError, match="none"):
        ReprocessRequest(from_hour=6, to_hour=6)


def test_a_run_keeps_its_pace(site):
    """Two in a minute: the next after thirty seconds."""
    site.begin("1.1", "1.2", per_minute=2)
    assert site.reprocessor.work_once()
    site.clock.turn(29)
    assert not site.reprocessor.work_once()
    site.clock.turn(2)

    assert site.reprocessor.work_once()


def test_a_full_disk_is_waited_for(site):
    """Nothing is fetched that could not be kept."""
    run = site.begin("1.1")
    site.room = False
    assert not site.reprocessor.work_once()
    assert site.runs.run(run, site.clock()).note == "the disk is nearly full"
    site.room = True

    assert site.reprocessor.work_once()


def test_images_that_do_not_come_fail_the_study(site):
    """The peer said that it sent them."""
    run = site.begin("1.1")
    site.archive.sends = False
    site.reprocessor.work_once()
    site.clock.turn(400)
    site.reprocessor.work_once()

    assert site.states(run) == {"1.1": StudyState.FAILED}


def test_what_selection_leaves_out_says_why(site):
    """A series of three images is not analysed."""
    run = site.begin("1.1")
    site.archive.slices = 3
    site.reprocessor.work_once()
    site.wait()
    site.reprocessor.work_once()

    (entry,) = site.runs.studies.entries(run)
    assert entry.state is StudyState.NOT_ELIGIBLE
    assert "3" in entry.reason


def test_a_live_series_is_live_once_the_peer_failed_to_send_it(site):
    """The run asks for it later; until then whoever sends it gets an answer."""
    site.begin("1.1")
    site.archive.faults["bring"] = PeerUnreachableError("away")
    site.reprocessor.work_once()
    site.send("1.1")
    site.wait()
    site.analyse()

    assert site.delivering() == 1


def test_progress_is_counted_and_estimated(site):
    """By hand: 2 of 10 days hold 4 studies, so 10 hold 20; two ended in 10 minutes after one."""
    request = ReprocessRequest(
        peer="pacs",
        first_day=datetime(2026, 1, 1, tzinfo=UTC).date(),
        last_day=datetime(2026, 1, 10, tzinfo=UTC).date(),
    )
    run = site.runs.begin(request, by="anna", now=site.clock())
    site.runs.list_studies(
        run, ["1", "2", "3", "4"], cursor="2", units_done=2, is_listed=False, now=site.clock()
    )
    for number in range(3):
        entry = site.runs.studies.next_study(run, now=site.clock(), again_at=site.clock())
        site.runs.studies.end(entry, StudyState.ANALYSED, "", now=site.clock())
        site.clock.turn((0, 300, 300)[number])

    progress = progress_of(site.runs.run(run, site.clock()), site.clock())

    assert (progress.ended, progress.total, progress.is_estimate) == (3, 20, True)
    assert progress.per_minute == pytest.approx(0.2)
    assert progress.remaining_s == pytest.approx(17 / 0.2 * 60)
