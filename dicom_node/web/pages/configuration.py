"""Configuration: what the settings file says, its faults, its history, and the way back."""

from typing import Annotated, Any

from fastapi import HTTPException, Path, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse

from dicom_node.configuration.desk import NothingToChangeError, UnknownChangeError
from dicom_node.configuration.history import Change
from dicom_node.configuration.setting_keys import setting_keys
from dicom_node.errors import NodeError
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.administration import NoSettingsFileError
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.settings_change import Reasoned, answered, reason_of, status_of

_SEE_OTHER = 303
_Number = Annotated[int, Path(ge=1, lt=10**9)]


def add(house: House) -> None:
    """Add the page of the configuration."""
    _add_pages(house)
    _add_answers(house)


def _add_pages(house: House) -> None:
    @house.door.page("/configuration", UserRole.ADMIN)
    def page(request: Request, done: str = "", changed: str = "") -> Response:
        desk = house.sources.desk
        try:
            found = desk.read()
            changes = desk.desk.history()
        except (NoSettingsFileError, SettingsError) as error:
            raise HTTPException(409, str(error)) from error
        return house.pages.render(
            request,
            "configuration.html",
            found=found,
            changes=list(reversed(changes)),
            following=desk.following,
            done=done == "1",
            changed=setting_keys().get(changed),
        )

    @house.door.page("/configuration/{number}", UserRole.ADMIN)
    def one(request: Request, number: _Number) -> Response:
        return _show(house, request, number)

    @house.door.action("/configuration/{number}/rollback", UserRole.ADMIN)
    def roll_back(request: Request, number: _Number, form: Form) -> Response:
        who, why = visitor_of(request).name, reason_of(form.get("why", ""))
        try:
            house.sources.desk.roll_back(number, who=who, why=why)
        except NothingToChangeError:
            return RedirectResponse("/configuration", status_code=_SEE_OTHER)
        except (SettingsError, NodeError) as error:
            return _show(house, request, number, status=status_of(error), fault=str(error))
        return RedirectResponse("/configuration?done=1", status_code=_SEE_OTHER)


def _show(
    house: House, request: Request, number: int, *, status: int = 200, fault: str = ""
) -> Response:
    change = _change(house, number)
    return house.pages.render(
        request,
        "configuration_change.html",
        status=status,
        change=change,
        since=house.sources.desk.desk.diff(number),
        fault=fault,
    )


def _change(house: House, number: int) -> Change:
    """Return a change. Raises HTTPException."""
    try:
        return house.sources.desk.desk.show(number)
    except UnknownChangeError as error:
        raise HTTPException(404, "no such change") from error
    except (NoSettingsFileError, SettingsError) as error:
        raise HTTPException(409, str(error)) from error


def _add_answers(house: House) -> None:
    @house.door.answer("/configuration", UserRole.ADMIN)
    def state() -> Any:  # noqa: ANN401 - JSON
        """Return the settings file's faults and history, without what differs."""
        desk = house.sources.desk
        try:
            found, changes = desk.read(), desk.desk.history()
        except (NoSettingsFileError, SettingsError) as error:
            raise HTTPException(409, str(error)) from error
        history = [{k: v for k, v in one.as_dict().items() if k != "diff"} for one in changes]
        return jsonable_encoder(
            {
                "digest": found.digest,
                "faults": [str(one) for one in found.faults],
                "waits_for_restart": desk.following.waiting,
                "history": history,
            }
        )

    @house.door.answer("/configuration/{number}", UserRole.ADMIN)
    def shown(number: _Number) -> Any:  # noqa: ANN401 - JSON
        """Return one change with what it changed, and what has changed since."""
        change = _change(house, number)
        since = house.sources.desk.desk.diff(number)
        return jsonable_encoder({**change.as_dict(), "changed_since": since})

    @house.door.answer("/configuration/{number}/rollback", UserRole.ADMIN, method="POST")
    def rolled_back(request: Request, number: _Number, why: Reasoned) -> Response:
        """Make the settings file again what it was after a change; the answer is a new change."""
        who = visitor_of(request).name
        return answered(lambda: house.sources.desk.roll_back(number, who=who, why=why.why))
