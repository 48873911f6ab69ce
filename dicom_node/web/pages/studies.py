"""The list of studies: search, filters, a page at a time."""

from dataclasses import dataclass
from datetime import tzinfo
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from dicom_node.jobs.state import JobState, SeriesState
from dicom_node.jobs.study_search import StudyQuery
from dicom_node.users.role import UserRole
from dicom_node.web.days import beginning_of, end_of
from dicom_node.web.door import Form
from dicom_node.web.house import House
from dicom_node.web.study_view import StudyRow, study_row

#: Rows of one page.
PAGE_SIZE = 25
_LAST_PAGE = 100_000

_SEE_OTHER = 303

#: States that can be filtered by, each once.
STATES = tuple(
    dict.fromkeys(
        state.value for state in (*SeriesState, *JobState) if state is not SeriesState.CHOSEN
    )
)
OUTCOMES = ("hematoma_found", "no_hematoma_found")

_Text = Annotated[str, Field(max_length=128)]


class Asked(BaseModel):
    """What somebody looks for; every field may be left out."""

    text: _Text = ""
    accession_key: Annotated[str, Field(pattern="^([0-9a-f]{32})?$")] = ""
    state: _Text = ""
    outcome: _Text = ""
    caller: _Text = ""
    urgent: bool = False
    since: _Text = ""
    until: _Text = ""
    page: Annotated[int, Field(ge=1, le=_LAST_PAGE)] = 1

    @property
    def query(self) -> str:
        """The filters as an address has them, without the page."""
        fields = self.model_dump(exclude={"page", "urgent"}) | {"urgent": self.urgent and "1"}
        return urlencode({key: value for key, value in fields.items() if value})


class AskedByProgram(Asked):
    """What a program looks for: it may name an Accession Number, pages turn it into its key."""

    accession_number: Annotated[str, Field(max_length=64)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of studies, and how many there are altogether."""

    rows: tuple[StudyRow, ...]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // PAGE_SIZE))


def add(house: House) -> None:
    """Add the list of studies."""

    @house.door.page("/studies", UserRole.VIEWER)
    def page(request: Request, asked: Annotated[Asked, Depends(_asked)]) -> Response:
        return house.pages.render(
            request,
            "studies.html",
            found=_find(house, asked),
            asked=asked,
            states=STATES,
            outcomes=OUTCOMES,
            callers=house.sources.studies.callers(),
        )

    @house.door.action("/studies", UserRole.VIEWER)
    def find(form: Form) -> Response:
        """Lead to the studies of an Accession Number; the address has its key alone."""
        key = house.sources.studies.accession_key(form.get("accession", ""))
        return RedirectResponse(f"/studies?accession_key={key}", status_code=_SEE_OTHER)

    @house.door.answer("/studies", UserRole.VIEWER)
    def answer(asked: Annotated[AskedByProgram, Query()]) -> Any:  # noqa: ANN401 - JSON
        """Return studies, the latest first, 25 a page."""
        if asked.accession_number:
            asked.accession_key = house.sources.studies.accession_key(asked.accession_number)
        found = _find(house, asked)
        return jsonable_encoder(
            {
                "studies": [row.as_dict() for row in found.rows],
                "total": found.total,
                "page": found.page,
                "pages": found.pages,
            }
        )


def _asked(request: Request) -> Asked:
    """Return what a form asks for; a field that was left empty was left out."""
    filled = {key: value for key, value in request.query_params.items() if value}
    try:
        return Asked.model_validate(filled)
    except ValidationError as error:
        fields = sorted({str(one["loc"][0]) for one in error.errors()})
        raise HTTPException(422, f"the search cannot be read: {', '.join(fields)}") from error


def _find(house: House, asked: Asked) -> Found:
    sources = house.sources
    query = _query(asked, sources.site().zone)
    found = sources.studies.find(query, limit=PAGE_SIZE, offset=(asked.page - 1) * PAGE_SIZE)
    return Found(
        rows=tuple(
            study_row(one, has_picture=lambda job: sources.results.picture(job) is not None)
            for one in found.studies
        ),
        total=found.total,
        page=asked.page,
    )


def _query(asked: Asked, zone: tzinfo | None) -> StudyQuery:
    """Return what is looked for; days are the site's, the last one included."""
    return StudyQuery(
        text=asked.text.strip(),
        accession_key=asked.accession_key,
        states=(asked.state,) if asked.state else (),
        callers=(asked.caller,) if asked.caller else (),
        outcome=asked.outcome,
        urgent=asked.urgent,
        since=beginning_of(asked.since, zone),
        until=end_of(asked.until, zone),
    )
