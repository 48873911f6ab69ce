"""Data leave custody in two steps, and no kill between them leaves a lie."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from node_builders import CrashError, request_of, small_series
from retention_builder import AT_ONCE, DAY_S, RetentionSite
from sqlalchemy import select

from dicom_node.association.commitment_terms import CommitmentRequest, Reference
from dicom_node.delivery.custody_scan import CustodyScan
from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.audit_ledger import AuditLedger
from dicom_node.jobs.holdings import Holdings
from dicom_node.jobs.purge_ledger import Cause
from dicom_node.jobs.retention import DISCRETIONARY, HoldingKind, Obstacle
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.study_holds import StudyHolds
from dicom_node.jobs.tables import InstanceRow, ObjectRow
from dicom_node.jobs.tally import Tally


@pytest.fixture
def site(tmp_path, ledger, clock):
    return RetentionSite(tmp_path, ledger, clock)


def rows(site, table):
    with site.ledger.database.read() as session:
        return session.scalars(select(table)).all()


def assert_true(site):
    """Every row that vouches for a file has it; every file that is said to be gone is gone."""
    for table, root in ((InstanceRow, site.spool.root), (ObjectRow, site.root / "outbox")):
        for row in rows(site, table):
            is_there = (root / row.path).is_file()
            if row.purged_at is None:
                assert is_there, row.path
            if row.erased:
                assert row.purged_at is not None
                assert not is_there, row.path


def uids(series):
    return series[0].StudyInstanceUID, series[0].SeriesInstanceUID


def status_of(site, series):
    return site.ledger.reports.series(uids(series)[1])


def test_a_delivered_study_goes_and_the_ledger_remembers_it(site):
    """Files of images, results and summary are gone; series, opinion and history stay."""
    series = site.finished()

    done = site.purge()

    assert site.files() == []
    assert (done.holdings, done.files, done.kept) == (3, len(series) + 3 + 1, 0)
    status = status_of(site, series)
    assert (status.job.state, status.images) == (JobState.DELIVERED, len(series))
    assert status.job.record == {"bytes": status.job.record["bytes"]}
    assert status.purged_at == site.clock()
    kinds = [entry.kind for entry in site.ledger.reports.timeline(uids(series)[1])]
    assert kinds.count("purged") == 3
    assert_true(site)


def test_what_goes_is_counted_by_kind_and_cause(site):
    """In the transaction that condemns it."""
    series = site.finished()

    site.purge()

    counts = {
        one.labels["kind"]: one.value
        for one in site.ledger.tallies.read()
        if one.tally is Tally.PURGED and one.labels["cause"] == "age"
    }
    assert counts == {"images": len(series), "results": 3, "summary": 1}


@pytest.mark.parametrize(
    ("bring", "obstacle"),
    [
        (lambda _: None, Obstacle.IN_WORK),
        (lambda site: site.analyze(), Obstacle.UNDELIVERED),
        (
            lambda site: (site.analyze(), site.deliver(wants_commitment=True)),
            Obstacle.UNCOMMITTED,
        ),
        (lambda site: (site.analyze(), site.deliver()), None),
    ],
    ids=["queued", "undelivered", "uncommitted", "done"],
)
def test_nothing_goes_before_it_is_delivered_and_committed(site, bring, obstacle):
    """Step by step: only at the very end do the images have no obstacle."""
    series = small_series()
    site.receive(series)
    bring(site)
    site.clock.turn(4000 * DAY_S)

    assert site.obstacles()[HoldingKind.IMAGES] == obstacle
    assert site.purge().holdings == (3 if obstacle is None else 0)
    assert_true(site)


def test_a_failed_analysis_stays_until_a_person_says_so(site):
    """It may be tried again; once its images are purged it cannot be."""
    site.analyst.outcome = ValueError("broken")
    site.receive(small_series())
    for _ in range(3):
        site.analyze()
        site.clock.turn(3600)
        site.ledger.jobs.sweep(RetryPolicy(max_attempts=3, first_delay_s=1.0), site.clock())
    assert site.ledger.jobs.failed() == (1,)
    assert site.obstacles()[HoldingKind.IMAGES] is Obstacle.FAILED
    assert site.purge().holdings == 0

    done = site.purger.purge(
        site.purger.holdings(AT_ONCE),
        AT_ONCE,
        cause=Cause.OPERATOR,
        by="somebody",
        overriding=DISCRETIONARY,
    )

    assert done.kept == 0
    assert site.ledger.jobs.failed() == ()
    with pytest.raises(IllegalTransitionError, match="purged"):
        site.ledger.jobs.retry(1, site.clock())


def test_a_hold_stops_everything_for_ever_and_says_why(site):
    """Also what a person wants to purge by hand; the end of the hold frees it."""
    series = site.finished()
    study, series_uid = uids(series)
    holds = StudyHolds(site.ledger.database)
    assert holds.hold(study, "letter of 3 May", by="jane", now=site.clock()) == 1
    site.clock.turn(4000 * DAY_S)

    assert set(site.obstacles().values()) == {Obstacle.ON_HOLD}
    for one in site.purger.holdings(AT_ONCE):
        free = replace(one, obstacle=None)
        assert site.purger.purge(
            [free], AT_ONCE, cause=Cause.OPERATOR, overriding=DISCRETIONARY
        ).kept
    assert status_of(site, series).hold == "letter of 3 May"
    assert [(hold.study_uid, hold.by) for hold in holds.standing()] == [(study, "jane")]

    holds.unhold(study, by="jane", now=site.clock())

    assert site.purge().holdings == 3
    kinds = [entry.kind for entry in site.ledger.reports.timeline(series_uid)]
    assert [kind for kind in kinds if "hold" in kind] == ["hold", "unhold"]


def test_only_what_is_known_can_be_held(site):
    """A typing error must not pass for a hold."""
    holds = StudyHolds(site.ledger.database)

    with pytest.raises(UnknownEntryError):
        holds.hold("1.2.3", "why", by="jane", now=site.clock())
    with pytest.raises(UnknownEntryError):
        holds.unhold("1.2.3", by="jane", now=site.clock())


def test_what_comes_between_plan_and_purge_saves_it(site):
    """An image that arrives after the plan was made keeps the whole series."""
    series = site.finished(slices=12)
    planned = site.purger.holdings(AT_ONCE)
    more = small_series(14)[-1]
    site.custody.accept(request_of(more, at=site.clock()))

    done = site.purger.purge(planned, AT_ONCE, cause=Cause.AGE)

    assert (done.holdings, done.kept) == (0, 3)
    assert len(site.files()) == len(series) + 1 + 3 + 1
    assert_true(site)


def killed_unlink(monkeypatch, at):
    """Let the process die at one of its deletions: before it, or right after it."""
    unlink, passed = Path.unlink, []

    def mortal(path, *, missing_ok=False):
        if len(passed) == at // 2 and at % 2 == 0:
            raise CrashError
        unlink(path, missing_ok=missing_ok)
        passed.append(path)
        if len(passed) == at // 2 + 1 and at % 2 == 1:
            raise CrashError

    monkeypatch.setattr(Path, "unlink", mortal)


@pytest.mark.parametrize("at", [0, 1, 9, 18, 25])
def test_a_kill_at_any_deletion_leaves_no_lie(site, monkeypatch, at):
    """Rows say "purged" before the first file goes; whoever comes next ends it."""
    site.finished(slices=10)
    killed_unlink(monkeypatch, at)

    with pytest.raises(CrashError):
        site.purge()

    assert_true(site)
    monkeypatch.undo()
    assert site.purger.finish() > 0
    site.purge()
    assert site.files() == []
    assert_true(site)


@pytest.mark.parametrize("step", ["condemn", "sync"])
def test_a_kill_before_a_commit_leaves_what_was_before(site, monkeypatch, step):
    """Neither a condemnation nor a deletion that was not committed counts."""
    site.finished(slices=10)

    def die(*_args, **_kwargs):
        raise CrashError

    if step == "condemn":
        monkeypatch.setattr("dicom_node.jobs.purge_ledger._note", die)
    else:
        site.disk.fault["sync_folder"] = CrashError()
    with pytest.raises(CrashError):
        site.purge()

    assert_true(site)
    assert any(row.purged_at for row in rows(site, InstanceRow)) is (step == "sync")
    monkeypatch.undo()
    site.disk.fault.clear()
    site.purger.finish()
    site.purge()
    assert site.files() == []


def test_a_file_that_cannot_be_deleted_is_tried_again(site):
    """The others go; its row does not claim that it is gone."""
    site.finished(slices=10)
    stubborn = min(site.spool.root.glob("*/*.dcm"))
    held = stubborn.read_bytes()
    stubborn.unlink()
    stubborn.mkdir()
    (stubborn / "x").write_bytes(b"")

    site.purge()

    assert sum(not row.erased for row in rows(site, InstanceRow)) == 1
    (stubborn / "x").unlink()
    stubborn.rmdir()
    stubborn.write_bytes(held)
    assert site.purger.finish() == 1
    assert_true(site)


def test_the_same_images_are_received_anew_after_a_purge(site):
    """All of them come back: analysed again, the same results stand, nothing is sent twice."""
    series = site.finished()
    site.purge()

    site.receive(series)

    status = status_of(site, series)
    assert (status.state, status.job.state) == (SeriesState.CHOSEN, JobState.QUEUED)
    assert status.purged_at is None
    assert site.analyze()
    assert status_of(site, series).job.state is JobState.DELIVERED
    assert len(rows(site, ObjectRow)) == 3
    assert len(rows(site, InstanceRow)) == len(series)
    assert len([name for name in site.files() if name.startswith("spool")]) == len(series)
    known = site.ledger.reports.outbox_paths()
    assert site.outbox.sweep(known, site.clock() + timedelta(days=4000)) == 3
    assert_true(site)


def test_a_part_of_a_purged_series_is_not_analysed(site):
    """An opinion on a part would supersede that on the whole."""
    series = site.finished(slices=24)
    site.purge()

    site.receive(series[:20])

    status = status_of(site, series)
    assert status.state is SeriesState.SET_ASIDE
    assert "4 of its images were purged" in status.reason
    assert not site.analyze()

    site.receive(series[20:])
    assert site.analyze()


def test_an_image_with_other_content_replaces_one_that_was_purged(site):
    """The version that was analysed is not here any more: the new one counts."""
    series = site.finished()
    site.purge()
    for ds in series:
        ds.SeriesDescription = "head, sent anew"

    site.receive(series)

    current = [row for row in rows(site, InstanceRow) if row.current]
    assert {row.purged_at for row in current} == {None}
    assert len(current) == len(series)
    assert site.analyze()


def test_an_image_whose_file_is_purged_on_its_way_is_written_again(site, monkeypatch):
    """Its file takes the name of the condemned one, and goes with it before there is a row."""
    series = site.finished()
    monkeypatch.setattr(site.purger.__class__, "_erase", lambda *_: 0)
    site.purge()
    monkeypatch.undo()
    add = site.ledger.arrivals.__class__.add

    def late(arrivals, instance, path):
        site.purger.finish()
        add(arrivals, instance, path)

    monkeypatch.setattr(site.ledger.arrivals.__class__, "add", late)
    site.custody.accept(request_of(series[0], at=site.clock()))

    (row,) = (row for row in rows(site, InstanceRow) if row.purged_at is None)
    assert (site.spool.root / row.path).is_file()
    assert_true(site)


def commitment(site, series):
    request = CommitmentRequest(
        transaction_uid="1.2.7",
        references=tuple(
            Reference(sop_class_uid=ds.SOPClassUID, sop_instance_uid=ds.SOPInstanceUID)
            for ds in series
        ),
    )
    return site.ledger.commitment_requests.record(
        request, calling_ae_title="CT1", now=site.clock()
    )


def test_what_was_purged_is_answered_as_no_such_instance(site):
    """Failure reason 0112H (PS3.3, C.14.1.1), although its row is still there."""
    series = site.finished()
    site.purge()

    report = commitment(site, series)

    assert report.committed == ()
    assert {reason for _, reason in report.failed} == {0x0112}


def test_what_a_scanner_was_promised_is_kept(site):
    """From the moment of the request on, for as long as the site promises; a person must not."""
    series = site.finished()
    assert commitment(site, series).failed == ()
    rules = replace(AT_ONCE, keep_committed=timedelta(days=10))

    assert site.obstacles(rules)[HoldingKind.IMAGES] is Obstacle.PROMISED
    assert site.purge(rules).holdings == 2
    assert_true(site)

    site.clock.turn(10 * DAY_S)
    assert site.purge(rules).holdings == 1
    assert site.files() == []


def test_each_purge_is_there_for_the_audit_trail(site):
    """By study, with numbers by class; the last one says that nothing is left."""
    series = site.finished()
    since = site.clock()
    site.purge()
    audit = AuditLedger(site.ledger.database)

    found = audit.purged(since)

    assert [sum(one.instances.values()) for one in found] == [len(series), 3]
    assert {one.study_uid for one in found} == {uids(series)[0]}
    assert [one.is_whole_study for one in found] == [False, True]
    audit.mark_purged([one.purge_id for one in found])
    assert audit.purged(since) == ()


def test_a_start_neither_adopts_nor_misses_what_was_purged(site, monkeypatch):
    """Condemned files wait for their end, files that came back from a backup go again."""
    series = site.finished()
    backup = {path: path.read_bytes() for path in site.spool.root.glob("*/*.dcm")}
    monkeypatch.setattr(site.purger.__class__, "_erase", lambda *_: 0)
    site.purge()
    monkeypatch.undo()

    found = site.custody.recover(site.clock())
    assert (found.adopted, found.missing) == (0, ())

    site.purger.finish()
    found = site.custody.recover(site.clock())
    assert (found.adopted, found.missing) == (0, ())

    for path, content in backup.items():
        path.write_bytes(content)
    assert site.custody.recover(site.clock()).adopted == 0
    assert site.purger.finish() == len(series)
    assert_true(site)


def test_verify_asks_only_for_what_is_here(site):
    """What was purged is not missing."""
    site.finished()
    site.purge()
    holdings = Holdings(site.ledger.database)

    assert (holdings.images(), holdings.results()) == ((), ())
    assert site.ledger.reports.outbox_paths() == frozenset()


def scan(site):
    return CustodyScan(
        known=site.ledger.arrivals,
        held=Holdings(site.ledger.database),
        spool=site.spool,
        outbox=site.root / "outbox",
        clock=site.clock,
    ).scan()


def test_the_daily_scan_counts_what_is_missing_and_what_is_loose(site):
    """One image and one result are gone, one file is loose; a young one is left alone."""
    site.finished()
    folder = next(site.spool.root.glob("*/"))
    min(folder.glob("*.dcm")).unlink()
    min((site.root / "outbox").glob("*/*.dcm")).unlink()
    for name, age_s in (("old.dcm", 2 * 3600), ("young.dcm", 0)):
        (folder / name).write_bytes(b"x")
        moment = site.clock().timestamp() - age_s
        os.utime(folder / name, (moment, moment))

    report = scan(site)

    assert (report.missing_images, report.missing_results, report.orphans) == (1, 1, 1)
    assert len(report.words) == 2


def test_the_daily_scan_finishes_what_a_purge_left(site):
    """A file that came back with its row saying "gone" is deleted; empty folders go, too."""
    site.finished()
    path = min(site.spool.root.glob("*/*.dcm"))
    content = path.read_bytes()
    site.purge()
    path.write_bytes(content)
    site.clock.now = site.clock() + timedelta(days=4000)

    report = scan(site)
    site.purger.finish()

    assert (report.leftovers, report.orphans, report.words) == (1, 0, ())
    assert site.files() == []
    assert_true(site)
    scan(site)
    assert list(site.spool.root.iterdir()) == []
