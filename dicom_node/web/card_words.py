"""The cards of the shipped models as words of the pages: what `make strings` reads from them."""

import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from dicom_node.web.sentences import translated
from dicom_node.web.words import mark

#: Names of what a card states: `dicom_node.model_view.facts_of`.
FACTS: Final = (
    mark("built with"),
    mark("classes"),
    mark("sampling"),
    mark("spacing zyx mm"),
    mark("patch size zyx"),
    mark("input size"),
    mark("threshold"),
    mark("probability cutoff"),
    mark("minimum component ml"),
    mark("training statistics"),
    mark("window"),
    mark("intensity"),
    mark("weights missing"),
)

#: Fields of a card that are sentences.
_TEXTS: Final = ("training_cohort", "intended_use", "licence")

#: Text among the scores that is a number, a file or a digest, and reads alike in any language.
_NO_WORDS: Final = re.compile(r"[\d.]+( mL| of \d+)?|[0-9a-f]{64}|\w+\.pt|\d{3}")

#: What babel wants of whoever finds words: line, function, words, comments.
Found = tuple[int, None, str, list[str]]


def card_words(file: BinaryIO, *_: object, **_options: object) -> Iterator[Found]:
    """Yield the words of a card; called by babel, see ``locale/babel.cfg``."""
    card = json.load(file)
    words = [card[name] for name in _TEXTS]
    words += [error["cohort"] for error in (card.get("volume_error"),) if error]
    words += _scores(card["metrics"])
    for one in dict.fromkeys(words):
        yield 1, None, one, []


def told(text: str, gettext: Callable[[str], str]) -> str:
    """Return what a card says in another language: as a whole, by its pattern or name by name.

    What is not known, as of another site's model, is returned as it is.
    """
    whole = gettext(text)
    if whole != text:
        return whole
    by_pattern = translated(text, gettext)
    return by_pattern if by_pattern != text else ", ".join(map(gettext, text.split(", ")))


def _scores(value: object) -> Iterator[str]:
    """Yield names and sentences of a card's scores as `dicom_node.model_scores` has them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            plain = name.replace("_", " ")
            if not _NO_WORDS.fullmatch(plain):
                yield plain
            yield from _scores(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scores(inner)
    elif isinstance(value, str) and not _NO_WORDS.fullmatch(value):
        yield value
