"""The only way to add a page: with the role that it needs. Nothing is open by oversight."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse

from dicom_node.users.role import UserRole
from dicom_node.web.entry import SAFE_METHODS, Entry
from dicom_node.web.visitor import Visitor

#: Where programs ask.
API: Final = "/api/v1"

#: Header that brings the secret of a form without a form.
FORM_HEADER: Final = "x-csrf-token"
FORM_FIELD: Final = "csrf"

_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 200
_NOT_MEANT: Final = "the form is too old or not from this page; load it again"

Endpoint = Callable[..., Any]


class NotLoggedInError(Exception):
    """Nobody asks, and somebody must."""


class NotAllowedError(Exception):
    """Somebody asks who may not; says why."""


class Door:
    """Adds pages, actions and answers to the application, each behind its role.

    Parameters
    ----------
    app
        The application.
    entry
        Knows visitors.
    """

    def __init__(self, app: FastAPI, entry: Entry) -> None:
        self._app = app
        self._entry = entry
        self.table: dict[tuple[str, str], UserRole | None] = {}

    def page(self, path: str, role: UserRole | None) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for what people read."""
        return self._adder("GET", path, role, in_schema=False, response_class=HTMLResponse)

    def action(self, path: str, role: UserRole | None) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for what a form of a page does."""
        return self._adder("POST", path, role, in_schema=False)

    def form_with_files(self, path: str, role: UserRole) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for what takes files from a form of a page.

        The endpoint reads the body as it comes. It calls `must_be_meant` with the form's first
        field before it keeps anything of the others.
        """
        return self._adder("POST", path, role, in_schema=False, reads_secret_itself=True)

    def must_be_meant(self, request: Request, secret: str) -> None:
        """Refuse a form that does not come from a page of the node. Raises NotAllowedError."""
        if not self._entry.is_meant(request, request.state.visitor, secret):
            raise NotAllowedError(_NOT_MEANT)

    def file(self, path: str, role: UserRole | None) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for pictures, styles and downloads."""
        return self._adder("GET", path, role, in_schema=False)

    def answer(
        self, path: str, role: UserRole | None, *, method: str = "GET", status: int = 200
    ) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for what programs ask; `path` is below ``/api/v1``.

        `status` is the code of an answer that is as it should be.
        """
        return self._adder(method, f"{API}{path}", role, in_schema=True, status_code=status)

    def probe(self, path: str) -> Callable[[Endpoint], Endpoint]:
        """Return a decorator for what monitors ask, of whom nothing is looked up."""

        def add(endpoint: Endpoint) -> Endpoint:
            self.table[("GET", path)] = None
            self._app.add_api_route(path, endpoint, methods=["GET"])
            return endpoint

        return add

    def uncovered(self) -> tuple[str, ...]:
        """Return the routes that were added past this door; there must be none."""
        routes = {
            (method, getattr(route, "path", str(route)))
            for route in self._app.routes
            for method in (getattr(route, "methods", None) or {"?"}) - {"HEAD"}
        }
        return tuple(sorted(f"{method} {path}" for method, path in routes - self.table.keys()))

    def _adder(
        self,
        method: str,
        path: str,
        role: UserRole | None,
        *,
        in_schema: bool,
        reads_secret_itself: bool = False,
        **options: Any,  # noqa: ANN401 - whatever a route of FastAPI takes
    ) -> Callable[[Endpoint], Endpoint]:
        def add(endpoint: Endpoint) -> Endpoint:
            self.table[(method, path)] = role
            self._app.add_api_route(
                path,
                endpoint,
                methods=[method],
                include_in_schema=in_schema,
                dependencies=[
                    Depends(self._guard(method, role, reads_secret_itself=reads_secret_itself))
                ],
                **options,
            )
            return endpoint

        return add

    def _guard(
        self, method: str, role: UserRole | None, *, reads_secret_itself: bool
    ) -> Callable[[Request], None] | Callable[[Request, str], None]:
        """Return what is asked before an endpoint is."""

        def look(request: Request) -> None:
            visitor = self._entry.visitor(request, method=method)
            request.state.visitor = visitor
            if role is None:
                return
            if visitor is None:
                raise NotLoggedInError
            if not visitor.may(role):
                raise NotAllowedError(f"this needs the role {role}; {visitor.name} has not got it")

        def look_twice(request: Request, sent: Annotated[str, Depends(_sent_secret)]) -> None:
            look(request)
            if not self._entry.is_meant(request, request.state.visitor, sent):
                raise NotAllowedError(_NOT_MEANT)

        return look if method in SAFE_METHODS or reads_secret_itself else look_twice


def visitor_of(request: Request) -> Visitor:
    """Return who asks, of an endpoint that needs a role."""
    visitor = request.state.visitor
    assert isinstance(visitor, Visitor)  # noqa: S101 - the guard has seen to it
    return visitor


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; of a field that comes twice the last one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM_TYPE:
        return {}
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return {}
    return dict(pairs)


#: The fields of a form, for an endpoint.
Form = Annotated[Mapping[str, str], Depends(form_of)]


async def _sent_secret(request: Request) -> str:
    sent = request.headers.get(FORM_HEADER)
    return sent if sent is not None else (await form_of(request)).get(FORM_FIELD, "")
