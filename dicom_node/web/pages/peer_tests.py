"""Tests of peers, shown step by step while they are under way."""

from typing import Annotated

from fastapi import HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse

from dicom_node.users.role import UserRole
from dicom_node.web.door import Form
from dicom_node.web.house import House
from dicom_node.web.peer_test import begun_test

_SEE_OTHER = 303
_Number = Annotated[int, Path(ge=1, lt=10**9)]


def add(house: House) -> None:
    """Add tests of peers."""

    @house.door.action("/peers/test", UserRole.OPERATOR)
    def test(request: Request, form: Form) -> Response:
        number = begun_test(house, request, form.get("name", ""), house.sources.desk.settings())
        return RedirectResponse(f"/peers/tests/{number}", status_code=_SEE_OTHER)

    @house.door.page("/peers/tests/{number}", UserRole.OPERATOR)
    def page(request: Request, number: _Number) -> Response:
        trial = house.trial_room.look(number)
        if trial is None:
            raise HTTPException(404, "no such test; the node may have been restarted meanwhile")
        return house.pages.render(request, "peer_trial.html", trial=trial)
