"""Forms with files as they come: the form's secret is looked at first, then part by part."""

from collections.abc import AsyncIterator
from typing import Final

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from dicom_node.web.door import FORM_FIELD
from dicom_node.web.house import House
from dicom_node.web.multipart import (
    BrokenFormError,
    FormEvent,
    FormReader,
    PartBegins,
    PartGoesOn,
    boundary_of,
)

_LONGEST_SECRET: Final = 200


async def form_events(house: House, request: Request) -> AsyncIterator[FormEvent]:
    """Yield what a form with files brings behind its secret.

    Raises
    ------
    NotAllowedError
        If the form does not come from a page of the node; nothing of it was yielded then.
    HTTPException
        422 if it is no form with files, 400 if it breaks off.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    if not boundary:
        house.door.must_be_meant(request, "")
        raise HTTPException(422, "nothing was uploaded")
    try:
        events = _events(request, FormReader(boundary))
        await _check_secret(house, request, events)
        async for event in events:
            yield event
    except (BrokenFormError, ClientDisconnect) as error:
        raise HTTPException(400, "the upload broke off") from error


async def _events(request: Request, reader: FormReader) -> AsyncIterator[FormEvent]:
    async for chunk in request.stream():
        for event in reader.feed(chunk):
            yield event
    reader.close()


async def _check_secret(house: House, request: Request, events: AsyncIterator[FormEvent]) -> None:
    secret = b""
    name = ""
    async for event in events:
        if isinstance(event, PartBegins):
            name = event.name
        elif isinstance(event, PartGoesOn):
            secret += event.content
            if len(secret) > _LONGEST_SECRET:
                break
        else:
            break
    is_there = name == FORM_FIELD and len(secret) <= _LONGEST_SECRET
    house.door.must_be_meant(request, secret.decode("ascii", "replace") if is_there else "")
