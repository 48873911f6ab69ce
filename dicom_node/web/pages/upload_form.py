"""Files uploaded by a plain form, without JavaScript; the answer is what became of them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

from dicom_node.manual_runs.book import RunRefusedError
from dicom_node.users.role import UserRole
from dicom_node.web.door import visitor_of
from dicom_node.web.form_files import form_events
from dicom_node.web.house import House
from dicom_node.web.multipart import FormEvent, PartBegins, PartGoesOn
from dicom_node.web.pages.upload import LONGEST_UPLOAD, make_room, take

_PATH: Final = "/upload/files"

#: Files of one form; more go as an archive.
MOST_FILES: Final = 2000
_LONGEST_NAME: Final = 255


@dataclass(slots=True, kw_only=True)
class _Taken:
    """What a form brought so far."""

    run_id: str = ""
    files: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)


def add(house: House) -> None:
    """Add what the form sends its files to."""
    house.longest_bodies[_PATH] = LONGEST_UPLOAD

    @house.door.form_with_files(_PATH, UserRole.OPERATOR)
    async def upload(request: Request) -> Response:
        try:
            await run_in_threadpool(make_room, house, request)
            taken = await _take_all(house, request)
        except RunRefusedError as error:
            raise HTTPException(507, str(error)) from error
        return await run_in_threadpool(_result, house, request, taken)


def _result(house: House, request: Request, taken: _Taken) -> Response:
    runs = house.sources.manual_runs
    run = next((one for one in runs.all() if one.run_id == taken.run_id), None)
    if not taken.files:
        raise HTTPException(422, "nothing was uploaded")
    return house.pages.render(
        request,
        "upload_result.html",
        status=200 if run else 422,
        files=taken.files,
        faults=taken.faults,
        run=run,
        standings=runs.standings(run) if run else (),
    )


async def _take_all(house: House, request: Request) -> _Taken:
    """Take one file after the other."""
    taken = _Taken()
    events = form_events(house, request)
    async for event in events:
        if not isinstance(event, PartBegins):
            continue
        path = await run_in_threadpool(house.sources.manual_runs.place)
        try:
            if await _write(events, path) and event.file_name:
                await run_in_threadpool(_take_one, house, request, path, event.file_name, taken)
        finally:
            await run_in_threadpool(path.unlink, missing_ok=True)
    return taken


async def _write(events: AsyncIterator[FormEvent], path: Path) -> int:
    """Write a field to a file, and return how long it is."""
    length = 0
    with path.open("wb") as file:
        async for event in events:
            if not isinstance(event, PartGoesOn):
                break
            length += await run_in_threadpool(file.write, event.content)
    return length


def _take_one(house: House, request: Request, path: Path, name: str, taken: _Taken) -> None:
    """Take a file into custody, as part of one run with the others of the form."""
    taken.files += 1
    if taken.files > MOST_FILES:
        raise HTTPException(413, f"a form takes {MOST_FILES} files; send a zip archive of them")
    shown = name[-_LONGEST_NAME:]
    try:
        facts = take(house, visitor_of(request), path, name=shown, run_id=taken.run_id)
    except HTTPException as error:
        taken.faults.append((shown, str(error.detail)))
    else:
        taken.run_id = facts["run"]
