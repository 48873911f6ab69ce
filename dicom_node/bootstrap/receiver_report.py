"""What the receiver writes down every few seconds: whom and what it turned away."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from dicom_node.association.refusals import RefusalCount, RefusalKind, Refusals
from dicom_node.bootstrap.audit import audit_trail, note_refused
from dicom_node.errors import LedgerError
from dicom_node.intake.counted import CountedIntake
from dicom_node.jobs.database import Database
from dicom_node.jobs.refused_callers import RefusedCaller, RefusedCallers
from dicom_node.jobs.tally import Tallied, Tally, TallyLedger
from dicom_node.settings.schema import Settings

#: What an error of the intake counts as.
_OUTCOMES = {
    "SpoolFullError": "refused_disk_full",
    "SpoolWriteError": "refused_disk_error",
    "CustodyRecordError": "refused_ledger",
    "UnreadableInstanceError": "refused_unreadable",
    "InstanceMismatchError": "refused_mismatch",
}
_UNFORESEEN = "refused_unforeseen"

#: Refusals of an object; the others are of an association.
_OF_OBJECTS = frozenset({RefusalKind.OBJECT_TOO_LARGE, RefusalKind.OUT_OF_MEMORY})


class ReceiverReport:
    """Brings the receiver's own counts to the ledger.

    What is killed within the few seconds between two reports takes these counts with it: nothing
    of them had become an instance.

    Parameters
    ----------
    tallies : TallyLedger
        Where counts go.
    intake : CountedIntake
        Counts instances that were refused.
    refusals : Refusals
        Counts associations.
    on_refused : Callable
        Told of the refused associations, after they were counted.
    """

    def __init__(
        self,
        *,
        tallies: TallyLedger,
        intake: CountedIntake,
        refusals: Refusals,
        on_refused: Callable[[Sequence[RefusalCount]], None] = lambda _: None,
    ) -> None:
        self._tallies = tallies
        self._intake = intake
        self._refusals = refusals
        self._on_refused = on_refused
        self._waiting: list[Tallied] = []

    def tick(self) -> None:
        """Write down what was counted since the last time; it waits if the ledger refuses."""
        refused = self._refusals.take()
        self._waiting += _of_intake(self._intake.take())
        self._waiting += [_of_refusal(one) for one in refused]
        admitted = self._refusals.take_admitted()
        if admitted:
            labels = {"outcome": "accepted", "reason": ""}
            self._waiting.append(Tallied(tally=Tally.ASSOCIATIONS, labels=labels, value=admitted))
        try:
            self._tallies.add(self._waiting)
        except LedgerError:
            pass  # whoever needs the ledger says so in the log; the next tick tries again
        else:
            self._waiting = []
        associations = [one for one in refused if one.kind not in _OF_OBJECTS]
        if associations:
            self._on_refused(associations)


def noted(
    database: Database, settings: Callable[[], Settings]
) -> Callable[[Sequence[RefusalCount]], None]:
    """Return what writes down whom the receiver turned away: in the audit trail and for people."""
    callers = RefusedCallers(database)

    def note(counts: Sequence[RefusalCount]) -> None:
        note_refused(settings(), audit_trail(settings()))(counts)
        remember(callers, counts)

    return note


def remember(callers: RefusedCallers, refused: Sequence[RefusalCount]) -> None:
    """Let people see whom the receiver turned away; a busy ledger is told by the counts."""
    seen = [
        RefusedCaller(
            kind=one.kind.value,
            address=one.address,
            ae_title=one.ae_title,
            count=one.count,
            first_at=one.last_at,
            last_at=one.last_at,
        )
        for one in refused
    ]
    with suppress(LedgerError):
        callers.note(seen)


def _of_intake(refused: dict[str, int]) -> list[Tallied]:
    return [
        Tallied(
            tally=Tally.INSTANCES,
            labels={"outcome": _OUTCOMES.get(name, _UNFORESEEN)},
            value=number,
        )
        for name, number in refused.items()
    ]


def _of_refusal(one: RefusalCount) -> Tallied:
    if one.kind in _OF_OBJECTS:
        labels = {"outcome": f"refused_{one.kind.value}"}
        return Tallied(tally=Tally.INSTANCES, labels=labels, value=one.count)
    labels = {"outcome": "refused", "reason": one.kind.value}
    return Tallied(tally=Tally.ASSOCIATIONS, labels=labels, value=one.count)
