"""No patient attribute and no data set can get into a log line."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "dicom_node").rglob("*.py")) + sorted((ROOT / "pipeline").rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}

#: Words that name a patient, a study in words, or a whole data set.
FORBIDDEN = (
    "patient_name", "patient_id", "patientname", "patientid", "patient_key", "birth",
    "accession", "referring", "institution", "study_description", "protocol_name",
    "dataset", "data_set", "pixel", "headers", "header",
)  # fmt: skip


def log_calls(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id.lower() in {"logger", "log", "logging"}
        ):
            yield node


def names_in(node):
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id.lower()
        elif isinstance(part, ast.Attribute):
            yield part.attr.lower()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_log_lines_are_constant_sentences_without_patients(path):
    """The sentence is written in the code; its arguments are UIDs, job numbers and AE titles."""
    for call in log_calls(path):
        sentence = call.args[0] if call.func.attr != "log" else call.args[1]
        where = f"{path.name}:{call.lineno}"
        assert isinstance(sentence, ast.Constant), where
        assert isinstance(sentence.value, str), where
        for argument in call.args[1:]:
            assert not [n for n in names_in(argument) if any(w in n for w in FORBIDDEN)], where


def test_nothing_is_printed_past_the_logs():
    """``print`` is for commands, and they use their own screen."""
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert calls == [], path
