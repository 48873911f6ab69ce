"""Analyses that an operator asks for: files uploaded here, studies pulled from a peer."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from dicom_node.association.study_query import StudyWish
from dicom_node.errors import NodeError, UnaskablePatientError, UnknownEntryError
from dicom_node.manual_runs.book import Run, RunRefusedError
from dicom_node.users.role import UserRole
from dicom_node.web.door import API, Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.visitor import Visitor

#: Longest file or archive, in bytes; ZIP64 is not read.
LONGEST_UPLOAD: Final = 2 * 2**30

#: Room on the disk is looked at again after so many bytes.
_LOOK_BYTES: Final = 64 * 2**20

_SEE_OTHER: Final = 303

_Short = Annotated[str, Field(max_length=64)]


class NewPull(BaseModel):
    """A study to be fetched: one of patient, study and accession number."""

    model_config = ConfigDict(extra="forbid")

    peer: _Short
    patient_id: _Short = ""
    study_instance_uid: _Short = ""
    accession_number: _Short = ""
    by: Literal["", "move", "get"] = ""
    again: bool = False


def add(house: House) -> None:
    """Add the page and what programs ask and send."""
    house.longest_bodies[f"{API}/uploads"] = LONGEST_UPLOAD
    _add_page(house)
    _add_answers(house)


def _add_page(house: House) -> None:
    def show(request: Request, *, status: int = 200, fault: str = "") -> Response:
        runs = house.sources.manual_runs
        return house.pages.render(
            request,
            "upload.html",
            status=status,
            fault=fault,
            peers=runs.peers,
            runs=[(run, runs.standings(run)) for run in runs.all()],
        )

    @house.door.page("/upload", UserRole.OPERATOR)
    def page(request: Request) -> Response:
        return show(request)

    @house.door.action("/upload", UserRole.OPERATOR)
    def pull(request: Request, form: Form) -> Response:
        """Begin to fetch what the form names; the form does not come back with a patient in it."""
        named = form.get("named", "")
        value = form.get("value", "").strip()
        try:
            wish = StudyWish(
                patient_id=value if named == "patient" else "",
                study_uid=value if named == "study" else "",
                accession=value if named == "accession" else "",
            )
            _begin(
                house,
                visitor_of(request),
                wish,
                peer=form.get("peer", ""),
                by=form.get("by", ""),
                again=bool(form.get("again")),
            )
        except HTTPException as error:
            return show(request, status=error.status_code, fault=str(error.detail))
        except UnaskablePatientError as error:
            return show(request, status=422, fault=str(error))
        return RedirectResponse("/upload", status_code=_SEE_OTHER)


def _add_answers(house: House) -> None:
    @house.door.answer("/runs", UserRole.OPERATOR)
    def runs() -> Any:  # noqa: ANN401 - JSON
        """Return the pulls and uploads since the node started, the latest first."""
        return jsonable_encoder({"runs": [_facts(house, run) for run in _runs(house)]})

    @house.door.answer("/pulls", UserRole.OPERATOR, method="POST", status=202)
    def pull(request: Request, wanted: NewPull) -> Any:  # noqa: ANN401 - JSON
        """Begin to fetch a study; its run tells how far it is."""
        try:
            wish = StudyWish(
                patient_id=wanted.patient_id,
                study_uid=wanted.study_instance_uid,
                accession=wanted.accession_number,
            )
        except UnaskablePatientError as error:
            raise HTTPException(422, str(error)) from error
        run = _begin(
            house,
            visitor_of(request),
            wish,
            peer=wanted.peer,
            by=wanted.by,
            again=wanted.again,
        )
        return jsonable_encoder(_facts(house, run))

    @house.door.answer("/uploads", UserRole.OPERATOR, method="POST")
    async def upload(
        request: Request,
        name: Annotated[str, Query(max_length=255)] = "upload",
        run: Annotated[str, Query(pattern="^[0-9a-f]{0,32}$")] = "",
    ) -> Any:  # noqa: ANN401 - JSON
        """Take the body, a DICOM file or a zip archive of some; parts of one run name it alike."""
        visitor = visitor_of(request)
        path = await run_in_threadpool(house.sources.manual_runs.place)
        try:
            await _receive(house, request, path)
            taken = await run_in_threadpool(take, house, visitor, path, name=name, run_id=run)
        finally:
            await run_in_threadpool(path.unlink, missing_ok=True)
        return jsonable_encoder(taken)


def make_room(house: House, request: Request) -> None:
    """Raise RunRefusedError if what is announced does not fit."""
    announced = request.headers.get("content-length", "0")
    house.sources.manual_runs.check_room(int(announced) if announced.isdecimal() else 0)


async def _receive(house: House, request: Request, path: Path) -> None:
    """Write the body to a file as it comes. Raises HTTPException if there is no room or end."""
    sources = house.sources
    since_look = 0
    try:
        make_room(house, request)
        with path.open("wb") as file:
            async for chunk in request.stream():
                await run_in_threadpool(file.write, chunk)
                since_look += len(chunk)
                if since_look > _LOOK_BYTES:
                    since_look = 0
                    sources.manual_runs.check_room(0)
    except RunRefusedError as error:
        raise HTTPException(507, str(error)) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload broke off") from error


def take(house: House, visitor: Visitor, path: Path, *, name: str, run_id: str) -> dict[str, Any]:
    """Take a file or an archive into custody and return its run. Raises HTTPException."""
    if not path.stat().st_size:
        raise HTTPException(422, "nothing was uploaded")
    try:
        run = house.sources.manual_runs.upload(
            path, name=name, run_id=run_id, who=visitor.name, address=visitor.address
        )
    except NodeError as error:
        raise HTTPException(422, str(error)) from error
    studies = list(dict.fromkeys(study for study, _ in run.series))
    if studies:
        house.sources.audit.intervened(visitor, "uploaded images", studies)
    return _facts(house, run)


def _begin(
    house: House, visitor: Visitor, wish: StudyWish, *, peer: str, by: str, again: bool
) -> Run:
    """Begin a pull and take it down. Raises HTTPException."""
    try:
        run = house.sources.manual_runs.pull(peer, wish, by=by, again=again, who=visitor.name)
    except UnknownEntryError as error:
        raise HTTPException(422, str(error)) from error
    except RunRefusedError as error:
        raise HTTPException(409, str(error)) from error
    house.sources.audit.intervened(
        visitor, f"pulled from {peer}", [wish.study_uid] if wish.study_uid else []
    )
    return run


def _runs(house: House) -> tuple[Run, ...]:
    return house.sources.manual_runs.all()


def _facts(house: House, run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "kind": run.kind,
        "step": run.step,
        "who": run.who,
        "at": run.at,
        "peer": run.peer,
        "fault": run.fault,
        "accepted": run.accepted,
        "refused": run.refused,
        "refused_files": [{"name": one.name, "reason": one.reason} for one in run.named],
        "offered": [one.as_dict() for one in run.offered],
        "series": [
            {
                "study_instance_uid": one.study_uid,
                "series_instance_uid": one.series_uid,
                "step": one.step,
                "reason": one.reason,
                "images": one.images,
            }
            for one in house.sources.manual_runs.standings(run)
        ],
    }
