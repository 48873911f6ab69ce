"""Who a request comes from, by its token, cookie or address."""

import ipaddress
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection

from dicom_node.users.entrance import Entrance
from dicom_node.users.role import UserRole
from dicom_node.users.secret import derived, new_secret, same
from dicom_node.web.site import Site
from dicom_node.web.visitor import Visitor, Way

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

_FORM = "form"

#: A proxy on this machine speaks for others.
_PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Entry:
    """Knows visitors, and whether what they send was meant by them.

    Parameters
    ----------
    entrance
        Knows sessions and tokens.
    site
        Returns what the site wants, at this moment.
    """

    def __init__(self, entrance: Entrance, *, site: Callable[[], Site]) -> None:
        self._entrance = entrance
        self._site = site

    def visitor(self, request: HTTPConnection, *, method: str) -> Visitor | None:
        """Return who asks, None if nobody that is known. Raises LedgerError."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            person = self._entrance.token(token.strip())
            if person is None:
                return None
            return Visitor(
                name=person.name, role=person.role, way=Way.TOKEN, address=address_of(request)
            )
        secret = request.cookies.get(self._site().cookie, "")
        if secret:
            is_by_itself = method in SAFE_METHODS and "hx-request" in request.headers
            person = self._entrance.session(secret, touches=not is_by_itself)
            if person is not None:
                return Visitor(
                    name=person.name,
                    role=person.role,
                    way=Way.SESSION,
                    address=address_of(request),
                    form_secret=derived(secret, _FORM),
                )
        if self._site().open_on_loopback and method in SAFE_METHODS and _is_at_home(request):
            return Visitor(
                name="this machine",
                role=UserRole.VIEWER,
                way=Way.LOOPBACK,
                address=address_of(request),
            )
        return None

    def session_secret(self, request: HTTPConnection) -> str:
        """Return the secret of the session that a request brings; empty if none."""
        return request.cookies.get(self._site().cookie, "")

    def visit_cookie(self) -> str:
        """Return the name of the cookie that ties the log-in form to a browser."""
        return f"{self._site().cookie}-visit"

    def visit(self, request: HTTPConnection) -> str:
        """Return the secret of a browser that has not logged in; a new one if it has none."""
        return request.cookies.get(self.visit_cookie(), "") or new_secret()

    def is_meant(self, request: HTTPConnection, visitor: Visitor | None, sent: str) -> bool:
        """Return whether a request that changes something comes from a page of the node.

        Whoever brings a token is a program: no browser adds that by itself.
        """
        if visitor is not None and visitor.way is Way.TOKEN:
            return True
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        if visitor is not None:
            return bool(visitor.form_secret) and same(visitor.form_secret, sent)
        visit = request.cookies.get(self.visit_cookie(), "")
        return bool(visit) and same(derived(visit, _FORM), sent)

    @staticmethod
    def form_secret(visit: str) -> str:
        """Return what the log-in form brings back."""
        return derived(visit, _FORM)


def address_of(request: HTTPConnection) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client else ""


def _is_at_home(request: HTTPConnection) -> bool:
    """Return whether browser and name are this machine's: no proxy, no name of somebody else's.

    The name counts because a page of the web may give its own name this machine's address.
    """
    name = request.url.hostname or ""
    if any(header in request.headers for header in _PROXY_HEADERS):
        return False
    return _is_loopback(address_of(request)) and (name == "localhost" or _is_loopback(name))


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.strip("[]")).is_loopback
    except ValueError:
        return False
