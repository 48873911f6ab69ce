"""Reading ``node.toml``: where it lies, what it says, and every fault in it at once."""

import difflib
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dicom_node.settings.contradictions import SettingsFault, faults_between_keys
from dicom_node.settings.schema import (
    CALLER_TAGS,
    CallerSettings,
    PeerSettings,
    PreferenceSettings,
    RuleSettings,
    Settings,
    SilenceSettings,
    WebPeerSettings,
)
from dicom_node.settings.worklists import WorklistSettings

#: Environment variable that names the settings file.
CONFIG_VARIABLE = "ICHNODE_CONFIG"

#: Environment variable that replaces ``node.data_dir``.
DATA_DIR_VARIABLE = "ICHNODE_DATA_DIR"

#: A password where none belongs: in an address. It is not said again.
_PASSWORD = re.compile(r"(?<=://)[^/@\s\"]*:[^/@\s\"]*(?=@)|(?<=password=)[^&\"]*")

#: What pydantic calls a fault, and what an operator has to write instead.
_EXPECTATIONS: dict[str, str] = {
    "missing": "a value; this key has no default",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in [ ]",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "at least {min_length} characters",
    "too_short": "at least {min_length} entry",
    "value_error": "{error}",
}


class SettingsError(ValueError):
    """The settings cannot be used.

    Attributes
    ----------
    source : str
        The file that was read.
    faults : tuple of SettingsFault
        Everything that is wrong with it, in the order of the file's tables.
    """

    def __init__(self, source: str, faults: tuple[SettingsFault, ...]) -> None:
        lines = [f"{source} has {len(faults)} fault{'s' if len(faults) > 1 else ''}:"]
        super().__init__("\n".join([*lines, *(f"  {fault}" for fault in faults)]))
        self.source = source
        self.faults = faults


def default_locations() -> tuple[Path, ...]:
    """Return where a settings file is looked for when none is named, first hit first.

    The working folder's ``config/node.toml``, that of the checkout this code lies in, and the one
    that an installed wheel brings along.
    """
    return (
        Path.cwd() / "config" / "node.toml",
        Path(__file__).parents[2] / "config" / "node.toml",
        Path(sys.prefix) / "share" / "ichnode" / "node.toml",
    )


def find_settings_file(named: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the settings file to use.

    Parameters
    ----------
    named : Path or None
        File given on the command line; goes before everything else.
    environment : Mapping
        Process environment; ``ICHNODE_CONFIG`` goes before the default places.

    Raises
    ------
    SettingsError
        If the named file does not exist, or no default place holds one.
    """
    if named is None and environment.get(CONFIG_VARIABLE):
        named = Path(environment[CONFIG_VARIABLE])
    if named is not None:
        if not named.is_file():
            fault = SettingsFault(key="file", found="no such file", expected="a TOML file")
            raise SettingsError(str(named), (fault,))
        return named.absolute()
    for place in default_locations():
        if place.is_file():
            return place
    places = " or ".join(str(place) for place in default_locations())
    fault = SettingsFault(key="file", found="none", expected=f"{places}, or --config FILE")
    raise SettingsError("settings", (fault,))


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings that a file holds.

    Parameters
    ----------
    path : Path
        TOML file.
    environment : Mapping
        Process environment; ``ICHNODE_DATA_DIR`` replaces ``node.data_dir``.

    Returns
    -------
    Settings
        Checked values; a key that is absent has its default.

    Raises
    ------
    SettingsError
        Naming every fault of the file at once.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        fault = SettingsFault(key="file", found=str(error), expected="readable TOML in UTF-8")
        raise SettingsError(str(path), (fault,)) from error
    return parse_settings(document, source=str(path), environment=environment)


def parse_settings(
    document: Mapping[str, Any], *, source: str, environment: Mapping[str, str]
) -> Settings:
    """Return the settings of a parsed TOML document; see `load_settings`."""
    data_dir = environment.get(DATA_DIR_VARIABLE)
    if data_dir:
        node = document.get("node", {})
        if isinstance(node, dict):
            absolute = str(Path(data_dir).expanduser().absolute())
            document = {**document, "node": {**node, "data_dir": absolute}}
    faults: list[SettingsFault] = []
    settings = None
    try:
        # Through JSON: its strict mode takes lists for tuples and text for paths, nothing else.
        settings = Settings.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        found = error.errors()
        faults += [_fault(details) for details in found if not _is_echo(details, found)]
    faults += faults_between_keys(document)
    if settings is None or faults:
        raise SettingsError(source, tuple(faults))
    return settings


def _is_echo(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Return whether a list is called too short only because of faults in its entries."""
    place = details["loc"]
    return details["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _fault(details: ErrorDetails) -> SettingsFault:
    location = details["loc"]
    if details["type"] == "extra_forbidden":
        return SettingsFault(
            key=_key(location), found="an unknown key", expected=_known_keys(location)
        )
    context = {"pattern": "", **details.get("ctx", {})}
    if details["type"] in _EXPECTATIONS:
        expected = _EXPECTATIONS[details["type"]].format(**context)
    else:
        expected = details["msg"]
    if details["type"] == "string_pattern_mismatch" and location[-1] == "device":
        expected = '"auto", "cpu", "cuda" or "cuda:1"'
    missing = details["type"] == "missing"
    found = "nothing" if missing else json.dumps(details["input"], default=str)
    found = _PASSWORD.sub("...", found)
    return SettingsFault(key=_key(location), found=found, expected=expected)


def _key(location: tuple[int | str, ...]) -> str:
    key = ""
    for part in location:
        if part in CALLER_TAGS:
            continue
        if isinstance(part, int):
            key += f"[{part + 1}]"
        else:
            key += f".{part}" if key else part
    return key


def _known_keys(location: tuple[int | str, ...]) -> str:
    """Return the keys that may stand in place of an unknown one: the likeliest, or all."""
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        if isinstance(part, str) and part not in CALLER_TAGS:
            model = _table_model(model, part)
    known = list(model.model_fields)
    likely = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
    return likely[0] if likely else "one of " + ", ".join(known)


def _table_model(model: type[BaseModel], key: str) -> type[BaseModel]:
    rows: dict[str, type[BaseModel]] = {
        "peers": PeerSettings,
        "web_peers": WebPeerSettings,
        "worklists": WorklistSettings,
        "callers": CallerSettings,
        "include": RuleSettings,
        "exclude": RuleSettings,
        "prefer": PreferenceSettings,
        "silence": SilenceSettings,
    }
    if key in rows:
        return rows[key]
    annotation = model.model_fields[key].annotation
    return annotation if isinstance(annotation, type) else model
