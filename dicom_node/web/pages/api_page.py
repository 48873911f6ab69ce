"""The interface for programs, explained to people: the way in, lines to copy, all that it can."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Response

from dicom_node.jobs.study_search import StudyQuery
from dicom_node.users.role import UserRole
from dicom_node.web.door import API
from dicom_node.web.house import House
from dicom_node.web.words import mark

#: Stand in examples as long as the node has nothing of the kind.
_STUDY: Final = "1.2.840.1"
_OBJECT: Final = "1.2.840.2"
_PEER: Final = "pacs"

_VIEWER, _OPERATOR = UserRole.VIEWER, UserRole.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A line to copy into a shell.

    Attributes
    ----------
    title : str
        What it does.
    role : UserRole
        Which token it takes.
    line : str
        For a POSIX shell, with ``$NODE`` and ``$TOKEN``.
    """

    title: str
    role: UserRole
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that programs can ask for.

    Attributes
    ----------
    method, path : str
        As in the request.
    role : UserRole or None
        Which token it takes; None for anybody.
    words : str
        What it does.
    """

    method: str
    path: str
    role: UserRole | None
    words: str


def add(house: House) -> None:
    """Add the page."""

    @house.door.page("/api", UserRole.VIEWER)
    def page(request: Request) -> Response:
        return house.pages.render(
            request,
            "api.html",
            address=_address(house, request),
            examples=tuple(_examples(house)),
            groups=_groups(request.app.openapi(), house.door.table),
            schema=f"{API}/openapi.json",
        )


def _address(house: House, request: Request) -> str:
    """Return where this visitor reaches the node."""
    scheme = "https" if house.sources.site().is_secure else request.url.scheme
    return f"{scheme}://{request.url.netloc}"


def _examples(house: House) -> Iterator[Example]:
    """Yield examples, with the latest study of the node and the first peer if it has them."""
    study, sop = _latest(house)
    peer = next(iter(house.sources.manual_runs.peers), _PEER)
    wish = shlex.quote(json.dumps({"peer": peer, "study_instance_uid": study}))
    for title, role, rest in (
        (mark("How the node is"), _VIEWER, _url("/api/v1/overview")),
        (mark("Studies that failed"), _VIEWER, _url("/api/v1/studies?state=failed")),
        (
            mark("A study: its series, opinions, history and objects"),
            _VIEWER,
            _url("/api/v1/studies/", study),
        ),
        (
            mark("Take a result object away"),
            _VIEWER,
            f"-o result.dcm {_url('/studies/', study, '/objects/', sop)}",
        ),
        (mark("What is on its way"), _VIEWER, _url("/api/v1/deliveries?state=pending")),
        (mark("The models and their cards"), _VIEWER, _url("/api/v1/models")),
        (
            mark("Have a study analysed before the others"),
            _OPERATOR,
            f"-X POST {_url('/api/v1/studies/', study, '/urgent')}",
        ),
        (
            mark("Upload an image, or a zip archive of some"),
            _OPERATOR,
            f"--data-binary @image.dcm {_url('/api/v1/uploads?name=image.dcm')}",
        ),
        (
            mark("Pull a study from a peer"),
            _OPERATOR,
            f"-H 'Content-Type: application/json' -d {wish} {_url('/api/v1/pulls')}",
        ),
        (
            mark("Test a peer"),
            _OPERATOR,
            f"-X POST {_url('/api/v1/peers/', quote(peer, safe=''), '/test')}",
        ),
    ):
        line = f'curl -fsS -H "Authorization: Bearer $TOKEN" {rest}'
        yield Example(title=title, role=role, line=line)


def _url(*parts: str) -> str:
    return f'"$NODE{"".join(parts)}"'


def _latest(house: House) -> tuple[str, str]:
    """Return the latest study that has result objects, and one of those; quoted for addresses."""
    for study in house.sources.studies.find(StudyQuery()).studies:
        for series in study.series:
            objects = house.sources.results.objects(series.job.job_id) if series.job else ()
            for one in objects:
                if one.is_here:
                    uids = (study.study_instance_uid, one.sop_instance_uid)
                    return quote(uids[0], safe=""), quote(uids[1], safe="")
    return _STUDY, _OBJECT


def _groups(
    schema: Mapping[str, Any], roles: Mapping[tuple[str, str], UserRole | None]
) -> Sequence[tuple[str, Sequence[Operation]]]:
    """Return everything that programs can ask for, by the first part of its address."""
    groups: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        rest = path.removeprefix(API)
        for method, facts in methods.items():
            one = Operation(
                method=method.upper(),
                path=path,
                role=roles.get((method.upper(), path)),
                words=" ".join(str(facts.get("description", "")).split()),
            )
            groups.setdefault(rest.split("/")[1], []).append(one)
    return tuple(groups.items())
