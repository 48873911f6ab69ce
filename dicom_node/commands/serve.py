"""``ichnode serve``: the node as supervised processes, or one of them alone."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bootstrap.child_environment import environment_of_children
from dicom_node.bootstrap.configuration import live_settings
from dicom_node.bootstrap.layout import DataLayout
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.logs import log_what_nobody_caught, set_up_logs
from dicom_node.bootstrap.parts import destination_names
from dicom_node.bootstrap.roles import Duty, run_office, run_receiver, run_worker, utc_now
from dicom_node.commands.site import settings_of
from dicom_node.errors import NodeError
from dicom_node.lockfile import LockHeldError, hold_lock
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.processes import (
    Role,
    StartError,
    StoppedError,
    Supervisor,
    announce_ready,
    reload_on_hangup,
    stop_on_signals,
    stop_with_supervisor,
)
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import Settings
from dicom_node.users.accounts import FIRST_USER, Accounts
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from dicom_node.jobs.worker import Analyst

LOGGER = logging.getLogger(__name__)

#: What a role runs when it is told to.
Run = Callable[[Duty], None]


def run(config: Path | None, *, only: str | None, supervised: bool) -> None:
    """Run the node, or the process `only` names, until it is stopped."""
    path, settings = settings_again(config) if supervised else settings_of(config)
    if only is None:
        supervise(settings, commands=role_commands(path))
        return
    if only not in set(Role):
        raise OperatorError(
            f"--only takes {', '.join(Role)}; got {only!r}", exit_code=ExitCode.USAGE
        )
    role = Role(only)
    if not supervised:
        *command, _ = role_commands(path)[role]
        in_environment(command, environment_of_children(settings))
    serve_role(settings, role, run=RUNS[role], supervised=supervised, path=path)


def in_environment(
    command: list[str],
    wanted: Mapping[str, str],
    *,
    execute: Callable[[str, list[str], Mapping[str, str]], object] = os.execve,
) -> None:
    """Become this command anew if the environment is not the one that a supervisor would give.

    OpenSSL reads the site's TLS profile once, before anything else: too late for a process that
    was started alone.
    """
    if dict(wanted) != dict(os.environ):
        execute(command[0], command, wanted)


def settings_again(config: Path | None) -> tuple[Path, Settings]:
    """Return the settings for a process that the supervisor starts, perhaps once more.

    The node runs already: faults that came into the file since do not keep the process away, it
    takes the last version that had none.

    Raises
    ------
    OperatorError
        If no such version is known.
    """
    try:
        return settings_of(config)
    except OperatorError as error:
        from dicom_node.commands.configuration_desk import desk_of

        desk = desk_of(config)
        try:
            last = desk.last_without_faults()
        except SettingsError:
            raise error from None
        if last is None or last.settings is None:
            raise
        LOGGER.error("%s; the version before is in force", error)  # noqa: TRY400 - it says all
        return desk.path, last.settings


def role_commands(config: Path) -> dict[Role, list[str]]:
    """Return the command line that starts each process."""
    return {
        role: [
            *(sys.executable, "-m", "dicom_node", "serve", "--config", str(config)),
            *("--only", str(role), "--supervised"),
        ]
        for role in Role
    }


def supervise(settings: Settings, *, commands: Mapping[Role, list[str]]) -> None:
    """Start every process and keep them running until SIGTERM or SIGINT.

    Raises
    ------
    OperatorError
        If another node works on the same data directory, or a process cannot be started.
    """
    set_up_logs("serve", level=settings.log.level, form=settings.log.format)
    log_what_nobody_caught()
    layout = DataLayout(root=settings.node.data_dir)
    try:
        layout.prepare()
    except OSError as error:
        raise OperatorError(f"cannot use the data directory {layout.root}: {error}") from error
    supervisor = Supervisor(
        commands,
        on_ready=lambda facts: _welcome(settings, facts),
        environment=environment_of_children(settings),
    )
    stop_on_signals(supervisor.stop)
    reload_on_hangup(supervisor.reload)
    try:
        with hold_lock(layout.lock("serve")):
            supervisor.run()
    except LockHeldError as error:
        raise OperatorError(
            f"another ichnode serve already works on {layout.root}: {error}"
        ) from error
    except StartError as error:
        raise OperatorError(str(error)) from error


def serve_role(
    settings: Settings, role: Role, *, run: Run, supervised: bool, path: Path | None = None
) -> None:
    """Run one process until it is stopped, by a signal or by the end of its supervisor.

    With the path of the settings file it follows what is changed there.
    """
    set_up_logs(str(role), level=settings.log.level, form=settings.log.format)
    log_what_nobody_caught()
    stop = threading.Event()
    stop_on_signals(stop.set)
    live = live_settings(path, settings, stop=stop, environment=os.environ)
    reload_on_hangup(live.hurry)
    if supervised:
        stop_with_supervisor(sys.stdin.fileno(), stop.set)

    def ready(**facts: object) -> None:
        announce_ready(sys.stdout, role=str(role), **facts)

    try:
        run(Duty(settings=settings, stop=stop, ready=ready, live=live))
    except StoppedError:
        return
    except (OSError, LockHeldError, NodeError, PipelineError) as error:
        raise OperatorError(f"the {role} cannot work: {error}") from error


def _run_worker(duty: Duty) -> None:
    run_worker(duty, make_analyst=_make_analyst)


def _make_analyst(settings: Settings, layout: DataLayout) -> "Analyst":
    from dicom_node.bootstrap.analysts import make_analyst  # brings the networks' library: seconds

    return make_analyst(settings, layout)


RUNS: dict[Role, Run] = {
    Role.RECEIVER: run_receiver,
    Role.WORKER: _run_worker,
    Role.OFFICE: run_office,
}


def _welcome(settings: Settings, facts: Mapping[Role, Mapping[str, object]]) -> None:
    """Print where the node can be reached, and how to log in for the first time."""
    node, web = settings.node, settings.web
    receiver = facts[Role.RECEIVER]
    ports = [f"port {receiver['port']}"] if "port" in receiver else []
    ports += [f"port {receiver['tls_port']} with TLS"] if "tls_port" in receiver else []
    office = facts[Role.OFFICE]
    scheme = "https" if web.certificate else "http"
    address = web.public_url or f"{scheme}://{web.host}:{office.get('web_port')}"
    page = f"{address}/" if web.enabled else "off"
    names = ", ".join(destination_names(settings))
    sys.stdout.write(
        f"ready: AE title {node.ae_title}, {node.host} {' and '.join(ports)}; status page {page}; "
        f"results to {names or 'nobody yet (no peer receives results)'}; "
        f"data in {node.data_dir}. RESEARCH USE ONLY\n"
    )
    code = _first_code(settings) if web.enabled else None
    if code is not None:
        sys.stdout.write(
            f"first log-in: {address}/first with the name {FIRST_USER} and the one-time code "
            f"{code}\n"
        )
    sys.stdout.flush()


def _first_code(settings: Settings) -> str | None:
    """Return a code for the first admin; None once anybody has logged in, or it cannot be made."""
    try:
        with ledger_for_reading(settings) as ledger:
            return Accounts(ledger.users, clock=utc_now).first_code()
    except (OperatorError, NodeError):
        return None  # the node works all the same; `ichnode users` says what is wrong
