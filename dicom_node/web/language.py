"""In which language a page is: what the visitor chose, or what the browser asks for."""

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import HTTPConnection

#: Languages of the pages, each called as its own speakers call it. The first is the source.
LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "zh": "中文"}

SOURCE: Final = "en"

COOKIE: Final = "ichnode-language"

LOCALE: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "pages"


def language_of(request: HTTPConnection) -> str:
    """Return the language of the visitor."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", ""))


def preferred(accepted: str) -> str:
    """Return what a browser likes best of what there is (RFC 9110, section 12.5.4)."""
    best, best_weight = next(iter(LANGUAGES)), 0.0
    for part in accepted.split(",")[:20]:
        tag, _, weight_text = part.strip().partition(";q=")
        language = tag.partition("-")[0].strip().lower()
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the words of a language; the source needs none."""
    return gettext.translation(DOMAIN, LOCALE, languages=[language], fallback=language == SOURCE)
