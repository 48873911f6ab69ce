"""The page of the watch: alarms, tables and small drawings."""

from typing import Any

from fastapi import Request, Response

from dicom_node.users.role import UserRole
from dicom_node.watch.chart import MARGIN, SIZE, charts_of
from dicom_node.watch.record import watch_record
from dicom_node.watch.view import NOTHING, alarm_sentences, sections_of
from dicom_node.web.house import House
from dicom_node.web.watch_source import WatchSource


def add(house: House, source: WatchSource) -> None:
    """Add the page and its JSON to the application."""

    @house.door.page("/watch", UserRole.VIEWER)
    def page(request: Request) -> Response:
        watched = source.look()
        return house.pages.render(
            request,
            "watch.html",
            alarms=alarm_sentences(watched.report),
            sections=sections_of(watched.report),
            charts=charts_of(watched),
            nothing=NOTHING,
            size=SIZE,
            margin=MARGIN,
        )

    @house.door.file("/watch.json", UserRole.VIEWER)
    def record() -> Any:  # noqa: ANN401 - JSON
        return watch_record(source.look().report)

    @house.door.answer("/watch", UserRole.VIEWER)
    def answer() -> Any:  # noqa: ANN401 - JSON
        """Return predictions against outcomes, drift, and models on trial."""
        return watch_record(source.look().report)
