"""``ichnode rules``: which series are analysed, and a trial of that."""

import json
import sys
from pathlib import Path
from typing import Any

from dicom_node.bootstrap import parts
from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.rule_trial import try_rules_on_files, try_rules_on_study
from dicom_node.commands.configuration_desk import make
from dicom_node.commands.screen import say, show_table
from dicom_node.commands.site import settings_of
from dicom_node.configuration.edits import AddEntry, RemoveEntry
from dicom_node.dicom_folder import dicom_files
from dicom_node.errors import UnknownEntryError
from dicom_node.intake.selection_explained import Verdict
from dicom_node.operator_error import ExitCode, OperatorError
from dicom_node.settings.schema import Settings

#: Lists of rules by the word for them.
_LISTS = {
    "include": "selection.include",
    "exclude": "selection.exclude",
    "prefer": "selection.prefer",
    "urgent": "urgent.rules",
}


def run_list(*, as_json: bool, config: Path | None) -> int:
    """Print every rule with its number."""
    _, settings = settings_of(config)
    rules = {name: _rules(settings, name) for name in _LISTS}
    if as_json:
        sys.stdout.write(json.dumps(rules, indent=2) + "\n")
        return ExitCode.OK
    rows = [
        (name, str(number), one["attribute"], one["pattern"], str(one.get("points", "")))
        for name, entries in rules.items()
        for number, one in enumerate(entries, start=1)
    ]
    show_table(("list", "number", "attribute", "pattern", "points"), rows)
    return ExitCode.OK


def run_add(
    name: str, attribute: str, pattern: str, *, points: int | None, why: str, config: Path | None
) -> int:
    """Add a rule at the end of a list."""
    array = _array(name)
    if (points is None) == (name == "prefer"):
        raise OperatorError(
            "--points belongs to prefer, and to it alone", exit_code=ExitCode.USAGE
        )
    values: dict[str, Any] = {"attribute": attribute, "pattern": pattern}
    if points is not None:
        values["points"] = points
    return make(config, [AddEntry(array=array, values=values)], why=why)


def run_remove(name: str, number: int, *, why: str, config: Path | None) -> int:
    """Remove a rule by its number in the list."""
    array = _array(name)
    _, settings = settings_of(config)
    rules = _rules(settings, name)
    if not 1 <= number <= len(rules):
        raise OperatorError(
            f"{name} has {len(rules)} rules; ichnode rules list numbers them",
            exit_code=ExitCode.USAGE,
        )
    return make(config, [RemoveEntry(array=array, match=rules[number - 1])], why=why)


def run_test(target: str, *, as_json: bool, config: Path | None) -> int:
    """Say which series of a folder, a file or a received study would be analysed, and why."""
    _, settings = settings_of(config)
    verdicts = _verdicts(settings, target)
    if as_json:
        sys.stdout.write(json.dumps([one.as_dict() for one in verdicts], indent=2) + "\n")
        return ExitCode.OK
    for one in verdicts:
        word = "taken" if one.taken else "not taken"
        say(
            f"{one.series_instance_uid}: {word}: {one.reason}",
            style="green" if one.taken else "yellow",
        )
        for line in one.points:
            say(f"    {line}")
        facts = [f"{key}={value}" for key, value in one.attributes.items() if value]
        say(f"    {one.slices} slices; {'; '.join(facts)}")
    return ExitCode.OK


def _verdicts(settings: Settings, target: str) -> tuple[Verdict, ...]:
    path = Path(target)
    if path.exists():
        return try_rules_on_files(settings, dicom_files(path) if path.is_dir() else [path])
    with ledger_for_reading(settings) as ledger:
        try:
            return try_rules_on_study(settings, ledger, target)
        except UnknownEntryError as error:
            raise OperatorError(f"{error}, and there is no such file or folder") from error


def _rules(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Return the rules in force, the node's own where the file has none."""
    if name == "urgent":
        return [one.model_dump(mode="json") for one in settings.urgent.rules]
    rules = parts.selection_rules(settings)
    if name == "prefer":
        return [
            {
                "attribute": one.rule.attribute.value,
                "pattern": one.rule.pattern,
                "points": one.points,
            }
            for one in rules.prefer
        ]
    found = rules.include if name == "include" else rules.exclude
    return [{"attribute": one.attribute.value, "pattern": one.pattern} for one in found]


def _array(name: str) -> str:
    if name not in _LISTS:
        raise OperatorError(
            f"no list {name!r}; there are: {', '.join(_LISTS)}", exit_code=ExitCode.USAGE
        )
    return _LISTS[name]
