"""The status page: what the node holds, what it decided and why. Read-only, on this machine."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from dicom_node.web.probes import add_probes
from dicom_node.web.source import StatusSource
from dicom_node.web.watch_page import WatchSource, add_watch

#: Everything comes from this server, and nothing on the page runs as a script.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_STATIC = Path(__file__).parent / "static"


def create_app(
    source: StatusSource,
    *,
    title: str,
    watch: WatchSource | None = None,
    metrics: Callable[[], bytes] | None = None,
) -> FastAPI:
    """Return the web application.

    Parameters
    ----------
    source : StatusSource
        Answers what is shown.
    title : str
        AE title of the node, for the head of the page.
    watch : WatchSource, optional
        Answers what the page of the watch shows; without it there is none.
    metrics : Callable, optional
        Returns the metrics for Prometheus; without it there are none.
    """
    app = FastAPI(title=f"{title} status", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_with_headers)
    templates = Environment(
        loader=PackageLoader("dicom_node.web"), autoescape=select_autoescape(default=True)
    )
    templates.filters["seconds"] = _seconds
    _add_pages(app, source, templates=templates, title=title, watch=watch)
    _add_answers(app, source)
    add_probes(app, source, metrics=metrics)
    if watch is not None:
        add_watch(app, watch, templates=templates, title=title)
    return app


async def _with_headers(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response


def _add_pages(
    app: FastAPI,
    source: StatusSource,
    *,
    templates: Environment,
    title: str,
    watch: WatchSource | None,
) -> None:
    """Add what people read."""

    @app.get("/", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        html = templates.get_template("status.html").render(
            title=title,
            rows=source.rows(),
            health=source.health(),
            watch=watch is not None,
            alarms=() if watch is None else watch.standing(),
        )
        return HTMLResponse(html)

    @app.get("/series/{series_instance_uid}", response_class=HTMLResponse)
    def series(series_instance_uid: str) -> HTMLResponse:
        row = source.row(series_instance_uid)
        if row is None:
            raise HTTPException(404, "no such series")
        html = templates.get_template("series.html").render(
            title=title, row=row, events=source.timeline(series_instance_uid)
        )
        return HTMLResponse(html)

    @app.get("/style.css")
    def style() -> FileResponse:
        return FileResponse(_STATIC / "style.css", media_type="text/css")


def _add_answers(app: FastAPI, source: StatusSource) -> None:
    """Add what programs and pages ask for."""

    @app.get("/pictures/{job_id}.png")
    def picture(job_id: int) -> FileResponse:
        path = source.picture(job_id)
        if path is None:
            raise HTTPException(404, "no such picture")
        return FileResponse(path, media_type="image/png")

    @app.get("/status.json")
    def status() -> JSONResponse:
        return JSONResponse({"series": [row.as_dict() for row in source.rows()]})


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"
