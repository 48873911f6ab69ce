"""What must be true of a node that has come to rest, whatever happened to it before.

Read from the ledger by plain SQL and from the disk, without a line of the node.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults.ledgers import Reader, fault_of, reading

#: States in which a row waits for something.
UNFINISHED = {
    "series": ("receiving", "complete"),
    "jobs": ("queued", "analyzing", "delivering"),
    "deliveries": ("pending", "sending"),
    "prior_searches": ("pending",),
    "reprocess_runs": ("running", "resting"),
    "reprocess_studies": ("listed", "fetching", "queued"),
    "workitems": ("claiming", "performing", "completing", "canceling"),
}

#: Conditions under which a row waits for something that its state does not tell.
WAITING = {
    "deliveries": "state = 'accepted' AND commitment_at IS NOT NULL",
    "commitment_requests": "next_attempt_at IS NOT NULL",
}

#: States that owe an explanation.
OWES_REASON = {
    "series": ("set_aside",),
    "jobs": ("rejected", "withdrawn", "failed"),
    "deliveries": ("dead", "cancelled"),
    "reprocess_studies": ("failed", "skipped", "not_eligible"),
    "workitems": ("lost", "canceled"),
}

_PREAMBLE, _MAGIC, _META_LENGTH_AT, _META_AT = 128, b"DICM", 140, 144


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """An object that a node acknowledged or vouches for, or a destination accepted.

    `at` is the name of the destination.
    """

    uid: str
    digest: str
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A workitem as its server has it.

    Attributes
    ----------
    uid : str
        SOP Instance UID.
    states : tuple of str
        Every state that it came into since it was ordered.
    outputs : frozenset of str
        SOP Instance UIDs of the results that it names.
    images : frozenset of str
        SOP Instance UIDs of what is to be analysed.
    """

    uid: str
    states: tuple[str, ...]
    outputs: frozenset[str]
    images: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that tells what became of the images.

    Attributes
    ----------
    data : Path
        The node's folder.
    acknowledged : tuple of Copy
        What the sender was told Success for; the digest is that of `instance_digest`.
    archived : tuple of Copy
        What the destinations accepted, in order; the digest is that of the file.
    vouched : tuple of Copy
        What a sender heard that the node is responsible for (storage commitment).
    archives : mapping of str to frozenset of str
        SOP Instance UIDs of each study that a re-read may ask for.
    tasks : sequence of Task
        What a worklist server has.
    """

    data: Path
    acknowledged: tuple[Copy, ...]
    archived: tuple[Copy, ...]
    vouched: tuple[Copy, ...] = ()
    archives: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tasks: Sequence[Task] = ()


def read_copies(path: Path) -> tuple[Copy, ...]:
    """Return the copies that a log of JSON lines names."""
    lines = path.read_text().splitlines() if path.exists() else []
    return tuple(Copy(**json.loads(line)) for line in lines)


def unfinished(data: Path) -> list[str]:
    """Return the rows that still wait for something."""
    with reading(data) as ledger:
        found = [
            f"{table} {row[0]} is {row[1]}"
            for table, states in UNFINISHED.items()
            for row in ledger.execute(f"SELECT rowid, state FROM {table} ORDER BY rowid")  # noqa: S608 - our own names
            if row[1] in states
        ]
        return found + [
            f"{table} {row} waits: {condition}"
            for table, condition in WAITING.items()
            for (row,) in ledger.execute(f"SELECT rowid FROM {table} WHERE {condition}")  # noqa: S608 - our own names
        ]


def repeats(scene: Scene) -> int:
    """Return how often the archive got an object again, the same to the byte.

    That is inevitable if the courier dies between the archive's answer and its own row, and does
    no harm: an archive keeps one object per identity.
    """
    return len(scene.archived) - len(set(scene.archived))


def violations(scene: Scene) -> list[str]:
    """Return what is wrong, in sentences; empty if nothing is.

    Each begins with what kind of fault it is: lost, doubled, stuck or wrong.
    """
    with reading(scene.data) as ledger:
        fault = fault_of(ledger)
        found = [f"wrong: the ledger is corrupt: {fault}"] if fault else []
        found += [f"stuck: {row}" for row in unfinished(scene.data)]
        found += _without_reason(ledger)
        found += _custody(scene, ledger)
        found += _results(ledger)
        found += _contents(scene, ledger)
        found += _rereads(scene, ledger)
        found += _tasks(scene, ledger)
        found += _archive(scene, ledger)
        return found


def _without_reason(ledger: Reader) -> Iterator[str]:
    for table, states in OWES_REASON.items():
        for row, state, reason in ledger.execute(f"SELECT rowid, state, reason FROM {table}"):  # noqa: S608 - our own names
            if state in states and not reason:
                yield f"wrong: {table} {row} is {state} without a reason"


def _custody(scene: Scene, ledger: Reader) -> Iterator[str]:
    """Every acknowledged instance is there byte for byte, has a row, and nothing lies about."""
    spool = scene.data / "spool"
    rows = {
        path: facts
        for path, *facts in ledger.execute(
            "SELECT path, sop_instance_uid, transfer_syntax_uid, content_digest, "
            "purged_at IS NOT NULL FROM instances"
        )
    }
    held = set()
    for path, (uid, syntax, digest, is_purged) in rows.items():
        file = spool / path
        if is_purged:
            held.add((uid, digest))  # it went as the site wants it, and its row says so
            if file.exists():
                yield f"stuck: instance {uid} is purged and its file is there"
        elif not file.is_file():
            yield f"lost: the file of instance {uid} is gone"
        elif instance_digest(syntax, data_set_of(file.read_bytes())) != digest:
            yield f"lost: the bytes of instance {uid} are others"
        else:
            held.add((uid, digest))
    for uid, digest in sorted({(one.uid, one.digest) for one in scene.acknowledged} - held):
        yield f"lost: instance {uid} ({digest[:8]}) was acknowledged and is lost"
    for uid in sorted({one.uid for one in scene.vouched} - {uid for uid, _ in held}):
        yield f"lost: instance {uid} was vouched for and is lost"
    for file in spool.rglob("*"):
        if file.is_file() and str(file.relative_to(spool)) not in rows:
            yield f"wrong: {file.relative_to(spool)} lies in the spool without a row"


def _results(ledger: Reader) -> Iterator[str]:
    """Every chosen series has one set of results of all its images, or a reason."""
    for series, state in ledger.execute("SELECT series_uid, state FROM series"):
        if state != "chosen":
            continue
        newest = ledger.execute(
            "SELECT job_id, state, result_set_id FROM jobs WHERE series_uid = ? AND "
            "kind = 'analysis' AND state != 'withdrawn' ORDER BY job_id DESC LIMIT 1",
            (series,),
        ).fetchone()
        if newest is None:
            yield f"stuck: series {series} was chosen and has no analysis"
            continue
        job, job_state, result_set = newest
        if job_state == "delivered" and result_set is None:
            yield f"lost: job {job} is delivered and has no results"
        if job_state == "delivered" and _images_of(ledger, job) != _current(ledger, series):
            yield f"wrong: the last results of series {series} are of other images than it has"
    doubled = ledger.execute(
        # What a re-read kept is known to nobody, so that nothing supersedes it.
        "SELECT series_uid, kind, supersedes, COUNT(*) FROM result_sets "
        "WHERE result_set_id NOT IN (SELECT result_set_id FROM jobs "
        "JOIN reprocess_jobs USING (job_id) WHERE result_set_id IS NOT NULL "
        "AND result_set_id NOT IN (SELECT result_set_id FROM deliveries)) "
        "GROUP BY series_uid, kind, supersedes HAVING COUNT(*) > 1"
    )
    for series, kind, supersedes, number in doubled:
        yield f"doubled: {number} results ({kind}) of series {series} supersede {supersedes}"
    compared = ledger.execute(
        "SELECT baseline_job_id, analysis_job_id, COUNT(*) FROM jobs WHERE kind = 'comparison' "
        "AND state = 'delivered' GROUP BY 1, 2 HAVING COUNT(*) > 1"
    )
    for baseline, follow_up, number in compared:
        yield f"doubled: analyses {baseline} and {follow_up} were compared {number} times"
    sent = ledger.execute(
        "SELECT DISTINCT job_id FROM jobs JOIN objects USING (result_set_id) "
        "WHERE jobs.kind = 'shadow'"
    )
    for (job,) in sent:
        yield f"doubled: shadow job {job} has objects to send"


def _contents(scene: Scene, ledger: Reader) -> Iterator[str]:
    """Of every opinion the files that were read are those of its job."""
    opinions = ledger.execute(
        "SELECT job_id, record FROM jobs WHERE kind = 'analysis' AND result_set_id IS NOT NULL"
    )
    for job, record in list(opinions):
        paths = list(
            ledger.execute(
                "SELECT path, purged_at IS NOT NULL FROM instances JOIN job_instances "
                "USING (instance_id) WHERE job_id = ? ORDER BY path",
                (job,),
            )
        )
        if any(is_purged for _, is_purged in paths):
            continue
        content = hashlib.sha256()
        for path, _ in paths:
            content.update((scene.data / "spool" / path).read_bytes())
        if json.loads(record).get("content", content.hexdigest()) != content.hexdigest():
            yield f"wrong: the results of job {job} are of other files than its own"


def _rereads(scene: Scene, ledger: Reader) -> Iterator[str]:
    """Of studies that were read again nothing is missing, and nobody was sent their results."""
    studies = ledger.execute("SELECT run_id, study_uid, state FROM reprocess_studies")
    for run, study, state in list(studies):
        rows = ledger.execute(
            "SELECT sop_instance_uid FROM instances WHERE study_uid = ? AND current", (study,)
        )
        missing = scene.archives.get(study, frozenset()) - {row[0] for row in rows}
        if state == "analysed" and missing:
            yield f"lost: study {study} of run {run} was analysed without {len(missing)} images"
    sent = ledger.execute(
        "SELECT DISTINCT result_set_id FROM deliveries WHERE result_set_id NOT IN (SELECT "
        "result_set_id FROM jobs WHERE result_set_id IS NOT NULL AND job_id NOT IN "
        "(SELECT job_id FROM reprocess_jobs))"
    )
    for (result_set,) in sent:
        yield f"doubled: results {result_set} of a re-read were sent to somebody"


def _tasks(scene: Scene, ledger: Reader) -> Iterator[str]:
    """Every workitem is claimed once and ended once, with what is delivered of whole scans."""
    rows = dict(ledger.execute("SELECT workitem_uid, state FROM workitems"))
    here = {uid for (uid,) in ledger.execute("SELECT sop_instance_uid FROM instances")}
    sent = {one.uid for one in scene.archived}
    for task in scene.tasks:
        state = rows.get(task.uid, "never claimed")
        if task.states != ("IN PROGRESS", state.upper()):
            yield f"wrong: workitem {task.uid} is {state}, at its server it was {task.states}"
        if state != "completed":
            continue
        if not task.outputs or task.outputs - sent:
            number, unsent = len(task.outputs), len(task.outputs - sent)
            yield f"lost: workitem {task.uid} names {number} results, {unsent} were not sent"
        if task.images - here:
            missing = len(task.images - here)
            yield f"lost: workitem {task.uid} was completed without {missing} images"


def _archive(scene: Scene, ledger: Reader) -> Iterator[str]:
    """Compare the archive with what the ledger says was accepted."""
    accepted = set(
        ledger.execute(
            "SELECT d.destination, o.sop_instance_uid, o.content_digest FROM objects o "
            "JOIN deliveries d USING (object_id) WHERE d.state IN ('accepted', 'committed')"
        )
    )
    archived = {(one.at, one.uid, one.digest) for one in scene.archived}
    for at, uid, _ in sorted(accepted - archived):
        yield f"lost: object {uid} counts as delivered and is not in {at}"
    for at, uid, _ in sorted(archived - accepted):
        yield f"doubled: object {uid} is in {at} and not among the results"
    for (at, uid), number in Counter((at, uid) for at, uid, _ in archived).items():
        if number > 1:
            yield f"doubled: {at} got {number} contents under {uid}"
    objects = ledger.execute("SELECT path, content_digest, purged_at IS NOT NULL FROM objects")
    for path, digest, is_purged in objects:
        file = scene.data / "outbox" / path
        if is_purged:
            if file.exists():
                yield f"stuck: result file {path} is purged and there"
        elif not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            yield f"lost: result file {path} is not what was written"


def instance_digest(syntax: str, data_set: bytes) -> str:
    """Return the SHA-256 by which the node tells versions of an instance apart."""
    return hashlib.sha256(syntax.encode() + b"\0" + data_set).hexdigest()


def data_set_of(file: bytes) -> bytes:
    """Return what follows the file meta information (PS3.10, section 7.1)."""
    if file[_PREAMBLE : _PREAMBLE + 4] != _MAGIC:
        return b""
    return file[_META_AT + int.from_bytes(file[_META_LENGTH_AT:_META_AT], "little") :]


def _images_of(ledger: Reader, job: int) -> set[int]:
    rows = ledger.execute("SELECT instance_id FROM job_instances WHERE job_id = ?", (job,))
    return {row[0] for row in rows}


def _current(ledger: Reader, series: str) -> set[int]:
    rows = ledger.execute(
        "SELECT instance_id FROM instances WHERE series_uid = ? AND current", (series,)
    )
    return {row[0] for row in rows}
