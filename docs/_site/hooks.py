"""What the documentation site takes from outside docs/, and how the repository's text fits it.

MkDocs calls the functions ``on_...``. Pages that are written by the code (settings, commands,
model cards) or that stand elsewhere in the repository (architecture, changes) are added to the
site without a copy in docs/.
"""

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from command_reference import command_page  # noqa: E402  beside this file, which MkDocs loads alone
from model_cards import model_card_page  # noqa: E402  likewise
from settings_reference import settings_page  # noqa: E402  likewise

#: Pages that stand elsewhere in the repository, by their place on the site.
INCLUDED = {
    "architecture.md": "ARCHITECTURE.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "deploy.md": "deploy/README.md",
}

#: Pages that the code writes.
WRITTEN: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands_ichnode.md": lambda: command_page("ichnode"),
    "commands_ichtrain.md": lambda: command_page("ichtrain"),
    "model_cards.md": model_card_page,
}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.) ")
_FENCE = re.compile(r"^\s*```")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not stand in docs/."""
    for place, name in INCLUDED.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    for place, write in WRITTEN.items():
        files.append(File.generated(config, place, content=write()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links and lists of the repository's Markdown into those of the site."""
    del config
    here = page.file.src_uri
    known = {file.src_uri for file in files}
    return _with_links(_with_spaced_lists(markdown), here, known)


def _with_links(markdown: str, here: str, known: set[str]) -> str:
    origin = INCLUDED.get(here, f"docs/{here}")
    places = {name: place for place, name in INCLUDED.items()}

    def replaced(match: re.Match[str]) -> str:
        mark, words, target, anchor = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match.group()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        place = places.get(path) or path.removeprefix("docs/")
        if place in known:
            way = posixpath.relpath(place, posixpath.dirname(here) or ".")
            return f"{mark}[{words}]({way}{anchor or ''})"
        if (ROOT / path).exists():  # a file of the repository that is no page
            return words if words.startswith("`") else f"{words} (`{path}`)"
        return match.group()  # MkDocs says that it leads nowhere

    return _LINK.sub(replaced, markdown)


def _with_spaced_lists(markdown: str) -> str:
    """Put an empty line before each list: Python-Markdown sees no list without one."""
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        before = lines[-1] if lines else ""
        begins = _ITEM.match(line) and not line.startswith("    ") and before.strip()
        if not fenced and begins and not _ITEM.match(before) and not before.startswith(" "):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"
