"""Routing: the rules by which series are chosen or urgent, and a trial of them."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse

from dicom_node.configuration.edits import AddEntry, Edit, Plain, RemoveEntry
from dicom_node.errors import IntakeError, NodeError, UnknownEntryError
from dicom_node.intake.selection_explained import Verdict
from dicom_node.settings.file import SettingsError
from dicom_node.settings.schema import SeriesAttribute
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.form_files import form_events
from dicom_node.web.house import House
from dicom_node.web.multipart import PartBegins, PartEnds
from dicom_node.web.settings_change import reason_of
from dicom_node.web.words import mark

#: Lists of rules by the word for them: where they stand, and what they are for.
LISTS: Final = {
    "include": ("selection.include", mark("Only series with one of these are taken")),
    "exclude": ("selection.exclude", mark("Series with one of these are not taken")),
    "prefer": ("selection.prefer", mark("Points for a series; the one with most is analysed")),
    "urgent": ("urgent.rules", mark("Series with one of these are urgent")),
}

#: Where a browser without JavaScript sends a whole file; of it only the beginning is looked at.
_FILE: Final = "/routing/file"
_LONGEST_FILE: Final = 2**30
_LONGEST_BEGINNING: Final = 192 * 1024

_SEE_OTHER = 303
_POINTS = re.compile(r"[+-]?[0-9]{1,5}")
_Study = Annotated[str, Query(max_length=64)]


async def _beginning(request: Request) -> bytes:
    return await request.body()


_Beginning = Annotated[bytes, Depends(_beginning)]


def add(house: House) -> None:
    """Add the page of routing."""
    _add_pages(house)
    _add_changes(house)
    _add_answers(house)


def _add_pages(house: House) -> None:
    @house.door.page("/routing", UserRole.OPERATOR)
    def page(request: Request, study: str = "", fault: str = "", done: str = "") -> Response:
        sources = house.sources
        verdicts, told = None, fault[:500]
        if study.strip():
            try:
                verdicts = sources.trials.study(sources.desk.settings(), study.strip())
            except UnknownEntryError:
                told = "the node has no images of this study"
        return _show(
            house, request, verdicts=verdicts, fault=told, study=study[:64], done=bool(done)
        )

    @house.door.action("/routing/header", UserRole.OPERATOR)
    def header(request: Request, beginning: _Beginning) -> Response:
        verdicts, fault = _tried(house, beginning)
        return house.pages.render(request, "verdicts.html", verdicts=verdicts, fault=fault)

    house.longest_bodies[_FILE] = _LONGEST_FILE

    @house.door.form_with_files(_FILE, UserRole.OPERATOR)
    async def file(request: Request) -> Response:
        beginning = await _beginning_of_file(house, request)
        verdicts, fault = await run_in_threadpool(_tried, house, beginning)
        status = 422 if fault else 200
        return await run_in_threadpool(
            _show, house, request, verdicts=verdicts, fault=fault, status=status
        )


def _show(
    house: House,
    request: Request,
    *,
    verdicts: Sequence[Verdict] | None,
    fault: str,
    study: str = "",
    done: bool = False,
    status: int = 200,
) -> Response:
    sources = house.sources
    return house.pages.render(
        request,
        "routing.html",
        status=status,
        rules=sources.trials.rules(sources.desk.settings()),
        lists={name: words for name, (_, words) in LISTS.items()},
        attributes=[one.value for one in SeriesAttribute],
        study=study,
        verdicts=verdicts,
        fault=fault,
        done=done,
        has_file=sources.desk.is_there,
    )


def _tried(house: House, beginning: bytes) -> tuple[Sequence[Verdict], str]:
    """Return what the rules say of a file's series, or why it cannot be said."""
    try:
        return (house.sources.trials.header(house.sources.desk.settings(), beginning),), ""
    except IntakeError as error:
        return (), str(error)


async def _beginning_of_file(house: House, request: Request) -> bytes:
    """Return the beginning of the first file of a form; of an empty field an empty one."""
    found = b""
    is_file = False
    async for event in form_events(house, request):
        if isinstance(event, PartBegins):
            is_file = event.name == "file" and not found
        elif isinstance(event, PartEnds):
            is_file = False
        elif is_file:
            found += event.content[: _LONGEST_BEGINNING - len(found)]
    return found


def _add_changes(house: House) -> None:
    def change(request: Request, edit: Edit, why: str) -> Response:
        fault = ""
        try:
            house.sources.desk.change([edit], who=visitor_of(request).name, why=reason_of(why))
        except (SettingsError, NodeError) as error:
            fault = str(error)
        target = f"/routing?fault={quote(fault, safe='')}" if fault else "/routing?done=1"
        return RedirectResponse(target, status_code=_SEE_OTHER)

    @house.door.action("/routing/add", UserRole.ADMIN)
    def add_rule(request: Request, form: Form) -> Response:
        edit = AddEntry(array=_array(form.get("list", "")), values=_rule(form))
        return change(request, edit, form.get("why", ""))

    @house.door.action("/routing/remove", UserRole.ADMIN)
    def remove_rule(request: Request, form: Form) -> Response:
        edit = RemoveEntry(array=_array(form.get("list", "")), match=_rule(form))
        return change(request, edit, form.get("why", ""))


def _array(name: str) -> str:
    if name not in LISTS:
        raise HTTPException(404, "no such list of rules")
    return LISTS[name][0]


def _rule(form: Any) -> dict[str, Plain]:  # noqa: ANN401 - fields of a form
    found: dict[str, Plain] = {
        "attribute": form.get("attribute", ""),
        "pattern": form.get("pattern", ""),
    }
    if form.get("list") == "prefer":
        points = form.get("points", "").strip()
        found["points"] = int(points) if _POINTS.fullmatch(points) else points
    return found


def _add_answers(house: House) -> None:
    @house.door.answer("/rules", UserRole.OPERATOR)
    def rules() -> Any:  # noqa: ANN401 - JSON
        """Return the rules by which series are chosen or urgent."""
        found = house.sources.trials.rules(house.sources.desk.settings())
        return jsonable_encoder(
            {name: [asdict(one) for one in rows] for name, rows in found.items()}
        )

    @house.door.answer("/rules/test", UserRole.OPERATOR)
    def try_study(study: _Study) -> Any:  # noqa: ANN401 - JSON
        """Return which series of a received study would be taken, and why not the others."""
        try:
            found = house.sources.trials.study(house.sources.desk.settings(), study)
        except UnknownEntryError as error:
            raise HTTPException(404, "the node has no images of this study") from error
        return jsonable_encoder([one.as_dict() for one in found])

    @house.door.answer("/rules/test", UserRole.OPERATOR, method="POST")
    def try_header(beginning: _Beginning) -> Any:  # noqa: ANN401 - JSON
        """Return whether a series would be taken, by the beginning of one of its DICOM files."""
        try:
            found = house.sources.trials.header(house.sources.desk.settings(), beginning)
        except IntakeError as error:
            raise HTTPException(422, str(error)) from error
        return jsonable_encoder(found.as_dict())
