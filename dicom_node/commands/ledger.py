"""``ichnode ledger``: the version of its tables, and the way from a file to a server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import has_ledger, no_ledger, place_of
from dicom_node.bootstrap.roles import MOST_WORKERS, utc_now
from dicom_node.bootstrap.signs_of_life import SEEN_WITHIN_S
from dicom_node.commands.screen import console, say
from dicom_node.commands.site import settings_of
from dicom_node.errors import LedgerError
from dicom_node.jobs.database import engine_of, version_in
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.ledger_copy import OnRows, copy_ledger, rows_in
from dicom_node.jobs.ledger_place import PostgresqlPlace
from dicom_node.jobs.tables import SCHEMA_VERSION
from dicom_node.jobs.upgrade import Change, at_work, downgrade, upgrade
from dicom_node.lockfile import LockHeldError, hold_lock
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import Role
from dicom_node.settings.values import SQLITE, ledger_address


def run_show(*, config: Path | None) -> int:
    """Print place and version."""
    engine = _engine(config)
    try:
        version = version_in(engine)
    except LedgerError as error:
        raise OperatorError(str(error)) from error
    say(f"ledger: {engine.place}")
    say(f"version: {version}; this ichnode needs {SCHEMA_VERSION}")
    return ExitCode.OK if version == SCHEMA_VERSION else ExitCode.FAILED


def run_upgrade(*, config: Path | None) -> int:
    """Bring it up to the version of this ichnode."""
    return _change(upgrade, SCHEMA_VERSION, config=config)


def run_downgrade(version: int, *, is_meant: bool, config: Path | None) -> int:
    """Bring it down to an earlier version."""
    if not is_meant:
        raise OperatorError(
            f"version {version} cannot hold all that the ledger holds; say --yes if that may go",
            exit_code=ExitCode.USAGE,
        )
    return _change(downgrade, version, config=config)


def run_copy(to: str, *, secret_file: Path | None, config: Path | None) -> int:
    """Copy the file of a node that is stopped into an empty database."""
    if to == SQLITE or not _is_address(to):
        raise OperatorError(
            "TO must be an address like postgresql://ichnode@db.hospital.example/ichnode; a "
            "password belongs into a file that --secret-file names",
            exit_code=ExitCode.USAGE,
        )
    _, settings = settings_of(config)
    if settings.node.ledger != SQLITE:
        raise OperatorError(f"the ledger is not a file, it is in {place_of(settings)} already")
    if not has_ledger(settings):
        raise no_ledger(settings)
    source = engine_of(place_of(settings))
    try:
        target = engine_of(PostgresqlPlace(url=to, secret_file=secret_file))
        with _stopped(DataLayout(root=settings.node.data_dir)), _bar(rows_in(source)) as on_rows:
            copied = copy_ledger(source, target, on_rows=on_rows)
    except LedgerError as error:
        raise OperatorError(str(error)) from error
    finally:
        source.writing.dispose()
    target.writing.dispose()
    say(f"{sum(copied.values())} rows of {len(copied)} tables were copied to {target.place}")
    say("now say so in the settings and start the node; the file is as it was:")
    say(f'  ledger = "{to}"')
    if secret_file is not None:
        say(f'  ledger_secret_file = "{secret_file}"')
    return ExitCode.OK


def _is_address(to: str) -> bool:
    try:
        ledger_address(to)
    except ValueError:
        return False
    return True


@contextmanager
def _stopped(layout: DataLayout) -> Iterator[None]:
    """Hold the place of every process of the node. Raises OperatorError if one is at work."""
    workers = [f"{Role.WORKER}-{place}" for place in range(MOST_WORKERS)]
    worked = [name for name in workers if layout.lock(name).exists()]
    with ExitStack() as held:
        for name in ("serve", Role.RECEIVER, Role.OFFICE, *worked):
            try:
                held.enter_context(hold_lock(layout.lock(name)))
            except LockHeldError as error:
                raise OperatorError(f"a node is at work: {error}; stop it first") from error
        yield


@contextmanager
def _bar(rows: int) -> Iterator[OnRows]:
    """Show how many rows were copied, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console(),
        transient=True,
        disable=not console().is_terminal,
    ) as bar:
        task = bar.add_task("", total=rows)
        yield lambda table, number: bar.update(task, advance=number, description=table)


def _change(
    change: Callable[[DatabaseEngine, int], Change], target: int, *, config: Path | None
) -> int:
    engine = _engine(config)
    try:
        living = at_work(engine, since=utc_now() - timedelta(seconds=SEEN_WITHIN_S))
        if living:
            raise OperatorError(f"{', '.join(living)} is at work with it; stop every node first")
        done = change(engine, target)
    except LedgerError as error:
        raise OperatorError(str(error)) from error
    finally:
        engine.writing.dispose()
    say(f"the ledger {engine.place} had version {done.found} and has version {target}")
    if done.copy is not None:
        say(f"as it was it is in {done.copy}; delete that once nobody needs it")
    return ExitCode.OK


def _engine(config: Path | None) -> DatabaseEngine:
    _, settings = settings_of(config)
    if not has_ledger(settings):
        raise no_ledger(settings)
    return engine_of(place_of(settings))
