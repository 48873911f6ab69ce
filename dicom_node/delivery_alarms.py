"""What an operator must know of the destinations, one sentence for each trouble."""

from collections.abc import Collection, Iterable
from datetime import datetime

from dicom_node.jobs.destination_ledger import DestinationStatus


def delivery_alarms(
    destinations: Iterable[DestinationStatus], *, known: Collection[str]
) -> tuple[str, ...]:
    """Return what is wrong with destinations: given up, out of reach, held, or gone.

    Parameters
    ----------
    destinations
        As the ledger has them.
    known
        Names of those that the settings have; nothing is sent to any other one.
    """
    return tuple(sentence for one in destinations for sentence in _sentences(one, known))


def commitment_alarms(untold: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return which senders wait in vain for a report of storage commitment."""
    return tuple(
        f"{caller} asked for storage commitment and could not be told: {reason}"
        for caller, reason in untold
    )


def _sentences(one: DestinationStatus, known: Collection[str]) -> list[str]:
    sentences = []
    if one.waiting and one.name not in known:
        sentences.append(
            f"{_objects(one.waiting)} waiting for {one.name}, which is no destination any more: "
            f"ichnode deliveries list --destination {one.name}, then cancel"
        )
    if one.dead:
        sentences.append(
            f"{_objects(one.dead)} for {one.name} given up: ichnode deliveries list --state dead"
        )
    if one.held_at is not None:
        reason = f" ({one.held_reason})" if one.held_reason else ""
        sentences.append(
            f"{one.name} is held since {_moment(one.held_at)}{reason}; "
            f"{_objects(one.waiting)} waiting: ichnode deliveries release {one.name}"
        )
    elif one.broken_at is not None:
        sentences.append(
            f"{one.name} is out of reach since {_moment(one.broken_at)}, "
            f"{_objects(one.waiting)} waiting: {one.reason}"
        )
    return sentences


def _objects(number: int) -> str:
    return f"{number} object" if number == 1 else f"{number} objects"


def _moment(moment: datetime) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="minutes")
