"""Lives of the node that perform workitems, and the worklist server that orders them.

Three are ordered: a scan that was analysed long ago, one that only the PACS has, which hangs up in
the midst of the first fetch, and one that nobody has.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

from faults.invariants import Task
from faults.outside import ARCHIVE, PACS, WEB_ARCHIVE, Reach, append, hand_over, lines_of
from faults.roles import World, custody_of, opened
from node_builders import small_series
from pydicom.dataset import Dataset
from ups_server import PERFORMED, STATE, TRANSACTION, UpsServer, value_of, workitem

from dicom_node.association.query import RemoteSeries
from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import AssociationAbortedError, NodeError, PeerUnreachableError
from dicom_node.intake.custody import Custody
from dicom_node.jobs.workitem_standing import WorkitemStandings
from dicom_node.worklist.conduct import Books, Conduct
from dicom_node.worklist.data_elements import Elements
from dicom_node.worklist.performer import Performer
from dicom_node.worklist.reports import Place, state_change
from dicom_node.worklist.service import WorkitemRefusedError
from dicom_node.worklist.workitem import ClaimRules, StepState, Workitem, read_workitem

_SLICES = 11
_CT = "1.2.840.10008.5.1.4.1.1.2"
_CODE, _STATION = "ICH-CT", "NODE1"

#: Of the scan that the node has: as the second one of the history.
_ANALYSED, _ANALYSED_SEED = "1.2.2", 2

#: Of the one that only the PACS has, and of the one that nobody has.
_FAR, _FAR_SEED = "1.2.8", 8
_NOWHERE = "1.2.9"

#: Below what lies outside of the node: what the server was told, and how often the PACS was asked.
_LOG, _ASKED = "tasks", "asked-task"

_CONFLICT = 409
_OUTPUT, _SOPS, _SOP = "00404033", "00081199", "00081155"


@cache
def _far() -> tuple[Dataset, ...]:
    return tuple(small_series(_SLICES, seed=_FAR_SEED, study_uid=_FAR))


@cache
def _orders() -> Mapping[str, tuple[str, tuple[Dataset, ...]]]:
    """Return the study and the images of each workitem."""
    analysed = tuple(small_series(_SLICES, seed=_ANALYSED_SEED, study_uid=_ANALYSED))
    return {
        "1.2.77.1": (_ANALYSED, analysed),
        "1.2.77.2": (_FAR, _far()),
        "1.2.77.3": (_NOWHERE, ()),
    }


#: When the scan of the PACS was taken: too long ago to be compared with anything.
TAKEN = {str(_far()[0].SeriesInstanceUID): "2018-03-04T08:00:00"}


def order(world: World) -> None:
    """Put the workitems onto the worklist."""
    for uid, (study, images) in _orders().items():
        series = str(images[0].SeriesInstanceUID) if images else f"{study}.1"
        item = workitem(uid, series=[(series, _CT)], study=study)
        append(world.outside / _LOG, kind="add", uid=uid, item=item)


def performer(world: World) -> None:
    """Look at the worklist some times, as the thread of the office does."""
    with opened(world, "performer") as ledger:
        custody = custody_of(world, ledger, ledger.arrivals)
        hand = Performer(
            "tasks",
            server=TaskServer(world.outside / _LOG, world.reach),
            books=Books(
                worklists=ledger.worklists,
                standings=WorkitemStandings(ledger.database),
                urgent_lane=ledger.urgent_lane,
            ),
            conduct=Conduct(
                claims=ClaimRules(codes=frozenset({_CODE}), labels=(), station=_STATION),
                station={"value": _STATION, "scheme": "L", "meaning": _STATION},
                places={
                    ARCHIVE: Place(ae_title="ARCHIVE"),
                    WEB_ARCHIVE: Place(url="http://vna/web"),
                },
                fetch=_FarArchive(world, custody).fetch,
            ),
            new_uid=lambda: f"2.25.{int.from_bytes(os.urandom(8))}",
            clock=world.clock,
        )
        for _ in range(3):
            with suppress(NodeError):
                hand.look()
            world.clock.now += timedelta(seconds=20)


def tasks(outside: Path) -> tuple[Task, ...]:
    """Return what the worklist server has."""
    server = _replayed(lines_of(outside / _LOG))
    return tuple(
        Task(
            uid=uid,
            states=tuple(state for one, state in server.history if one == uid),
            outputs=frozenset(_outputs(item)),
            images=frozenset(str(one.SOPInstanceUID) for one in _orders()[uid][1]),
        )
        for uid, item in server.items.items()
    )


class TaskServer:
    """A worklist that is a file of JSON lines; the answer to the very first claim is lost."""

    def __init__(self, log: Path, reach: Reach) -> None:
        self._log = log
        self._reach = reach

    def search(self, codes: Sequence[str]) -> Iterator[Workitem]:
        """Yield scheduled workitems; all have the one code."""
        del codes
        found = _replayed(lines_of(self._log)).search({STATE: [str(StepState.SCHEDULED)]})
        yield from map(read_workitem, found)

    def retrieve(self, workitem_uid: str) -> Workitem:
        """Return a workitem."""
        return read_workitem(_replayed(lines_of(self._log)).items[workitem_uid], workitem_uid)

    def change_state(self, workitem_uid: str, to: StepState, transaction_uid: str) -> None:
        """Claim, complete or cancel a workitem."""
        is_first = all(entry["kind"] != "state" for entry in lines_of(self._log))
        self._do(kind="state", uid=workitem_uid, body=state_change(to, transaction_uid))
        if is_first:
            raise PeerUnreachableError("tasks: the connection broke")

    def update(self, workitem_uid: str, changes: Elements, transaction_uid: str) -> None:
        """Write into a workitem."""
        body = {TRANSACTION: {"vr": "UI", "Value": [transaction_uid]}, **changes}
        self._do(kind="update", uid=workitem_uid, body=body, key=transaction_uid)

    def _do(self, **entry: object) -> None:
        if reason := _apply(_replayed(lines_of(self._log)), entry):
            raise WorkitemRefusedError(f"tasks refused: {reason}", status=_CONFLICT)
        append(self._log, **entry)
        self._reach("done by the worklist, not yet answered")


class _FarArchive:
    """A PACS that has one of the scans, and hangs up in the midst of the first fetch."""

    def __init__(self, world: World, custody: Custody) -> None:
        self._world = world
        self._custody = custody

    def fetch(self, series: Sequence[RemoteSeries], *, stop: object) -> tuple[Retrieval, ...]:
        """Hand over the images, as by C-GET."""
        del stop
        return tuple(self._fetched(one) for one in series if one.study_instance_uid == _FAR)

    def _fetched(self, series: RemoteSeries) -> Retrieval:
        asked = self._world.outside / _ASKED
        is_first = not lines_of(asked)
        append(asked, asked=True)
        images = _far()[: _SLICES // 2] if is_first else _far()
        log = self._world.outside / "acknowledged"
        hand_over(images, custody=self._custody, log=log, now=self._world.clock())
        if is_first:
            raise AssociationAbortedError(f"{PACS.name}: aborted")
        return Retrieval(series=series, completed=_SLICES, failed=0, status=0, message="")


def _replayed(entries: Sequence[dict]) -> UpsServer:
    """Return the strict server of the tests after everything that it was told."""
    server = UpsServer()
    for entry in entries:
        _apply(server, entry)
    return server


def _apply(server: UpsServer, entry: Mapping) -> str:
    """Do as a server is told; return why it does not, empty if it does."""
    if entry["kind"] == "add":
        server.add(entry["item"])
        return ""
    if entry["kind"] == "state":
        return server.change_state(entry["uid"], entry["body"])
    return server.update(entry["uid"], entry["body"], entry["key"])


def _outputs(item: Mapping) -> Iterator[str]:
    performed = value_of(item, PERFORMED) or {}
    for series in performed.get(_OUTPUT, {}).get("Value", []):
        for one in series[_SOPS]["Value"]:
            yield value_of(one, _SOP)
