"""A node in a folder, whose processes are forked for one life each, and its sender and archive."""

import importlib
import json
import os
import select
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from faults import correspondence, points, rereads, roles, tasks
from faults.invariants import Scene, instance_digest, read_copies, unfinished
from faults.ledgers import Files
from faults.outside import ARCHIVE, HOST, WEB_ARCHIVE, append
from faults.points import Doom, Fault, Moments
from faults.power_cut import cut_power, files_below
from faults.roles import SteadyClock, World
from node_builders import START, encoded
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.transport import AssociationSocket

from dicom_node.association.checkpoint import hold_while_waiting

#: How often the clock is turned until a node must have come to rest.
_MOST_TURNS = 40
_TURN = timedelta(seconds=200)
_CRASHED = 70

#: What a life imports for itself, its successors find already here: a fork is then all they cost.
_OWN_PACKAGES = ("dicom_node.", "pipeline.")

#: Of the sender, whose receiver may be dead.
_PATIENCE_S = 20.0

#: In which the sender may still note an answer of a receiver that died.
_GRACE_S = 0.3

NO_DOOM = Doom()

#: Ledgers lie in files unless the campaign says something else.
FILES = Files()

#: Who works until a node has come to rest, in turn.
_EVERYBODY = (
    roles.restart,
    roles.office,
    roles.worker,
    roles.office,
    correspondence.seeker,
    rereads.reader,
    tasks.performer,
    correspondence.notary,
    correspondence.reports,
    correspondence.reporter,
    correspondence.clerk,
    correspondence.janitor,
    roles.restart,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How one process lived.

    Attributes
    ----------
    moments : tuple of str
        What it passed.
    struck : str
        The moment it was killed at; empty if it was not.
    crash : str
        Traceback, if it ended by an exception of its own.
    """

    moments: tuple[str, ...]
    struck: str
    crash: str


class Stage:
    """One node.

    Parameters
    ----------
    root
        Its folder, made if absent.
    acquired_at
        When the scan of each series was taken.
    prior
        Images of an earlier scan that a PACS has.
    ledgers
        Where ledgers lie.
    """

    def __init__(
        self,
        root: Path,
        acquired_at: dict[str, str],
        prior: Sequence[Dataset] = (),
        ledgers: Files = FILES,
    ) -> None:
        self.root = root
        self.acquired_at = acquired_at
        self.prior = tuple(prior)
        self.ledgers = ledgers
        self.now = START
        self.lives = 0
        self.data.mkdir(parents=True, exist_ok=True)
        ledgers.found(self.data)

    @property
    def data(self) -> Path:
        """The node's folder."""
        return self.root / "data"

    @property
    def scene(self) -> Scene:
        """What the invariants are about."""
        return Scene(
            data=self.data,
            acknowledged=read_copies(self.root / "acknowledged"),
            archived=read_copies(self.root / ARCHIVE) + read_copies(self.root / WEB_ARCHIVE),
            vouched=read_copies(self.root / "vouched"),
            archives=rereads.archived(),
            tasks=tasks.tasks(self.root),
        )

    def copy(self, root: Path) -> "Stage":
        """Return the same node in another folder."""
        shutil.copytree(self.root, root)
        twin = Stage(root, self.acquired_at, self.prior, self.ledgers)
        self.ledgers.copied(twin.data)
        twin.now, twin.lives = self.now, self.lives
        return twin

    def remove(self) -> None:
        """Delete the node."""
        self.ledgers.removed(self.data)
        shutil.rmtree(self.root)

    def turn(self, by: timedelta = _TURN) -> None:
        """Turn the clock."""
        self.now += by

    def live(self, action: Callable[[World], None], doom: Doom = NO_DOOM) -> Life:
        """Let a process live."""
        (life,) = self.live_together((action, doom))
        return life

    def live_together(self, *lives: tuple[Callable[[World], None], Doom]) -> list[Life]:
        """Let processes live side by side."""
        before = files_below(self.data)
        begun = [(*self._fork(action, doom), doom) for action, doom in lives]
        return [self._end(pid, diary, doom, before) for pid, diary, doom in begun]

    def receive(
        self, images: Sequence[Dataset], doom: Doom = NO_DOOM, *, cut_after: int | None = None
    ) -> tuple[Life, bool]:
        """Let a receiver live while images are sent to it; return whether all were acknowledged.

        With `cut_after`, the sender is gone after so many bytes.
        """
        before = files_below(self.data)
        port_read, port_write = os.pipe()
        end_read, end_write = os.pipe()

        def run(world: World) -> None:
            os.close(end_write)
            roles.receiver(world, port_write, end_read)

        pid, diary = self._fork(run, doom)
        os.close(port_write)
        os.close(end_read)
        port = os.read(port_read, 16)
        is_sent = bool(port) and self._send(int(port), images, cut_after, receiver=pid)
        os.close(port_read)
        os.close(end_write)
        return self._end(pid, diary, doom, before), is_sent

    def come_to_rest(self, images: Sequence[Dataset], *, is_sent: bool = False) -> None:
        """Let everything run undisturbed until nothing waits; the sender repeats what it must.

        Raises
        ------
        AssertionError
            If a process that nobody disturbed ends by an exception.
        """
        for _ in range(_MOST_TURNS):
            if not is_sent:
                life, is_sent = self.receive(images)
                assert not life.crash, life.crash
            self.turn()
            life = self.live(_everybody)
            self.turn(_TURN * len(_EVERYBODY))
            assert not life.crash, life.crash
            if is_sent and not unfinished(self.data):
                return

    def _send(
        self, port: int, images: Sequence[Dataset], cut_after: int | None, *, receiver: int
    ) -> bool:
        """Send from a process of its own; it is not waited for long once the receiver is dead."""
        pid = os.fork()
        if pid == 0:
            _end_with(lambda: _send(self.root / "acknowledged", port, images, cut_after))
        ends = [os.pidfd_open(pid), os.pidfd_open(receiver)]
        select.select(ends, [], [])
        if not select.select(ends[:1], [], [], 0)[0]:
            select.select(ends[:1], [], [], _GRACE_S)
        for one in ends:
            os.close(one)
        os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def _fork(self, action: Callable[[World], None], doom: Doom) -> tuple[int, Path]:
        self.lives += 1
        diary = self.root / f"diary-{self.lives}"
        diary.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            moments = Moments(doom, diary)
            points.install(moments, self.data)
            world = World(
                data=self.data,
                outside=self.root,
                clock=SteadyClock(self.now),
                reach=moments.reach,
                acquired_at=self.acquired_at,
                prior=self.prior,
            )
            known = frozenset(sys.modules)
            _end_with(lambda: action(world), note=moments.note, known=known)
        return pid, diary

    def _end(self, pid: int, diary: Path, doom: Doom, before: frozenset[Path]) -> Life:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        entries = [json.loads(line) for line in diary.read_text().splitlines()]
        was_killed = code == -signal.SIGKILL
        if was_killed and doom.fault is Fault.POWER_CUT:
            cut_power((self.data / "spool", self.data / "outbox"), before, diary)
        diary.unlink()
        for name in (name for one in entries for name in one.get("imported", ())):
            importlib.import_module(name)
        struck = [one["struck"] for one in entries if "struck" in one]
        crashes = [one["crash"] for one in entries if "crash" in one]
        return Life(
            moments=tuple(one["moment"] for one in entries if "moment" in one),
            struck=struck[0] if struck else "",
            crash=crashes[0]
            if crashes
            else ""
            if code in {0, -signal.SIGKILL}
            else f"exit {code}",
        )


def _everybody(world: World) -> None:
    """Let one after the other work, in one process: a fork each would cost more than the work."""
    for action in _EVERYBODY:
        world.clock.now += _TURN
        action(world)


def _end_with(
    action: Callable[[], object],
    note: Callable[..., None] | None = None,
    known: frozenset[str] = frozenset(),
) -> None:
    """Run the whole life of a forked process; note what it imported beyond what was known."""
    try:
        action()
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        if note is not None:
            note(crash=traceback.format_exc())
        os._exit(_CRASHED)
    if note is not None:
        imported = [name for name in sys.modules if name.startswith(_OWN_PACKAGES)]
        note(imported=sorted(set(imported) - known))
    sys.stdout.flush()
    os._exit(0)


def _send(log: Path, port: int, images: Sequence[Dataset], cut_after: int | None) -> None:
    """Send images over one association; note what is acknowledged, fail if not all are."""
    if cut_after is not None:
        _die_after(cut_after)
    entity = AE(ae_title="MODALITY")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _PATIENCE_S
    association = entity.associate(
        HOST,
        port,
        contexts=[build_context(CTImageStorage, ExplicitVRLittleEndian)],
        ae_title="ICHNODE",
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: hold_while_waiting(event.assoc))],
    )
    refused = 0
    for ds in images:
        if not association.is_established:
            raise ConnectionError
        answer = association.send_c_store(ds)
        if answer and answer.Status == 0:
            digest = instance_digest(str(ExplicitVRLittleEndian), encoded(ds))
            append(log, uid=str(ds.SOPInstanceUID), digest=digest)
        else:
            refused += 1
    association.release()
    if refused:
        raise ConnectionError(f"{refused} were not acknowledged")


def _die_after(limit: int) -> None:
    """Let this process be gone after so many bytes, in the middle of whatever it sends."""
    left = [limit]
    send = AssociationSocket.send

    def limited(self: AssociationSocket, content: bytes) -> None:
        if len(content) > left[0]:
            self.socket.sendall(content[: left[0]])
            os._exit(_CRASHED)
        left[0] -= len(content)
        send(self, content)

    AssociationSocket.send = limited
