"""``ichnode ledger show``, ``upgrade`` and ``downgrade``: the version of the ledger's tables."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from dicom_node.bootstrap.ledgers import has_ledger, no_ledger, place_of
from dicom_node.bootstrap.roles import utc_now
from dicom_node.bootstrap.status import SEEN_WITHIN_S
from dicom_node.commands.screen import say
from dicom_node.commands.site import settings_of
from dicom_node.errors import LedgerError
from dicom_node.jobs.database import engine_of, session_of, version_of
from dicom_node.jobs.database_engine import DatabaseEngine
from dicom_node.jobs.tables import SCHEMA_VERSION
from dicom_node.jobs.upgrade import Change, at_work, downgrade, upgrade
from dicom_node.operator_error import ExitCode, OperatorError


def run_show(*, config: Path | None) -> int:
    """Print place and version."""
    engine = _engine(config)
    try:
        with session_of(engine, engine.reading) as session:
            version = version_of(session)
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
