"""Any key of the settings: what it is for, a new value looked at before it is saved."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import HTTPException, Path, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field

from dicom_node.configuration.desk import ConfigurationFile
from dicom_node.configuration.edits import SetValue
from dicom_node.configuration.setting_keys import SettingKey, setting_keys, value_in_file
from dicom_node.errors import NodeError
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.setting_form import FilledSetting, field_text, placed, setting_edit
from dicom_node.web.settings_change import (
    AnyValue,
    Reasoned,
    answered,
    fault_answer,
    file_of,
    reason_of,
    status_of,
)

_SEE_OTHER: Final = 303
_STALE: Final = 409
_FAULTY: Final = 422
_Name = Annotated[str, Path(pattern=r"^[a-z_]{1,32}\.[a-z0-9_]{1,64}$")]


class NewValue(Reasoned):
    """A value for a key; none gives it its default back."""

    value: AnyValue = None
    only_look: Annotated[bool, Field(description="say what would change, and change nothing")] = (
        False
    )


def add(house: House) -> None:
    """Add the form for any key."""
    _add_form(house)
    _add_answers(house)


def _add_form(house: House) -> None:
    @house.door.page("/configuration/set", UserRole.ADMIN)
    def form(request: Request, key: str = "") -> Response:
        found = file_of(house)
        if not key:
            return _show(house, request, found, None)
        one = _known(key)
        filled = FilledSetting(
            one=one, text=field_text(found, one), present=value_in_file(found, one)
        )
        return _show(house, request, found, filled)

    @house.door.action("/configuration/set", UserRole.ADMIN)
    def look_or_save(request: Request, form: Form) -> Response:
        one = _known(form.get("key", ""))
        found = file_of(house)
        edit = setting_edit(one, form)
        filled = _looked_at(house, found, one, edit, form)
        if form.get("step") != "save" or filled.faults or filled.is_same:
            status = _FAULTY if filled.faults else 200
            return _show(house, request, found, filled, status=status)
        if form.get("seen") != filled.seen:  # typed since, or the file is another one
            return _show(house, request, found, filled, status=_STALE, is_other=True)
        try:
            house.sources.desk.change(
                [edit], who=visitor_of(request).name, why=filled.why, digest=form.get("digest")
            )
        except (SettingsError, NodeError) as error:
            found = file_of(house)
            filled = _looked_at(house, found, one, edit, form)
            return _show(house, request, found, filled, status=status_of(error), fault=str(error))
        query = urlencode({"changed": one.name})
        return RedirectResponse(f"/configuration?{query}", status_code=_SEE_OTHER)


def _looked_at(
    house: House,
    found: ConfigurationFile,
    one: SettingKey,
    edit: SetValue,
    form: Mapping[str, str],
) -> FilledSetting:
    """Return the form with the faults that the change would bring, or with what it changes."""
    desk = house.sources.desk.desk
    filled = FilledSetting(
        one=one,
        text=form.get("value", ""),
        present=value_in_file(found, one),
        takes_default=edit.value is None,
        why=reason_of(form.get("why", "")),
    )
    try:
        faults = desk.check([edit])
        if faults:
            return replace(filled, faults=placed(faults, one))
        diff = desk.preview([edit])
    except SettingsError as error:
        return replace(filled, faults=placed(error.faults, one))
    return replace(filled, diff=diff, is_same=not diff)


def _show(
    house: House,
    request: Request,
    found: ConfigurationFile,
    filled: FilledSetting | None,
    *,
    status: int = 200,
    fault: str = "",
    is_other: bool = False,
) -> Response:
    tables: dict[str, list[SettingKey]] = {}
    for one in setting_keys().values():
        tables.setdefault(one.table, []).append(one)
    return house.pages.render(
        request,
        "setting.html",
        status=status,
        tables=tables,
        filled=filled,
        digest=found.digest,
        fault=fault,
        is_other=is_other,
    )


def _known(name: str) -> SettingKey:
    one = setting_keys().get(name)
    if one is None:
        raise HTTPException(404, f"the settings have no key {name[:97]!r}")
    return one


def _facts(found: ConfigurationFile, one: SettingKey) -> dict[str, Any]:
    table = found.document.get(one.table)
    named = isinstance(table, Mapping) and one.key in table
    return {
        "name": one.name,
        "help": one.help,
        "shape": one.shape.value,
        "choices": one.choices,
        "least": one.least,
        "most": one.most,
        "more_than": one.more_than,
        "default": one.default,
        "in_file": value_in_file(found, one) if named else None,
        "takes_effect": one.effect.value,
    }


def _add_answers(house: House) -> None:
    @house.door.answer("/configuration/keys", UserRole.ADMIN)
    def every_key() -> Any:  # noqa: ANN401 - JSON
        """Return every key of the settings: what it is for, what it may be, what it is."""
        found = file_of(house)
        return jsonable_encoder(
            {
                "digest": found.digest,
                "keys": [_facts(found, one) for one in setting_keys().values()],
            }
        )

    @house.door.answer("/configuration/keys/{name}", UserRole.ADMIN, method="PUT")
    def change(request: Request, name: _Name, new: NewValue) -> Response:
        """Give a key a value, or its default back; the answer is what changed, or would."""
        one = _known(name)
        edit = SetValue(table=one.table, key=one.key, value=new.value)
        desk, who = house.sources.desk, visitor_of(request).name
        if new.only_look:
            try:
                return JSONResponse({"diff": desk.desk.preview([edit])})
            except (SettingsError, NodeError) as error:
                return fault_answer(error)
        return answered(lambda: desk.change([edit], who=who, why=new.why, digest=new.digest))
