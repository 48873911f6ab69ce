"""What the watch says, in Chinese: titles, rows, notes and alarms."""

import ast
import re
from pathlib import Path

import pytest

from dicom_node.watch import chart, performance, view
from dicom_node.watch.alarms import SENTENCES
from dicom_node.watch.drift import NAMES
from dicom_node.watch.outcomes import EXCLUSION_WORDS
from dicom_node.watch.reference import Source
from dicom_node.web.language import translations
from dicom_node.web.sentences import translated

CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: Abbreviations are the same in Chinese.
SAME = {"AUC", "p"}


def chinese(sentence):
    return translated(sentence, translations("zh").gettext)


def text_of(node):
    """Return the text of an expression with 7 in place of what is filled in; empty for none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(one.value if isinstance(one, ast.Constant) else "7" for one in parts)


def said_by(module):
    """Return what stands in first columns, titles, headers and notes of the watch's tables."""
    found = []
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            found.append(node.value.elts[0])
        elif isinstance(node, ast.keyword) and node.arg in {
            *("title", "headers", "notes", "name", "x_title", "y_title"),
        }:
            found += getattr(node.value, "elts", [node.value])
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "rows":
            found += [row.elts[0] for row in node.value.elts if isinstance(row, ast.Tuple)]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append":
            found += node.args
    said = {text for one in found if (text := text_of(one))}
    return sorted(one for one in said if not re.fullmatch(r"[7 %:a-z-]*to 7|7 7", one))


@pytest.mark.parametrize(
    "sentence",
    [
        *SENTENCES.values(),
        *EXCLUSION_WORDS.values(),
        *NAMES.values(),
        *Source,
        *(view.NO_STATISTICS, view.NOTHING, view.DEMONSTRATION, view.MEASURED),
        *said_by(view),
        *said_by(chart),
        *said_by(performance),
    ],
)
def test_whatever_the_watch_says_is_said_in_chinese(sentence):
    """A new row or note needs its words in `dicom_node.web.watch_sentences`."""
    assert sentence in SAME or CHINESE.search(chinese(sentence)), sentence


def test_the_rows_of_the_watch_are_found():
    """Else the test above would claim less."""
    assert {"Brier score", "p of no difference", "Drift in the last 7 analyses"} <= set(
        said_by(view)
    )
    assert "ROC curve" in said_by(chart)
    assert len(said_by(performance)) > 2


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("3 of 12", ["3/12"]),
        ("3 of 12, 25 % (95 % CI 5 to 57)", ["3/12", "25 % (95 % CI 5 to 57)"]),
        ("44 more (60 in all)", ["还需 44 名", "共 60 名"]),
        ("too few to judge: 3, needed 50", ["3", "需要 50"]),
    ],
)
def test_cells_keep_their_numbers(cell, parts):
    """What is said around them has its words."""
    told = chinese(cell)

    assert told != cell
    assert [one for one in parts if one not in told] == []


@pytest.mark.parametrize("cell", ["0.714", "SIEMENS 62%, others 38%", "SOFT 100% (3)"])
def test_what_scanners_and_numbers_say_stays(cell):
    """Names of makers and kernels are nobody's to translate."""
    assert chinese(cell) == cell
