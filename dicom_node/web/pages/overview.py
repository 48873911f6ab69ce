"""The first page: the node at a glance, and the same for programs."""

from dataclasses import asdict
from typing import Any

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder

from dicom_node.users.role import UserRole
from dicom_node.web.door_chart import HEIGHT, LEFT, RIGHT, TOP, WIDTH, door_chart
from dicom_node.web.house import House
from dicom_node.web.worklist_rows import worklist_rows


def add(house: House) -> None:
    """Add the overview."""

    @house.door.page("/", UserRole.VIEWER)
    def page(request: Request) -> Response:
        overview = house.sources.overview.look()
        now = overview.at.astimezone(house.sources.site().zone)
        return house.pages.render(
            request,
            "overview.html",
            overview=overview,
            worklists=worklist_rows(house),
            chart=door_chart(overview.doors, days=overview.days, now=now),
            frame={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP},
        )

    @house.door.answer("/overview", UserRole.VIEWER)
    def answer() -> Any:  # noqa: ANN401 - JSON
        """Return health, alerts, queue, destinations, worklists and door-to-result times."""
        worklists = [asdict(one) for one in worklist_rows(house)]
        facts = house.sources.overview.look().as_dict() | {"worklists": worklists}
        return jsonable_encoder(facts)

    @house.door.file("/status.json", UserRole.VIEWER)
    def status() -> dict[str, Any]:
        return {"series": [row.as_dict() for row in house.sources.status.rows()]}
