"""The web application: pages for people, the same for programs, probes for monitors."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from dicom_node.errors import LedgerError
from dicom_node.users.role import UserRole
from dicom_node.web.door import API, Door, NotAllowedError, NotLoggedInError
from dicom_node.web.entry import Entry
from dicom_node.web.headers import BodyLimit, SecurityHeaders
from dicom_node.web.house import House, Sources
from dicom_node.web.pages import (
    api_page,
    audit,
    configuration,
    deliveries,
    key_images,
    models,
    overview,
    peer_answers,
    peer_tests,
    peers,
    routing,
    setting,
    sign_in,
    studies,
    study,
    upload,
    upload_form,
    users,
    watch,
)
from dicom_node.web.probes import add_probes
from dicom_node.web.refusal_page import refusal_words
from dicom_node.web.rendering import Pages
from dicom_node.web.unforeseen import Unforeseen
from dicom_node.web.visitor import Visitor

_STATIC = Path(__file__).parent / "static"

#: What a page loads beside itself, and what it is.
_ASSETS: Final = {
    "style.css": "text/css",
    "site.js": "text/javascript",
    "upload.js": "text/javascript",
    "htmx-2.0.11.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

#: Pages that every node has; each module adds its own.
_PAGES: Final[tuple[Callable[[House], None], ...]] = (
    sign_in.add,
    overview.add,
    studies.add,
    study.add,
    key_images.add,
    upload.add,
    upload_form.add,
    peers.add,
    peer_tests.add,
    peer_answers.add,
    routing.add,
    deliveries.add,
    models.add,
    setting.add,  # before the changes, whose address is a number
    configuration.add,
    audit.add,
    users.add,
    api_page.add,
)

_SEE_OTHER = 303


def create_app(sources: Sources) -> FastAPI:
    """Return the web application.

    Parameters
    ----------
    sources : Sources
        Where the pages ask, and whom they tell.

    Raises
    ------
    RuntimeError
        If a page was added without saying who may see it.
    """
    app = FastAPI(
        title="ichnode",
        version=sources.version,
        description="RESEARCH USE ONLY. Whatever the pages show and do, for programs.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    entry = Entry(sources.entrance, site=sources.site)
    door = Door(app, entry)
    house = House(
        door=door,
        pages=Pages(
            site=sources.site,
            entry=entry,
            version=sources.version,
            has_page=lambda path: ("GET", path) in door.table,
        ),
        entry=entry,
        sources=sources,
    )
    for add in _PAGES:
        add(house)
    if sources.watch is not None:
        watch.add(house, sources.watch)
    _add_assets(house)
    _add_schema(app, house)
    add_probes(house.door, sources.status, metrics=sources.metrics)
    if uncovered := house.door.uncovered():
        raise RuntimeError(f"Nobody said who may see {', '.join(uncovered)}")
    _add_refusals(app, house)
    app.add_middleware(Unforeseen, answer=partial(_failure, house))
    app.add_middleware(BodyLimit, limits=house.longest_bodies)
    app.add_middleware(SecurityHeaders, is_secure=lambda: sources.site().is_secure)
    app.state.door = house.door
    app.state.trial_room = house.trial_room
    return app


def _add_assets(house: House) -> None:
    """Add what pages load; it says nothing about the node, so that the log-in page may, too."""

    def serving(name: str, kind: str) -> Callable[[], Response]:
        def asset() -> Response:
            return FileResponse(
                _STATIC / name, media_type=kind, headers={"Cache-Control": "max-age=300"}
            )

        return asset

    for name, kind in _ASSETS.items():
        house.door.file(f"/static/{name}", None)(serving(name, kind))


def _add_schema(app: FastAPI, house: House) -> None:
    @house.door.file(f"{API}/openapi.json", UserRole.VIEWER)
    def schema() -> JSONResponse:
        return JSONResponse(app.openapi())


def _add_refusals(app: FastAPI, house: House) -> None:
    """Say what went wrong: as JSON to programs, on a page to people."""

    @app.exception_handler(NotLoggedInError)
    def not_logged_in(request: Request, _: NotLoggedInError) -> Response:
        if _is_program(request):
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"detail": "log in, or send a token"}, 401, headers=headers)
        if "hx-request" in request.headers:  # a part of a page that asks by itself
            return Response(status_code=401, headers={"HX-Refresh": "true"})
        path = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
        target = quote(path + query, safe="/")
        return RedirectResponse(f"/login?next={target}", status_code=_SEE_OTHER)

    @app.exception_handler(NotAllowedError)
    def not_allowed(request: Request, error: NotAllowedError) -> Response:
        return _refusal(house, request, 403, str(error))

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> Response:
        return _refusal(house, request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        places = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        return _refusal(house, request, 422, f"cannot be read: {', '.join(places)}"[:500])

    @app.exception_handler(LedgerError)
    def ledger_away(request: Request, error: LedgerError) -> Response:
        return _refusal(house, request, 503, str(error))


def _failure(house: House, request: Request, reference: str) -> Response:
    """Return the answer to a request whose page failed; the log knows it by the reference."""
    if _is_program(request):
        detail = "this should not have happened; the node's log says where, under the reference"
        return JSONResponse({"detail": detail, "reference": reference}, status_code=500)
    return _refusal(house, request, 500, "", reference=reference)


def _refusal(
    house: House, request: Request, status: int, detail: str, *, reference: str = ""
) -> Response:
    if _is_program(request):
        return JSONResponse({"detail": detail}, status_code=status)
    if not hasattr(request.state, "visitor"):
        request.state.visitor = _visitor(house, request)
    is_bare = detail in {one.phrase for one in HTTPStatus}
    return house.pages.render(
        request,
        "fault.html",
        status=status,
        status_code=status,
        words=refusal_words(status),
        detail="" if is_bare else detail,
        reference=reference,
    )


def _visitor(house: House, request: Request) -> Visitor | None:
    """Return who asks for a page that there is not; nobody if that cannot be told."""
    try:
        return house.entry.visitor(request, method=request.method)
    except LedgerError:
        return None


def _is_program(request: Request) -> bool:
    path = request.url.path
    return path.startswith(API) or path.endswith((".json", ".png"))
