"""The shape of the code: short modules, short functions, a sentence for each, no loose rooms."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for package in ("dicom_node", "pipeline", "training")
    for path in (ROOT / package).rglob("*.py")
)
LONGEST_MODULE, LONGEST_BODY = 400, 45
LOOSE_ROOMS = {"utils", "helpers", "common", "misc", "base", "manager", "core", "types", "util"}


def name_of(path):
    return str(path.relative_to(ROOT))


def lines_of_statements(function):
    """Return the lines after signature and docstring: those are contract, not code."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def functions_of(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_and_says_what_it_is(path):
    """At most 400 lines, 45 of statements in a function, and a first line that is a sentence."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    first_line = (ast.get_docstring(tree) or "").split("\n\n")[0].splitlines()[0:1]
    assert first_line
    assert text.count("\n") <= LONGEST_MODULE
    for function in functions_of(tree):
        assert lines_of_statements(function) <= LONGEST_BODY, function.name


def test_no_room_is_a_drawer():
    """Code lives where its step of the line is."""
    assert [path for path in MODULES if LOOSE_ROOMS & {path.stem, *path.parts[-3:-1]}] == []


def test_every_package_has_a_first_line():
    """A folder of modules is a room with a name on its door."""
    folders = {path.parent for path in MODULES}

    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_exported_names_exist_and_are_sorted(path):
    """What ``__all__`` promises is there."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    bound = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    } | {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    bound |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }

    for names in exported:
        assert list(names) == sorted(names)
        assert set(names) <= bound
