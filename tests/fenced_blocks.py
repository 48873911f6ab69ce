"""Blocks of code in the documentation: which are run by tests, which are files, which are neither.

A comment on the line above a block (empty lines between) says what it is:

``<!-- run -->``
    The commands are run by ``bash -e`` in an empty folder, with ``ichnode`` on the path and a
    settings file of their own.
``<!-- run: node head-ct -->``
    The same with what is named: ``node`` a running node with a PACS called ``pacs``, ``head-ct`` a
    folder of that name with a series of head CT, ``orthanc`` an Orthanc beside the node,
    ``training`` minutes of patience.
``<!-- file: NAME -->``
    The block is the file NAME of the page.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("deploy/*.md")]
    if "_site" not in path.parts
)

_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z]+)(?:: (?P<words>[^>]*?))? -->\n+)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code of a page.

    Attributes
    ----------
    page : Path
        Where it stands.
    number : int
        From 1, of all blocks of the page.
    language, text : str
        As written.
    mark, words : str
        ``run`` or ``file``, and what follows; empty without a comment.
    """

    page: Path
    number: int
    language: str
    text: str
    mark: str
    words: str

    @property
    def name(self):
        """Return page and number."""
        return f"{self.page.relative_to(ROOT)}:{self.number}"


def blocks_of(page):
    """Return the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            number=number,
            language=match["language"],
            text=match["text"],
            mark=match["mark"] or "",
            words=(match["words"] or "").strip(),
        )
        for number, match in enumerate(_BLOCK.finditer(text), start=1)
    ]


def all_blocks():
    """Return the blocks of every page."""
    return [block for page in PAGES for block in blocks_of(page)]


def files_of(page):
    """Return the text of each file that a page holds, by its name."""
    return {block.words: block.text for block in blocks_of(page) if block.mark == "file"}
