"""``ichnode retention plan``, ``hold``, ``unhold`` and ``purge``: what is kept and what goes."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from dicom_node.bootstrap.audit import note_intervention, operator_here
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.retention import purger_of, retention_rules
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.errors import UnknownEntryError
from dicom_node.jobs.purge_ledger import Cause
from dicom_node.jobs.retention import DISCRETIONARY, Holding, RetentionPlan, RetentionRules, plan
from dicom_node.jobs.study_holds import StudyHold, StudyHolds
from dicom_node.operator_error import ExitCode, OperatorError

_MEGABYTE = 2**20
_HEADERS = ("what", "series", "MB", "since", "when", "why")


def run_plan(*, as_json: bool, limit: int, config: Path | None) -> int:
    """Show what goes and what stays."""
    _, settings = settings_of(config)
    rules = retention_rules(settings)
    with ledger_for_reading(settings) as ledger:
        purger = purger_of(settings, ledger, clock=utc_now)
        planned = plan(
            purger.holdings(rules), rules, free_bytes=purger.free_bytes(), now=utc_now()
        )
        holds = StudyHolds(ledger.database).standing()
    if as_json:
        document = _document(planned, rules, holds, is_enabled=settings.retention.enabled)
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return ExitCode.OK
    if not settings.retention.enabled:
        say("retention is turned off: nothing goes by itself (retention.enabled)", style="yellow")
    _show(planned, rules, limit)
    for hold in holds:
        say(f"on hold since {_day(hold.since)} by {hold.by}: {hold.study_uid}: {hold.why}")
    return ExitCode.OK


def run_hold(study: str, *, why: str, config: Path | None) -> int:
    """Put a study on hold."""
    if not why.strip():
        raise OperatorError("--why needs a reason", exit_code=ExitCode.USAGE)
    now, by = utc_now(), operator_here().user_id
    _on_holds(
        config,
        study,
        "put on legal hold",
        now,
        lambda holds: holds.hold(study, why.strip(), by=by, now=now),
    )
    return ExitCode.OK


def run_unhold(study: str, *, config: Path | None) -> int:
    """End the hold of a study."""
    now, by = utc_now(), operator_here().user_id
    _on_holds(
        config,
        study,
        "taken off legal hold",
        now,
        lambda holds: holds.unhold(study, by=by, now=now),
    )
    return ExitCode.OK


def run_purge(study: str, *, yes: bool, config: Path | None) -> int:
    """Purge one study, all of it or nothing."""
    _, settings = settings_of(config)
    rules = retention_rules(settings)
    with ledger_for_reading(settings) as ledger:
        purger = purger_of(settings, ledger, clock=utc_now)
        purger.finish()
        held = purger.holdings(rules, study)
        if not held:
            raise OperatorError(f"nothing of study {study!r} is held")
        kept = [one for one in held if one.obstacle and one.obstacle not in DISCRETIONARY]
        if kept:
            _show_table(kept, rules, len(kept))
            raise OperatorError("the study cannot be purged; ichnode retention plan says why")
        _show_table(held, rules, len(held))
        if not yes and not _asked():
            say("nothing was purged")
            return ExitCode.FAILED
        with _bar(len(held)) as on_purged:
            done = purger.purge(
                held,
                rules,
                cause=Cause.OPERATOR,
                by=operator_here().user_id,
                overriding=DISCRETIONARY,
                on_purged=on_purged,
            )
    say(f"purged: {done.files} files, {done.size_bytes / _MEGABYTE:.1f} MB")
    if done.kept:
        say(f"{done.kept} holdings had to stay: something came or began meanwhile", style="yellow")
    return ExitCode.FAILED if done.kept else ExitCode.OK


def _on_holds(
    config: Path | None, study: str, what: str, now: datetime, act: Callable[[StudyHolds], int]
) -> None:
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        try:
            series = act(StudyHolds(ledger.database))
        except UnknownEntryError as error:
            raise OperatorError(str(error)) from error
    note_intervention(settings, what, now, studies=[study])
    say(f"the study, {series} series, was {what}")


def _show(planned: RetentionPlan, rules: RetentionRules, limit: int) -> None:
    parts = (
        ("goes now", planned.by_age),
        ("goes now, because room is needed", planned.by_emergency),
        ("goes later", planned.young),
        ("stays", planned.kept),
    )
    for title, holdings in parts:
        say(f"{title}: {_amount(holdings)}")
        if holdings:
            _show_table(holdings, rules, limit)
    for reason, number in sorted(Counter(one.obstacle for one in planned.kept).items()):
        say(f"{number} stay: {reason}")
    if planned.missing_bytes:
        say(
            f"{planned.missing_bytes / _MEGABYTE:.0f} MB are missing and nothing more may go",
            style="red",
        )


def _show_table(holdings: Sequence[Holding], rules: RetentionRules, limit: int) -> None:
    show_table(
        _HEADERS,
        [
            (
                str(one.kind),
                one.series_uid,
                f"{one.size_bytes / _MEGABYTE:.1f}",
                _day(one.since),
                _when(one, rules),
                str(one.obstacle or ""),
            )
            for one in holdings[:limit]
        ],
    )
    if len(holdings) > limit:
        say(f"... and {len(holdings) - limit} more")


def _when(one: Holding, rules: RetentionRules) -> str:
    """Return when it goes as far as that is known: after its age and after its obstacle."""
    due_at = one.due_at(rules)
    if due_at is None or (one.obstacle is not None and one.until is None):
        return ""
    return _day(max(due_at, one.until) if one.until else due_at)


def _amount(holdings: Sequence[Holding]) -> str:
    files, size = sum(one.files for one in holdings), sum(one.size_bytes for one in holdings)
    return f"{files} files, {size / _MEGABYTE:.1f} MB"


def _day(moment: datetime) -> str:
    return moment.astimezone().isoformat(sep=" ", timespec="minutes")


def _document(
    planned: RetentionPlan, rules: RetentionRules, holds: Sequence[StudyHold], *, is_enabled: bool
) -> dict[str, object]:
    def rows(holdings: Sequence[Holding]) -> list[dict[str, object]]:
        return [
            {
                "kind": str(one.kind),
                "key": one.key,
                "series_instance_uid": one.series_uid,
                "study_instance_uid": one.study_uid,
                "rule": str(one.rule),
                "files": one.files,
                "size_bytes": one.size_bytes,
                "since": one.since.isoformat(),
                "when": _when(one, rules),
                "why": str(one.obstacle or ""),
            }
            for one in holdings
        ]

    return {
        "enabled": is_enabled,
        "emergency": planned.is_emergency,
        "missing_bytes": planned.missing_bytes,
        "by_age": rows(planned.by_age),
        "by_emergency": rows(planned.by_emergency),
        "later": rows(planned.young),
        "kept": rows(planned.kept),
        "holds": [
            {"study_instance_uid": one.study_uid, "why": one.why, "since": one.since.isoformat()}
            for one in holds
        ],
    }


def _asked() -> bool:
    if not sys.stdin.isatty():
        raise OperatorError("say --yes where nobody can be asked", exit_code=ExitCode.USAGE)
    return typer.confirm("Delete all of it?", default=False)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[Holding], None]]:
    """Show a progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _holding: None
        return
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Purging", total=total)
        yield lambda _holding: progress.advance(task)
