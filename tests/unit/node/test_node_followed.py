"""What the ledger says of scans that were followed, for whoever takes them out of the house."""

import pytest
from node_builders import Clock, opened_ledger
from site_builder import ADMISSION, LATER, NEXT_DAY, Site, scan

from dicom_node.jobs.followed import FollowedLedger
from dicom_node.jobs.state import JobKind


@pytest.fixture
def site(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Site(ledger, Clock())


def compare(site, **record):
    held = site.claim()
    assert held.task.kind is JobKind.COMPARISON
    return site.complete(held, **({"status": "compared"} | record))


def test_a_comparison_names_both_scans_with_their_files_and_masks(site):
    """Images relative to the spool, segmentations relative to the outbox; captures are none."""
    baseline = site.analyze(scan(1), ADMISSION)
    follow_up = site.analyze(scan(2, slices=14), NEXT_DAY)
    compared = compare(site, expanded=True)

    (pair,) = FollowedLedger(site.ledger.database).pairs()

    assert pair.record == {"status": "compared", "expanded": True}
    assert (pair.baseline.series_uid, pair.follow_up.series_uid) == (
        baseline.series_instance_uid,
        follow_up.series_instance_uid,
    )
    assert (pair.baseline.files, pair.follow_up.files) == (baseline.files, follow_up.files)
    assert pair.baseline.acquired_at == ADMISSION
    # `stored_objects` names files by job and kind: the second is the segmentation.
    own = [str(path) for path in (*pair.masks, *pair.baseline.masks, *pair.follow_up.masks)]
    jobs = (compared.job_id, baseline.job_id, follow_up.job_id)
    assert own == [f"1.2.3.{job}.2.dcm" for job in jobs]
    assert pair.patient_key not in repr(pair)


def test_a_comparison_that_has_no_result_yet_is_no_pair(site):
    """Waiting, running or failed: nothing is known of what became of the hematoma."""
    site.analyze(scan(1), ADMISSION)
    site.analyze(scan(2), NEXT_DAY)

    assert FollowedLedger(site.ledger.database).pairs() == ()


def test_of_several_comparisons_of_a_scan_the_last_counts(site):
    """A baseline that came late makes the comparison again."""
    second = site.analyze(scan(1), NEXT_DAY)
    third = site.analyze(scan(2), LATER)
    compare(site, expanded=False)
    first = site.analyze(scan(3), ADMISSION)
    compare(site, expanded=True)
    compare(site, expanded=True)

    pairs = FollowedLedger(site.ledger.database).pairs()

    assert {pair.baseline.series_uid for pair in pairs} == {first.series_instance_uid}
    assert {pair.follow_up.series_uid for pair in pairs} == {
        second.series_instance_uid,
        third.series_instance_uid,
    }
    assert all(pair.record["expanded"] for pair in pairs)
