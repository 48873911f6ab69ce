"""Pages from templates: in the visitor's language, in the site's time."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dicom_node.web.card_words import told
from dicom_node.web.entry import Entry
from dicom_node.web.language import LANGUAGES, SOURCE, language_of, translations
from dicom_node.web.navigation import NAVIGATION
from dicom_node.web.sentences import translated
from dicom_node.web.site import Site

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "ichnode-theme"

_MINUTE_S, _HOUR_S = 60, 3600

#: Sentences that are kept translated: a page asks for the same ones every few seconds.
_KEPT: Final = 2000


class Pages:
    """Renders templates.

    Parameters
    ----------
    site
        Returns what the site wants, at this moment.
    entry
        Knows the secrets of forms.
    version
        Of the node, for the foot of every page.
    has_page
        Returns whether there is a page at a path: the navigation leads nowhere else.
    """

    def __init__(
        self,
        *,
        site: Callable[[], Site],
        entry: Entry,
        version: str,
        has_page: Callable[[str], bool],
    ) -> None:
        self._site = site
        self._has_page = has_page
        self._entry = entry
        self._version = version
        self._environments: Mapping[str, Environment] = {
            language: self._environment(language) for language in LANGUAGES
        }

    def render(
        self, request: Request, template: str, *, status: int = 200, **facts: object
    ) -> HTMLResponse:
        """Return a page; who has no session gets a cookie that ties the form to the browser.

        That is also whoever may read at this machine without log-in: they may want to log in.
        """
        visitor = getattr(request.state, "visitor", None)
        secret = visitor.form_secret if visitor else ""
        visit = "" if secret else self._entry.visit(request)
        language = language_of(request)
        theme = request.cookies.get(THEME_COOKIE, "")
        site = self._site()
        html = (
            self._environments[language]
            .get_template(template)
            .render(
                site=site,
                version=self._version,
                visitor=visitor,
                form_secret=secret or self._entry.form_secret(visit),
                language=language,
                languages=LANGUAGES,
                theme=theme if theme in THEMES else THEMES[0],
                themes=THEMES,
                navigation=[
                    one
                    for one in NAVIGATION
                    if visitor and visitor.may(one.role) and self._has_page(one.path)
                ],
                here=request.url.path,
                **facts,
            )
        )
        answer = HTMLResponse(html, status_code=status)
        if visit:
            self.set_cookie(answer, self._entry.visit_cookie(), visit)
        return answer

    def set_cookie(
        self, answer: Response, name: str, value: str, *, seconds: int | None = None
    ) -> None:
        """Give the browser a cookie that no script and no other site sees."""
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self._site().is_secure,
            httponly=True,
            samesite="lax",
        )

    def _environment(self, language: str) -> Environment:
        environment = Environment(
            loader=PackageLoader("dicom_node.web"),
            autoescape=select_autoescape(default=True),
            extensions=["jinja2.ext.i18n"],
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        words = translations(language)

        @lru_cache(maxsize=_KEPT)
        def sentence(text: str) -> str:
            return text if language == SOURCE else translated(text, words.gettext)

        environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]  # added by the extension
        environment.filters["words"] = lambda text: words.gettext(str(text).replace("_", " "))
        environment.filters["sentence"] = lambda text: sentence(str(text))
        environment.filters["help"] = words.gettext
        environment.filters["card"] = lambda text: told(str(text), words.gettext)
        environment.filters["moment"] = self._moment
        environment.filters["seconds"] = duration
        environment.filters["gigabytes"] = _gigabytes
        environment.filters["short_uid"] = short_uid
        return environment

    def _moment(self, value: datetime | str | None) -> str:
        """Return a time in the site's zone; an empty text for none."""
        if not value:
            return ""
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(self._site().zone).isoformat(sep=" ", timespec="seconds")


def duration(value: float | None) -> str:
    """Return a duration as people say it: 12.3 s, 4 min 05 s, 2 h 10 min."""
    if value is None:
        return ""
    if value < _MINUTE_S:
        return f"{value:.1f} s"
    seconds = round(value)
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S:02d} s"
    return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S:02d} min"


def short_uid(uid: str) -> str:
    """Return the end of a UID that tells it from its neighbours."""
    longest = 16
    return uid if len(uid) <= longest else f"…{uid[-longest:]}"


def _gigabytes(number: float) -> str:
    return f"{number / 1024**3:.1f} GB"


def safe_path(target: str) -> str:
    """Return where to go after log-in: a page of this node, never another address."""
    text = target or "/"
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else "/"
