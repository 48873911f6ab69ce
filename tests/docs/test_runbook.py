"""Whatever the node complains of stands in the runbook, and nothing else does."""

import ast
import re
from pathlib import Path

import dicom_node
from dicom_node import errors
from dicom_node.association.refusals import RefusalKind
from dicom_node.association.store_answer import StoreStatus
from dicom_node.results import errors as result_errors
from dicom_node.watch.alarms import Alarm

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")

#: Classes that group others and are raised by nobody.
GROUPS = {"NodeError", "IntakeError", "LedgerError", "DeliveryError", "PeerError", "ResultError"}


def alert_keys():
    """Return every key that the code gives an alert; what it fills in stands as ``*``."""
    found = set()
    for path in Path(dicom_node.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Alert":
                (key,) = [one.value for one in node.keywords if one.arg == "key"]
                found.add(pattern_of(key))
    return found - {None}


def pattern_of(key):
    """Return the key with ``*`` for what is filled in; None where it is read from the shelf."""
    if isinstance(key, ast.Constant):
        return key.value
    if not isinstance(key, ast.JoinedStr):
        return None
    return "".join(one.value if isinstance(one, ast.Constant) else "*" for one in key.values)


def test_every_alert_has_its_section():
    """The heading is the key; capitals stand for what the node fills in."""
    headings = re.findall(r"^### `([^`]+)`$", RUNBOOK, re.MULTILINE)
    told = {re.sub(r"\b[A-Z]+\b", "*", heading) for heading in headings}

    assert told == alert_keys()


def test_every_alarm_of_the_watch_has_its_row():
    """With what to think of first."""
    assert set(re.findall(r"^\| `watch:(\w+)` \|", RUNBOOK, re.MULTILINE)) == {
        alarm.value for alarm in Alarm
    }


def test_every_refusal_has_its_row():
    """With the first thing to do."""
    section = RUNBOOK.split("## 3.")[1].split("## 4.")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == {
        one.value for one in RefusalKind
    }


def test_every_status_of_a_store_has_its_row():
    """But Success, which nobody complains of."""
    section = RUNBOOK.split("## 4.")[1].split("## 5.")[0]

    assert re.findall(r"^\| `(\w+)H` \|", section, re.MULTILINE) == [
        f"{status:04X}" for status in StoreStatus if status
    ]


def test_every_error_has_its_row():
    """Those that are raised, not the classes that group them."""
    known = {
        name
        for module in (errors, result_errors)
        for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, errors.NodeError)
    }
    section = RUNBOOK.split("## 5.")[1].split("## 6.")[0]
    told = {
        name
        for row in re.findall(r"^\| (`\w+Error`[^|]*) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert known - GROUPS <= told
    assert told - {"ModelBundleError"} <= known


def test_every_place_in_the_manuals_that_it_points_to_exists():
    """The anchors are checked by the site; here that the manuals are still called so."""
    for name in re.findall(r"\]\(([\w/]+\.md)", RUNBOOK):
        assert (Path(__file__).parents[2] / "docs" / name).is_file(), name
