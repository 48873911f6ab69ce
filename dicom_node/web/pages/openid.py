"""Log-in by a provider: the way there and the way back."""

import base64
import binascii
import logging
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from dicom_node.errors import AccountError, PeerError
from dicom_node.openid.sign_in import Identity
from dicom_node.users.secret import new_secret
from dicom_node.web.entry import address_of
from dicom_node.web.house import House
from dicom_node.web.rendering import safe_path
from dicom_node.web.sessions import welcome
from dicom_node.web.words import mark

LOGGER = logging.getLogger(__name__)

_SEE_OTHER = 303
_REFUSED, _AWAY = 403, 503

#: How long somebody may take at the provider's page.
_PATIENCE_S: Final = 600
_LONGEST_TARGET: Final = 500

_NOT_THERE = mark("The log-in provider cannot be reached. Accounts of this node still get in.")
_NOT_BELIEVED = mark("The log-in provider's answer was refused; the log of the node says why.")
_TOO_LATE = mark("This log-in took too long or began in another browser. Begin again.")


def add(house: House) -> None:
    """Add the two addresses; without a provider both lead to the log-in page."""

    @house.door.page("/login/openid", None)
    def leave(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
        openid = house.sources.openid()
        if openid is None:
            return RedirectResponse("/login", status_code=_SEE_OTHER)
        secret, target = new_secret(), safe_path(next)
        try:
            where = openid.begin(secret)
        except PeerError as error:
            LOGGER.warning("Nobody can log in by the provider: %s", error)
            return _sorry(house, request, _NOT_THERE, _AWAY, target)
        answer = RedirectResponse(where, status_code=_SEE_OTHER)
        kept = f"{secret}.{_packed(target)}"
        house.pages.set_cookie(answer, _cookie(house), kept, seconds=_PATIENCE_S)
        return answer

    @house.door.page("/login/openid/done", None)
    def come_back(request: Request) -> Response:
        if house.sources.openid() is None:
            return RedirectResponse("/login", status_code=_SEE_OTHER)
        answer = _answer(house, request)
        answer.delete_cookie(
            _cookie(house), path="/", secure=house.sources.site().is_secure, httponly=True
        )
        return answer


def _answer(house: House, request: Request) -> Response:
    secret, _, packed = request.cookies.get(_cookie(house), "").partition(".")
    target = _unpacked(packed)
    if not secret:
        return _sorry(house, request, _TOO_LATE, _REFUSED, target)
    address = address_of(request)
    try:
        who = _identity(house, request, secret)
    except PeerError as error:
        LOGGER.warning("Nobody can log in by the provider: %s", error)
        return _sorry(house, request, _NOT_THERE, _AWAY, target)
    except AccountError as error:
        LOGGER.warning("A log-in by the provider was refused: %s", error)
        house.sources.entrance.refuse(address=address)
        return _sorry(house, request, _NOT_BELIEVED, _REFUSED, target)
    try:
        session = house.sources.entrance.let_in(who.subject, who.name, who.role, address=address)
    except AccountError as error:
        return _sorry(house, request, str(error), _REFUSED, target)
    return welcome(house, session, target)


def _identity(house: House, request: Request, secret: str) -> Identity:
    openid = house.sources.openid()
    if openid is None:
        raise AccountError("there is no log-in provider any more")
    return openid.finish(secret, dict(request.query_params))


def _sorry(house: House, request: Request, fault: str, status: int, target: str) -> Response:
    return house.pages.render(
        request, "login.html", status=status, target=target, fault=fault, name=""
    )


def _cookie(house: House) -> str:
    return f"{house.sources.site().cookie}-openid"


def _packed(target: str) -> str:
    text = target if len(target) <= _LONGEST_TARGET else "/"
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _unpacked(packed: str) -> str:
    try:
        text = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
    except (binascii.Error, ValueError):
        return "/"
    return safe_path(text)
