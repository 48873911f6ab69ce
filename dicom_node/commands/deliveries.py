"""``ichnode deliveries``: what is on its way to the destinations, and an operator's say in it."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from dicom_node.bootstrap.audit import note_intervention
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.parts import destination_names
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import peer_named, settings_of
from dicom_node.delivery_alarms import delivery_alarms
from dicom_node.errors import LedgerError
from dicom_node.jobs.delivery_queue import QueuedDelivery
from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.ledger import Ledger
from dicom_node.jobs.state import DeliveryState
from dicom_node.operator_error import ExitCode, OperatorError

Answer = TypeVar("Answer")

#: What an operator may have to do something about.
_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)

_STYLE = {DeliveryState.DEAD: "red", DeliveryState.COMMITTED: "green"}

_HEADERS = ("number", "destination", "object", "state", "attempts", "next attempt", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deliveries are listed; no state stands for those that are not at their end."""

    states: tuple[str, ...]
    destination: str | None
    limit: int


def run_list(wanted: Wanted, *, as_json: bool, config: Path | None) -> int:
    """Print destinations that are out of the ordinary, and deliveries."""
    states = _states(wanted.states)
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        found = ledger.delivery_queue.deliveries(
            states=states, destination=wanted.destination, limit=wanted.limit
        )
        destinations = ledger.destinations.statuses()
    if as_json:
        document = {
            "destinations": [_facts(one) for one in destinations],
            "deliveries": [_facts(one) for one in found],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitCode.OK
    if found:
        show_table(
            _HEADERS,
            [_cells(one) for one in found],
            styles=[_STYLE.get(one.state, "") for one in found],
        )
    else:
        say("no such deliveries")
    for sentence in delivery_alarms(destinations, known=destination_names(settings)):
        say(sentence, style="yellow")
    return ExitCode.OK


def run_show(number: int, *, as_json: bool, config: Path | None) -> int:
    """Print one delivery, a fact a row, and the negotiation if that was the reason."""
    with _ledger(config) as ledger:
        found = _done(lambda: ledger.delivery_queue.delivery(number))
    if as_json:
        sys.stdout.write(json.dumps(_facts(found), indent=2) + "\n")
        return ExitCode.OK
    rows = [
        (name.replace("_", " "), str(value))
        for name, value in _facts(found).items()
        if name != "negotiation" and value not in (None, "")
    ]
    show_table(("what", ""), rows, title=f"delivery {number}")
    for line in found.negotiation.splitlines():
        say(f"  {line}")
    return ExitCode.OK


def run_hold(peer: str, *, reason: str, config: Path | None) -> int:
    """Hold a destination."""
    _, settings = settings_of(config)
    peer_named(settings, peer)
    with _ledger(config) as ledger:
        ledger.destinations.hold(peer, reason, utc_now())
    note_intervention(settings, f"{peer} held", utc_now())
    say(f"{peer} is held; ichnode deliveries release {peer} ends it")
    return ExitCode.OK


def run_release(peer: str, *, config: Path | None) -> int:
    """Release a destination."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        was_held = ledger.destinations.release(peer)
    if not was_held:
        raise OperatorError(f"{peer} is not held")
    note_intervention(settings, f"{peer} released", utc_now())
    say(f"{peer} is served again")
    return ExitCode.OK


def run_retry(numbers: Sequence[int], *, config: Path | None) -> int:
    """Send deliveries now."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        count = _done(lambda: ledger.delivery_queue.retry(numbers, utc_now()))
        for number in numbers:
            destination = ledger.delivery_queue.delivery(number).destination
            ledger.destinations.probe_now(destination, utc_now())
    note_intervention(settings, f"deliveries sent again: {_listed(numbers)}", utc_now())
    say(f"{count} {'object is' if count == 1 else 'objects are'} sent again")
    return ExitCode.OK


def run_cancel(numbers: Sequence[int], *, config: Path | None) -> int:
    """Give deliveries up."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        count = _done(lambda: ledger.delivery_queue.cancel(numbers, utc_now()))
    note_intervention(settings, f"deliveries cancelled: {_listed(numbers)}", utc_now())
    say(f"{count} {'delivery was' if count == 1 else 'deliveries were'} cancelled")
    return ExitCode.OK


@contextmanager
def _ledger(config: Path | None) -> Iterator[Ledger]:
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        yield ledger


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _done(action: Callable[[], Answer]) -> Answer:
    """Return what an action returns; what the ledger refuses is told to the operator."""
    try:
        return action()
    except LedgerError as error:
        raise OperatorError(str(error)) from error


def _states(names: Sequence[str]) -> tuple[DeliveryState, ...]:
    try:
        return tuple(DeliveryState(name) for name in names) or _OPEN
    except ValueError as error:
        known = ", ".join(state.value for state in DeliveryState)
        raise OperatorError(f"{error}; there are: {known}", exit_code=ExitCode.USAGE) from error


def _facts(one: QueuedDelivery | DestinationStatus) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(one).items()
    }


def _cells(one: QueuedDelivery) -> Sequence[str]:
    waits = one.state is DeliveryState.PENDING
    moment = one.next_attempt_at.astimezone().isoformat(sep=" ", timespec="seconds")
    return (
        str(one.delivery_id),
        one.destination,
        one.kind,
        str(one.state),
        str(one.attempts),
        moment if waits else "",
        one.reason,
    )
