"""The ledger from the first image to the job."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from node_builders import (
    Clock,
    arrive,
    opened_ledger,
    process_identity,
    received,
    sender,
    small_series,
)

from dicom_node.errors import LedgerUnavailableError, LedgerVersionError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.ledger import open_ledger
from dicom_node.jobs.office import AssemblyOffice, Sweeper
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.wake import Silence, Topic
from dicom_node.jobs.worker import JobRules

RULES = AssemblyRules(quiet_s=5, force_s=60, study_quiet_s=5, study_limit_s=30)


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.presence.enter(process_identity(), Clock()())
        yield ledger


@pytest.fixture
def office(ledger, clock):
    return AssemblyOffice(ledger=ledger, assembly=RULES, selection=DEFAULT_RULES, clock=clock)


def status(ledger, ds):
    return ledger.reports.series(ds.SeriesInstanceUID)


def kinds(ledger, ds):
    return [entry.kind for entry in ledger.reports.timeline(ds.SeriesInstanceUID)]


def test_a_series_becomes_a_job_five_seconds_after_its_last_image(ledger, office, clock):
    """Quiet time, content and association decide; the job holds every instance."""
    series = small_series()
    arrive(ledger, series, clock)

    clock.turn(4.9)
    office.tick()
    assert status(ledger, series[0]).job is None
    clock.turn(0.1)
    office.tick()

    found = status(ledger, series[0])
    assert found.state is SeriesState.CHOSEN
    assert found.job.state is JobState.QUEUED
    assert found.images == 12
    assert kinds(ledger, series[0]) == ["first_image", "complete", "chosen"]


def test_the_office_knows_when_it_must_look_next(ledger, office, clock):
    """Quiet time after the last image, of series and study; the force time; then nothing."""
    series = small_series()
    assert ledger.series.next_due(RULES, clock()) is None
    arrive(ledger, series, clock, is_closed=False)
    last = clock()

    assert ledger.series.next_due(RULES, clock()) == last + timedelta(seconds=5)
    clock.turn(5)
    office.tick()
    assert ledger.series.next_due(RULES, clock()) == last + timedelta(seconds=60)
    ledger.arrivals.close_association(sender(), clock())
    office.tick()
    assert ledger.series.next_due(RULES, clock()) is None


def test_a_punctual_office_waits_for_what_is_due_before_its_next_tick(ledger):
    """With real time: quiet for 0.2 s, one tick that looks 60 s ahead makes the job and rings."""
    rings = []
    bells = Silence()
    bells.ring = rings.append
    now = lambda: datetime.now(UTC)  # noqa: E731 - the one clock that goes by itself
    rules = AssemblyRules(quiet_s=0.2, study_quiet_s=0.2)
    series = small_series()
    arrive(ledger, series, now)

    AssemblyOffice(
        ledger=ledger,
        assembly=rules,
        selection=DEFAULT_RULES,
        clock=now,
        bells=bells,
        ahead_s=60,
    ).tick()

    assert status(ledger, series[0]).job.state is JobState.QUEUED
    assert rings == [Topic.JOBS]


def test_an_open_association_holds_the_series_back(ledger, office, clock):
    """A sender that pauses longer than the quiet time has not finished."""
    series = small_series()
    arrive(ledger, series, clock, is_closed=False)

    clock.turn(20)
    office.tick()
    assert "association" in status(ledger, series[0]).reason
    ledger.arrivals.close_association(sender(), clock())
    office.tick()

    assert status(ledger, series[0]).job is not None


def test_a_duplicate_over_a_new_association_is_waited_for_too(ledger, office, clock):
    """A sender that repeats the series from its start is still at it."""
    series = small_series()
    arrive(ledger, series, clock)
    clock.turn(3)
    arrive(ledger, series[:1], clock, association_id="association-2", is_closed=False)

    clock.turn(10)
    office.tick()

    assert status(ledger, series[0]).state is SeriesState.RECEIVING
    assert status(ledger, series[0]).images == 12


def test_a_gap_is_waited_for_and_then_taken_with_a_flag(ledger, office, clock):
    """After the force time the job is made, and the result will say what is missing."""
    series = small_series()
    del series[5]
    arrive(ledger, series, clock)

    clock.turn(30)
    office.tick()
    assert "missing" in status(ledger, series[0]).reason
    clock.turn(30)
    office.tick()

    assert status(ledger, series[0]).job.flags == {"forced", "slices_missing"}


def test_the_missing_slice_ends_the_waiting(ledger, office, clock):
    """Content decides as soon as it can: not the force time but five quiet seconds."""
    series = small_series()
    late = series.pop(5)
    arrive(ledger, series, clock)
    clock.turn(20)
    office.tick()
    arrive(ledger, [late], clock, association_id="association-2")

    clock.turn(5)
    office.tick()

    assert status(ledger, late).job.flags == frozenset()


def test_late_images_withdraw_a_job_that_nobody_began(ledger, office, clock):
    """No half series is analysed when the rest comes before a worker is free."""
    series = small_series()
    arrive(ledger, series[:-1], clock)
    clock.turn(5)
    office.tick()
    first = status(ledger, series[0]).job
    arrive(ledger, series[-1:], clock, association_id="association-2")
    clock.turn(5)
    office.tick()

    second = status(ledger, series[0]).job
    assert second.job_id > first.job_id
    assert ledger.reports.overview().jobs_by_state == {JobState.WITHDRAWN: 1, JobState.QUEUED: 1}
    assert kinds(ledger, series[0])[-4:] == ["withdrawn", "late_image", "complete", "chosen"]


def test_a_restart_forgets_nothing(tmp_path, clock):
    """Deadlines are columns: another process takes every open series up where it was."""
    series = small_series()
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.presence.enter(process_identity(), clock())
        arrive(ledger, series, clock, is_closed=False)  # killed while the association was open

    clock.turn(6)
    with opened_ledger(tmp_path / "ledger.sqlite", run="run-2") as ledger:
        ledger.presence.enter(process_identity(run="run-2"), clock())
        AssemblyOffice(ledger=ledger, assembly=RULES, selection=DEFAULT_RULES, clock=clock).tick()

        assert status(ledger, series[0]).job.flags == frozenset()


def test_a_receiver_that_fell_silent_holds_nothing_up(ledger, office, clock):
    """Its associations are closed by the office although nobody restarted it."""
    series = small_series()
    arrive(ledger, series, clock, is_closed=False)
    clock.turn(31)

    Sweeper(ledger=ledger, job_rules=JobRules(), clock=clock).tick()
    office.tick()

    assert status(ledger, series[0]).job is not None
    (process,) = ledger.reports.processes()
    assert process.ended_at == clock()


def test_series_of_a_study_wait_for_each_other(ledger, office, clock):
    """The bone series came first; the brain series that was arriving is preferred."""
    bone = small_series(kernel="H60s", series_description="BONE", series_number=3)
    brain = small_series(series_number=2)
    arrive(ledger, bone, clock)
    clock.turn(3)
    arrive(ledger, brain, clock, association_id="association-2")

    clock.turn(2.5)
    office.tick()
    assert status(ledger, bone[0]).state is SeriesState.COMPLETE
    clock.turn(2.5)
    office.tick()

    assert status(ledger, brain[0]).state is SeriesState.CHOSEN
    assert status(ledger, bone[0]).state is SeriesState.SET_ASIDE
    assert "rank 2" in status(ledger, bone[0]).reason


def test_a_study_waits_no_longer_than_its_limit(ledger, office, clock):
    """A series that goes on arriving does not hold up the one that is there."""
    brain, slow = small_series(series_number=2), small_series(60, series_number=3)
    arrive(ledger, brain, clock)
    for ds in slow[:40]:
        arrive(ledger, [ds], clock, association_id="association-2", is_closed=False)
        clock.turn(1)
        office.tick()

    timeline = ledger.reports.timeline(brain[0].SeriesInstanceUID)
    at = {entry.kind: entry.at for entry in timeline}
    assert (at["chosen"] - at["complete"]).total_seconds() == 30


def test_the_next_best_series_steps_in_for_a_rejected_one(ledger, office, clock):
    """The pipeline refused the best series: the outranked one is analysed."""
    brain = small_series(series_number=2)
    bone = small_series(kernel="H60s", series_description="BONE", series_number=3)
    arrive(ledger, brain + bone, clock)
    clock.turn(5)
    office.tick()
    claim = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
    ledger.jobs.reject(claim, "not a head", record={}, now=clock())

    office.tick()

    assert status(ledger, bone[0]).job.state is JobState.QUEUED
    assert status(ledger, brain[0]).job.state is JobState.REJECTED


def test_a_short_series_is_set_aside_and_taken_when_it_has_grown(ledger, office, clock):
    """Nine slices are too few; three more make it a head."""
    series = small_series()
    arrive(ledger, series[:9], clock)
    clock.turn(5)
    office.tick()
    assert status(ledger, series[0]).reason == "9 slices, at least 10 needed"
    arrive(ledger, series[9:], clock, association_id="association-2")
    clock.turn(5)
    office.tick()

    assert status(ledger, series[0]).job is not None


def test_two_patients_in_one_series_are_set_aside(ledger, office, clock):
    """The instances are kept, nobody is given a result."""
    series = small_series()
    series[3].PatientID = "ANOTHER"
    arrive(ledger, series, clock)
    clock.turn(5)
    office.tick()

    assert status(ledger, series[0]).state is SeriesState.SET_ASIDE
    assert "2 patients" in status(ledger, series[0]).reason


def test_the_same_bytes_twice_are_one_instance(ledger):
    """A repeat of the sender is a success without consequence."""
    instance = received(small_series(1)[0])

    ledger.arrivals.add(instance, Path("a.dcm"))
    ledger.arrivals.add(instance, Path("a.dcm"))

    assert ledger.reports.series(instance.series_instance_uid).images == 1


def test_other_bytes_replace_the_version_that_nobody_began(ledger, office, clock):
    """Corrected at the modality and sent again: the newer version is analysed, both are kept."""
    series = small_series()
    arrive(ledger, series, clock)
    clock.turn(5)
    office.tick()
    series[0].PatientComments = "CORRECTED"
    arrive(ledger, series[:1], clock, association_id="association-2")
    clock.turn(5)
    office.tick()

    claim = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
    newer = received(series[0]).content_digest[:8]
    assert sum(newer in str(path) for path in claim.task.files) == 1
    assert len(claim.task.files) == 12
    assert len(ledger.arrivals.known_paths()) == 13


def test_other_bytes_after_the_analysis_are_kept_but_change_nothing(ledger, office, clock):
    """A SOP Instance UID stands for one content; the timeline says that the sender broke it."""
    series = small_series()
    arrive(ledger, series, clock)
    clock.turn(5)
    office.tick()
    ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
    series[0].PatientComments = "CORRECTED"
    arrive(ledger, series[:1], clock, association_id="association-2")

    assert status(ledger, series[0]).state is SeriesState.CHOSEN
    assert kinds(ledger, series[0])[-1] == "other_version"
    assert len(ledger.arrivals.known_paths()) == 13


@pytest.mark.sqlite
def test_a_ledger_of_another_version_is_refused(tmp_path):
    """A newer node may have written what this one does not understand."""
    path = tmp_path / "ledger.sqlite"
    with opened_ledger(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("UPDATE ledger_meta SET value = '999' WHERE key = 'schema_version'")
    connection.commit()
    connection.close()

    with pytest.raises(LedgerVersionError, match="999"):
        open_ledger(path, process=process_identity())


def test_what_is_no_database_is_refused(tmp_path):
    """A damaged file is named as such and left alone."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database" * 1000)

    with pytest.raises(LedgerUnavailableError):
        open_ledger(path, process=process_identity())

    assert path.read_bytes() == b"this is no database" * 1000


@pytest.mark.sqlite
def test_commits_are_synced_and_readers_do_not_block(ledger):
    """WAL and FULL are what custody rests on (sqlite.org/pragma.html#pragma_synchronous)."""
    with ledger.database.read() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_time_without_zone_never_enters_the_ledger(ledger):
    """Eight o'clock of an unknown place is no time."""
    with pytest.raises(LedgerUnavailableError):
        ledger.presence.enter(process_identity(run="other"), Clock()().replace(tzinfo=None))
