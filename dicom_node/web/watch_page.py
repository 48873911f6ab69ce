"""The page of the watch: alarms, tables and small drawings."""

from collections.abc import Sequence
from typing import Protocol

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment

from dicom_node.watch.chart import MARGIN, SIZE, charts_of
from dicom_node.watch.record import watch_record
from dicom_node.watch.view import NOTHING, alarm_sentences, sections_of
from dicom_node.watch.watched import Watched


class WatchSource(Protocol):
    """Answers what the watch says; all of it read from the ledger at the time of asking."""

    def look(self) -> Watched:
        """Return the watch at this moment."""

    def standing(self) -> Sequence[str]:
        """Return the sentences of the alarms that were last seen; costs nothing."""


def add_watch(app: FastAPI, source: WatchSource, *, templates: Environment, title: str) -> None:
    """Add the page and its JSON to the application."""

    @app.get("/watch", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        watched = source.look()
        html = templates.get_template("watch.html").render(
            title=title,
            alarms=alarm_sentences(watched.report),
            sections=sections_of(watched.report),
            charts=charts_of(watched),
            nothing=NOTHING,
            size=SIZE,
            margin=MARGIN,
        )
        return HTMLResponse(html)

    @app.get("/watch.json")
    def record() -> JSONResponse:
        return JSONResponse(watch_record(source.look().report))
