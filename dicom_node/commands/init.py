"""``ichnode init``: the first settings file of a site, from five questions."""

import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from dicom_node.bootstrap.own_card import own_card
from dicom_node.bootstrap.peer_trial import try_destination
from dicom_node.commands.peer_entries import dicom_address
from dicom_node.commands.screen import say, show_table
from dicom_node.configuration.edits import AddEntry, Edit, SetValue
from dicom_node.configuration.toml_text import edited
from dicom_node.configuration.written import write_durably
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.file import (
    CONFIG_VARIABLE,
    SettingsError,
    default_locations,
    parse_settings,
)
from dicom_node.settings.schema import DEFAULT_DATA_DIR, Settings

#: Everybody may read the file: secrets lie in files of their own.
_MODE = 0o644

_PACS = "pacs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a site says of itself; None where it has not said anything yet.

    Attributes
    ----------
    node : str or None
        ``AE@HOST:PORT`` of this node.
    pacs : str or None
        ``AE@HOST:PORT`` of the destination of results; empty for none.
    callers : str or None
        AE titles of senders, ``TITLE`` or ``TITLE=ADDRESS``, with commas between; empty for the
        test tools of the shipped file.
    data_dir : str or None
        Where patients' data lie.
    device : str or None
        Where the networks run.
    """

    node: str | None
    pacs: str | None
    callers: str | None
    data_dir: str | None
    device: str | None


#: The questions, the name of their answer, and what Enter stands for.
_QUESTIONS = (
    ("node", "1. AE title, address and port of this node", "ICHNODE@127.0.0.1:11112"),
    ("pacs", "2. PACS that gets the results, AE@HOST:PORT; empty: none yet", ""),
    ("callers", "3. Who may send: TITLE or TITLE=ADDRESS, commas between; empty: test tools", ""),
    ("data_dir", "4. Folder for patients' data, on a local disk", str(DEFAULT_DATA_DIR)),
    ("device", "5. Where the models run: auto (a GPU if there is one), cpu, cuda", "auto"),
)


def run(path: Path, answers: Answers, *, yes: bool, test: bool) -> int:
    """Ask what was not said, write the file, say what to enter at the PACS, try the PACS."""
    if path.exists():
        raise OperatorError(
            f"{path} is there already; ichnode config changes it, or name another file",
            exit_code=ExitCode.USAGE,
        )
    told = _asked(answers, yes=yes)
    text, settings = _file(path, list(_edits(told)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text)
        path.chmod(_MODE)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}") from error
    say(f"{path} written; every setting stands there with its explanation")
    _explain(settings)
    good = _try_pacs(settings) if test and settings.peers else True
    say("")
    say("Next:")
    for line in _next_steps(path):
        say(f"  {line}")
    return ExitCode.OK if good else ExitCode.FAILED


def _asked(answers: Answers, *, yes: bool) -> dict[str, str]:
    """Return every answer: given, asked for, or with --yes the default."""
    can_ask = _is_at_terminal() and not yes
    told = {}
    for name, question, default in _QUESTIONS:
        given: str | None = getattr(answers, name)
        if given is None and not can_ask and not yes:
            raise OperatorError(
                "nobody can be asked here: say --yes for the defaults, or answer with options",
                exit_code=ExitCode.USAGE,
            )
        if given is None and can_ask:
            given = typer.prompt(question, default=default, show_default=bool(default))
        told[name] = (default if given is None else given).strip()
    return told


def _is_at_terminal() -> bool:
    return sys.stdin.isatty()


def _edits(told: dict[str, str]) -> Iterator[Edit]:
    node = dicom_address(told["node"])
    for key, value in node.items():
        yield SetValue(table="node", key=key, value=value)
    callers = [one.strip() for one in told["callers"].split(",") if one.strip()]
    if callers:
        yield SetValue(table="node", key="callers", value=[])
    for one in callers:
        title, sign, address = one.partition("=")
        values = {"ae_title": title, "address": address} if sign else {"ae_title": title}
        yield AddEntry(array="node.callers", values=values)
    if told["data_dir"] != str(DEFAULT_DATA_DIR):
        yield SetValue(table="node", key="data_dir", value=told["data_dir"])
    if told["pacs"]:
        entry = {"name": _PACS, **dicom_address(told["pacs"]), "receives_results": True}
        yield AddEntry(array="peers", values=entry)
    if told["device"] != "auto":
        yield SetValue(table="worker", key="device", value=told["device"])


def _file(path: Path, edits: list[Edit]) -> tuple[str, Settings]:
    """Return the text of the new file and what it says. Raises OperatorError with every fault."""
    template = next((one for one in default_locations()[1:] if one.is_file()), None)
    if template is None:
        raise OperatorError("the settings file that came with ichnode is missing")
    text = edited(template.read_text(encoding="utf-8"), edits)
    try:
        return text, parse_settings(tomllib.loads(text), source=str(path), environment={})
    except SettingsError as error:
        raise OperatorError(str(error), exit_code=ExitCode.USAGE) from error


def _explain(settings: Settings) -> None:
    say("")
    say("Enter this at the PACS and at the scanners:")
    for line in own_card(settings).text.splitlines():
        say(f"  {line}")
    for peer in settings.peers:
        say("")
        say(f"At {peer.ae_title}: allow {settings.node.ae_title} to store Secondary Captures,")
        say("Segmentations and Comprehensive 3D SR, and send head CT to it.")


def _try_pacs(settings: Settings) -> bool:
    say("")
    steps = try_destination(settings, _PACS)
    show_table(
        ("step", "result", "found", "what to do"),
        [(one.name, "ok" if one.ok else "FAULT", one.found, one.advice) for one in steps],
        styles=["" if one.ok else "red" for one in steps],
    )
    return all(step.ok for step in steps)


def _next_steps(path: Path) -> Iterator[str]:
    named = os.environ.get(CONFIG_VARIABLE, "")
    found = [Path(named)] if named else list(default_locations())
    option = "" if path.absolute() == found[0].absolute() else f" --config {path}"
    yield f"ichnode check{option}"
    yield f"ichnode serve{option}"
    if option:
        yield f"export {CONFIG_VARIABLE}={path.absolute()}   saves the option"
