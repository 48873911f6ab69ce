"""What the receiver turned away comes to the ledger, and to the audit trail."""

from contextlib import contextmanager

import pytest
from node_builders import Clock, opened_ledger, request_of, small_series

from dicom_node.association.refusals import RefusalKind, Refusals
from dicom_node.bootstrap.receiver_report import ReceiverReport
from dicom_node.errors import LedgerUnavailableError, SpoolFullError
from dicom_node.intake.counted import CountedIntake
from dicom_node.jobs.tally import TallyLedger


class FullIntake:
    """Has no room."""

    def accept(self, request):
        raise SpoolFullError(f"no room for {request.sop_instance_uid}")

    def association_closed(self, sender, at):
        pass


class HangingTallies(TallyLedger):
    """Refuses while it is told to."""

    hangs = True

    def add(self, counted):
        if self.hangs:
            raise LedgerUnavailableError("disk hangs")
        super().add(counted)


@contextmanager
def reporting(tmp_path, *, kind=TallyLedger):
    refusals, intake, told = Refusals(Clock()), CountedIntake(FullIntake()), []
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        tallies = kind(ledger.database)
        report = ReceiverReport(
            tallies=tallies, intake=intake, refusals=refusals, on_refused=told.extend
        )
        yield report, refusals, intake, tallies, told


def counted(tallies):
    return {(one.tally.value, *one.labels.values()): one.value for one in tallies.read()}


def test_refusals_are_counted_by_their_reason(tmp_path):
    """An object that is too large is no refused association."""
    (image,) = small_series(slices=1)
    with reporting(tmp_path) as (report, refusals, intake, tallies, told):
        refusals.admit()
        refusals.note(RefusalKind.UNKNOWN_CALLER, address="10.0.0.9", ae_title="X")
        refusals.note(RefusalKind.UNKNOWN_CALLER, address="10.0.0.9", ae_title="X")
        refusals.note(RefusalKind.OBJECT_TOO_LARGE, address="10.0.0.9", ae_title="CT")
        with pytest.raises(SpoolFullError):
            intake.accept(request_of(image))
        report.tick()
        report.tick()

        assert counted(tallies) == {
            ("associations", "accepted", ""): 1,
            ("associations", "refused", "unknown_caller"): 2,
            ("instances", "refused_object_too_large"): 1,
            ("instances", "refused_disk_full"): 1,
        }
        assert [(one.kind, one.count) for one in told] == [(RefusalKind.UNKNOWN_CALLER, 2)]


def test_counts_wait_for_the_ledger(tmp_path):
    """What could not be written is written the next time, once."""
    with reporting(tmp_path, kind=HangingTallies) as (report, refusals, _, tallies, told):
        refusals.note(RefusalKind.NOT_DICOM, address="10.0.0.9")
        report.tick()
        tallies.hangs = False
        report.tick()

        assert counted(tallies) == {("associations", "refused", "not_dicom"): 1}
        assert len(told) == 1
