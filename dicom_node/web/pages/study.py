"""One study: pictures, opinion, timeline, objects to take away, and what operators do with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import HTTPException, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import FileResponse, RedirectResponse

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.study_holds import StudyHold
from dicom_node.jobs.study_search import StudyStatus
from dicom_node.settings.web import STUDY_MARK
from dicom_node.status_view import EventRow
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.source import KeyImage, ResultFile
from dicom_node.web.study_view import StudyRow, study_row
from dicom_node.web.visitor import Visitor

_SEE_OTHER = 303
_LONGEST_REASON = 200
_NO_STUDY = "no such study"

_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that an operator does with a study.

    Attributes
    ----------
    words : str
        What it is, for the audit trail.
    do : Callable
        Does it; is given the study's UID, who wants it, and why.
    """

    words: str
    do: Callable[[str, str, str], object]


def add(house: House) -> None:
    """Add the page of a study and what it links to."""
    _add_page(house)
    _add_files(house)
    _add_acts(house)


def _add_page(house: House) -> None:
    @house.door.page("/studies/{study_uid}", UserRole.VIEWER)
    def page(request: Request, study_uid: str, fault: str = "") -> Response:
        study = known_study(house, study_uid)
        site = house.sources.site()
        row = row_of(house, study)
        patient_id = house.sources.results.patient_id(study_uid) if site.shows_patient else ""
        asks_by_itself = "hx-request" in request.headers
        if not asks_by_itself and any(one.has_picture for one in row.series):
            house.sources.audit.looked_at(visitor_of(request), study_uid)
        return house.pages.render(
            request,
            "study.html",
            study=row,
            events=_events(house, study),
            objects=_objects(house, row),
            images=images_of(house, row),
            hold=_hold(house, study_uid),
            viewer=site.viewer_url.replace(STUDY_MARK, quote(study_uid, safe="")),
            patient_id=patient_id,
            fault=fault[:_LONGEST_REASON],
        )

    @house.door.answer("/studies/{study_uid}", UserRole.VIEWER)
    def answer(study_uid: str) -> Any:  # noqa: ANN401 - JSON
        """Return a study with its series, timeline and result objects."""
        return jsonable_encoder(_facts(house, known_study(house, study_uid)))

    @house.door.page("/series/{series_uid}", UserRole.VIEWER)
    def series(series_uid: str) -> Response:
        row = house.sources.status.row(series_uid)
        if row is None:
            raise HTTPException(404, "no such series")
        target = f"/studies/{quote(row.study_instance_uid, safe='')}"
        return RedirectResponse(target, status_code=_SEE_OTHER)


def _add_files(house: House) -> None:
    @house.door.file("/pictures/{job_id}.png", UserRole.VIEWER)
    def picture(job_id: int) -> Response:
        path = house.sources.results.picture(job_id) if job_id < 2**31 else None
        if path is None:
            raise HTTPException(404, "no such picture")
        return FileResponse(path, media_type="image/png")

    @house.door.file("/studies/{study_uid}/objects/{sop_uid}", UserRole.VIEWER)
    def download(request: Request, study_uid: str, sop_uid: str) -> Response:
        row = row_of(house, known_study(house, study_uid))
        for _, files in _objects(house, row):
            for one in files:
                if one.sop_instance_uid == sop_uid and one.is_here:
                    house.sources.audit.downloaded(
                        visitor_of(request), study_uid, one.sop_class_uid
                    )
                    return FileResponse(
                        one.path, media_type="application/dicom", filename=f"{sop_uid}.dcm"
                    )
        raise HTTPException(404, "no such object")


def _add_acts(house: House) -> None:
    acts = _acts(house)

    @house.door.action("/studies/{study_uid}/{act}", UserRole.OPERATOR)
    def from_page(request: Request, study_uid: str, act: str, form: Form) -> Response:
        target = f"/studies/{quote(study_uid, safe='')}"
        try:
            _perform(house, acts, act, study_uid, visitor_of(request), form.get("why", ""))
        except HTTPException as error:
            target += f"?fault={quote(str(error.detail), safe='')}"
        return RedirectResponse(target, status_code=_SEE_OTHER)

    @house.door.answer("/studies/{study_uid}/{act}", UserRole.OPERATOR, method="POST")
    def from_program(request: Request, study_uid: str, act: str, why: str = "") -> dict[str, str]:
        """Do something with a study: rerun, urgent, routine, hold (with a reason), unhold."""
        _perform(house, acts, act, study_uid, visitor_of(request), why)
        return {"study_instance_uid": study_uid, "done": act}


def _acts(house: House) -> dict[str, Act]:
    """Return what operators may do, by its name in the address."""
    sources = house.sources

    def hold(uid: str, who: str, why: str) -> None:
        if not why.strip():
            raise HTTPException(422, "a hold needs a reason")
        sources.holds.hold(uid, why.strip(), by=who, now=sources.clock())

    return {
        "rerun": Act(
            words="analyse a study again",
            do=lambda uid, who, _: sources.rerun.study(uid, by=who, now=sources.clock()),
        ),
        "urgent": Act(
            words="make a study urgent",
            do=lambda uid, _who, _why: sources.urgent_lane.hurry(uid, sources.clock()),
        ),
        "routine": Act(
            words="take a study out of the urgent lane",
            do=lambda uid, _who, _why: sources.urgent_lane.calm(uid, sources.clock()),
        ),
        "hold": Act(words="keep a study from being purged", do=hold),
        "unhold": Act(
            words="end the hold of a study",
            do=lambda uid, who, _: sources.holds.unhold(uid, by=who, now=sources.clock()),
        ),
    }


def _perform(
    house: House, acts: dict[str, Act], name: str, study_uid: str, visitor: Visitor, why: str
) -> None:
    """Do it and take it down. Raises HTTPException with the reason if it cannot be done."""
    act = acts.get(name)
    if act is None or not _UID.fullmatch(study_uid):
        raise HTTPException(404, "no such action" if act is None else _NO_STUDY)
    try:
        act.do(study_uid, visitor.name, why[:_LONGEST_REASON])
    except UnknownEntryError as error:
        raise HTTPException(404, str(error)) from error
    except IllegalTransitionError as error:
        raise HTTPException(409, str(error)) from error
    house.sources.audit.intervened(visitor, act.words, [study_uid])


def _facts(house: House, study: StudyStatus) -> dict[str, Any]:
    """Return everything that is known of a study, for programs."""
    row = row_of(house, study)
    objects = _objects(house, row)
    return row.as_dict() | {
        "timeline": [(uid, event) for uid, event in _events(house, study)],
        "objects": [
            {"kind": one.kind, "sop_instance_uid": one.sop_instance_uid, "here": one.is_here}
            for _, files in objects
            for one in files
        ],
        "images": {
            str(job): [one.name for one in found if one.is_here]
            for job, found in images_of(house, row).items()
        },
        "hold": _hold(house, study.study_instance_uid),
    }


def known_study(house: House, study_uid: str) -> StudyStatus:
    """Return a study. Raises HTTPException."""
    study = house.sources.studies.study(study_uid) if _UID.fullmatch(study_uid) else None
    if study is None:
        raise HTTPException(404, _NO_STUDY)
    return study


def row_of(house: House, study: StudyStatus) -> StudyRow:
    """Return a study as the page shows it."""
    results = house.sources.results
    return study_row(study, has_picture=lambda job: results.picture(job) is not None)


def _events(house: House, study: StudyStatus) -> list[tuple[str, EventRow]]:
    """Return what happened to all series of a study, oldest first, each with its series."""
    found = [
        (one.series_instance_uid, event)
        for one in study.series
        for event in house.sources.status.timeline(one.series_instance_uid)
    ]
    return sorted(found, key=lambda pair: pair[1].at)


def _objects(house: House, row: StudyRow) -> list[tuple[int, tuple[ResultFile, ...]]]:
    """Return the result objects of each latest analysis and comparison, by the job's number."""
    found = [(job, tuple(house.sources.results.objects(job))) for job in _jobs(row)]
    return [(job, files) for job, files in found if files]


def _jobs(row: StudyRow) -> list[int]:
    """Return the latest analysis and comparison of each series."""
    jobs = [one.job_id for one in row.series if one.job_id is not None]
    return jobs + [one.comparison.job_id for one in row.series if one.comparison is not None]


def images_of(house: House, row: StudyRow) -> dict[int, tuple[KeyImage, ...]]:
    """Return the single images of each latest analysis and comparison, by the job's number."""
    return {job: tuple(house.sources.results.key_images(job)) for job in _jobs(row)}


def _hold(house: House, study_uid: str) -> StudyHold | None:
    return next(
        (one for one in house.sources.holds.standing() if one.study_uid == study_uid), None
    )
