"""AE titles: whom the node calls, who may call it, and its own card."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from dicom_node.configuration.desk import NothingToChangeError, StaleConfigurationError
from dicom_node.configuration.edits import Edit
from dicom_node.errors import NodeError, UnknownEntryError
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.administration import NoSettingsFileError
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.entry_fields import (
    CALLER,
    DICOM,
    KINDS,
    WEB,
    Entry,
    Kind,
    PlacedFaults,
    addition,
    alteration,
    entries,
    placed,
    removal,
    values_of,
)
from dicom_node.web.house import House
from dicom_node.web.peer_test import begun_test
from dicom_node.web.settings_change import effects_of, file_of, reason_of, status_of
from dicom_node.web.trial_room import TrialView

_SEE_OTHER, _STALE = 303, 409
_MARK = "mark_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A form as it is shown: what stands in it, and what is wrong with that."""

    kind: Kind
    values: Mapping[str, Any]
    marks: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    faults: PlacedFaults = field(default_factory=PlacedFaults)


def add(house: House) -> None:
    """Add the pages of AE titles."""
    _add_list(house)
    _add_forms(house)
    _add_removal(house)


def _add_list(house: House) -> None:
    @house.door.page("/peers", UserRole.OPERATOR)
    def page(request: Request, fault: str = "", done: str = "") -> Response:
        desk = house.sources.desk
        try:
            found = desk.read()
        except (NoSettingsFileError, SettingsError) as error:
            return house.pages.render(
                request,
                "peers.html",
                lists=(),
                card=house.sources.trials.card(desk.in_force()).text,
                digest="",
                faults=(str(error),),
                done="",
            )
        lists = [(kind, entries(found, kind)) for kind in (DICOM, WEB, CALLER)]
        return house.pages.render(
            request,
            "peers.html",
            lists=lists,
            card=house.sources.trials.card(desk.settings()).text,
            digest=found.digest,
            faults=[*(str(one) for one in found.faults), *([fault[:500]] if fault else [])],
            done=done[:200],
        )


def _add_forms(house: House) -> None:
    @house.door.page("/peers/{kind}/form", UserRole.ADMIN)
    def empty(request: Request, kind: str) -> Response:
        found = _kind(kind)
        marks = {key: request.query_params.get(key, "") for key in found.marks}
        if not any(marks.values()):
            return _show(house, request, Filled(kind=found, values=found.defaults()))
        entry = _entry(house, found, marks)
        if entry is None:
            raise HTTPException(404, "no such entry")
        return _show(house, request, Filled(kind=found, values=entry.values, marks=marks))

    @house.door.action("/peers/{kind}/form", UserRole.ADMIN)
    def save(request: Request, kind: str, form: Form) -> Response:
        found = _kind(kind)
        marks = {key: form.get(_MARK + key, "") for key in found.marks}
        if not any(marks.values()):
            marks = {}
        filled = Filled(
            kind=found,
            values=values_of(found, form),
            marks=marks,
            why=reason_of(form.get("why", "")),
        )
        if form.get("step") == "test":
            return _test(house, request, filled)
        return _save(house, request, filled, digest=form.get("digest", ""))


def _test(house: House, request: Request, filled: Filled) -> Response:
    """Try a peer as it was typed, or show what is wrong with it; nothing is written."""
    place = 0
    try:
        edit, place = _edit(house, filled)
        found = house.sources.desk.desk.rehearse([edit])
    except SettingsError as error:
        return _refused(house, request, filled, placed(error.faults, filled.kind, place), 422)
    except NodeError as error:
        faults = PlacedFaults(others=(str(error),))
        return _refused(house, request, filled, faults, status_of(error))
    if found.settings is None:
        return _refused(house, request, filled, placed(found.faults, filled.kind, place), 422)
    name = str(filled.values.get(filled.kind.marks[0]))
    number = begun_test(house, request, name, found.settings, typed=True)
    return _show(house, request, filled, trial=house.trial_room.look(number))


def _edit(house: House, filled: Filled) -> tuple[Edit, int]:
    """Return what a form changes, and where the entry stands; see `_place`."""
    present = entries(house.sources.desk.read(), filled.kind)
    if not filled.marks:
        return addition(filled.kind, filled.values), len(present)
    place = _place(present, filled.marks)
    return alteration(filled.kind, present[place], filled.values), place


def _save(house: House, request: Request, filled: Filled, *, digest: str) -> Response:
    """Write what a form says, or show it again with its faults; nothing typed is lost."""
    kind, desk = filled.kind, house.sources.desk
    place = 0
    try:
        edit, place = _edit(house, filled)
        desk.change([edit], who=visitor_of(request).name, why=filled.why, digest=digest or None)
    except NothingToChangeError:
        return _back(done="nothing")
    except StaleConfigurationError as error:
        return _refused(house, request, filled, PlacedFaults(others=(str(error),)), _STALE)
    except SettingsError as error:
        return _refused(house, request, filled, placed(error.faults, kind, place), 422)
    except NodeError as error:
        faults = PlacedFaults(others=(str(error),))
        return _refused(house, request, filled, faults, status_of(error))
    return _back(done=effects_of([edit])[0])


def _refused(
    house: House, request: Request, filled: Filled, faults: PlacedFaults, status: int
) -> Response:
    return _show(house, request, replace(filled, faults=faults), status=status)


def _show(
    house: House,
    request: Request,
    filled: Filled,
    *,
    status: int = 200,
    trial: TrialView | None = None,
) -> Response:
    return house.pages.render(
        request,
        "peer_form.html",
        status=status,
        filled=filled,
        kind=filled.kind,
        digest=file_of(house).digest,
        trial=trial,
    )


def _add_removal(house: House) -> None:
    @house.door.action("/peers/{kind}/remove", UserRole.ADMIN)
    def remove(request: Request, kind: str, form: Form) -> Response:
        found = _kind(kind)
        marks = {key: form.get(_MARK + key, "") for key in found.marks}
        desk = house.sources.desk
        try:
            present = entries(desk.read(), found)
            edit = removal(found, present[_place(present, marks)])
            desk.change(
                [edit],
                who=visitor_of(request).name,
                why=reason_of(form.get("why", "")),
                digest=form.get("digest") or None,
            )
        except (SettingsError, NodeError) as error:
            return _back(fault=str(error))
        return _back(done=effects_of([edit])[0])


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise HTTPException(404, "no such kind of entry")
    return KINDS[name]


def _entry(house: House, kind: Kind, marks: Mapping[str, str]) -> Entry | None:
    try:
        present = entries(house.sources.desk.read(), kind)
    except (NoSettingsFileError, SettingsError):
        return None
    return next((one for one in present if one.has(marks)), None)


def _place(present: tuple[Entry, ...], marks: Mapping[str, str]) -> int:
    """Return where the entry with these marks stands. Raises UnknownEntryError."""
    for place, one in enumerate(present):
        if one.has(marks):
            return place
    raise UnknownEntryError("no such entry; it may have been removed meanwhile")


def _back(**query: str) -> Response:
    return RedirectResponse(f"/peers?{urlencode(query)}", status_code=_SEE_OTHER)
