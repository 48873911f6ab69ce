"""Log-in, first password, log-out, another password, language and theme."""

from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from dicom_node.errors import AccountError
from dicom_node.users.password import SHORTEST
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.entry import address_of
from dicom_node.web.house import House
from dicom_node.web.language import COOKIE as LANGUAGE_COOKIE
from dicom_node.web.language import LANGUAGES
from dicom_node.web.pages import openid
from dicom_node.web.rendering import THEME_COOKIE, THEMES, safe_path
from dicom_node.web.sessions import welcome
from dicom_node.web.visitor import Way
from dicom_node.web.words import mark

_SEE_OTHER = 303
_REFUSED, _UNFIT = 403, 422
_YEAR_S = 365 * 86400

_DIFFERENT = mark("the two passwords are not the same")


def add(house: House) -> None:
    """Add the pages around log-in."""
    _add_log_in(house)
    _add_first(house)
    _add_account(house)
    _add_preferences(house)
    openid.add(house)


def _add_log_in(house: House) -> None:
    @house.door.page("/login", None)
    def log_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
        if request.state.visitor is not None and request.state.visitor.way is Way.SESSION:
            return RedirectResponse(safe_path(next), status_code=_SEE_OTHER)
        return house.pages.render(request, "login.html", target=safe_path(next), fault="", name="")

    @house.door.action("/login", None)
    def log_in(request: Request, form: Form) -> Response:
        target, name = safe_path(form.get("next", "/")), form.get("name", "")
        try:
            secret = house.sources.entrance.log_in(
                name, form.get("password", ""), address=address_of(request)
            )
        except AccountError as error:
            return house.pages.render(
                request,
                "login.html",
                status=_REFUSED,
                target=target,
                fault=str(error),
                name=name,
            )
        return welcome(house, secret, target)

    @house.door.action("/logout", None)
    def log_out(request: Request) -> Response:
        secret = house.entry.session_secret(request)
        if secret:
            house.sources.entrance.log_out(secret, address=address_of(request))
        answer = RedirectResponse("/login", status_code=_SEE_OTHER)
        answer.delete_cookie(house.sources.site().cookie, path="/")
        return answer


def _add_first(house: House) -> None:
    @house.door.page("/first", None)
    def first_page(request: Request) -> Response:
        return house.pages.render(request, "first.html", fault="", name="", shortest=SHORTEST)

    @house.door.action("/first", None)
    def first(request: Request, form: Form) -> Response:
        try:
            _check_same(form)
            secret = house.sources.entrance.set_first_password(
                form.get("name", ""),
                form.get("code", ""),
                form.get("password", ""),
                address=address_of(request),
            )
        except AccountError as error:
            return house.pages.render(
                request,
                "first.html",
                status=_REFUSED,
                fault=str(error),
                name=form.get("name", ""),
                shortest=SHORTEST,
            )
        return welcome(house, secret, "/")


def _add_account(house: House) -> None:
    @house.door.page("/account", UserRole.VIEWER)
    def account_page(request: Request) -> Response:
        return house.pages.render(request, "account.html", fault="", shortest=SHORTEST)

    @house.door.action("/account", UserRole.VIEWER)
    def account(request: Request, form: Form) -> Response:
        visitor = visitor_of(request)
        try:
            _check_same(form)
            secret = house.sources.entrance.change_password(
                visitor.name,
                form.get("old", ""),
                form.get("password", ""),
                address=visitor.address,
            )
        except AccountError as error:
            return house.pages.render(
                request, "account.html", status=_UNFIT, fault=str(error), shortest=SHORTEST
            )
        house.sources.audit.account_changed(visitor, visitor.name, "password")
        return welcome(house, secret, "/account")

    @house.door.answer("/session", UserRole.VIEWER)
    def who(request: Request) -> dict[str, str]:
        """Return who asks, and what that allows."""
        visitor = visitor_of(request)
        return {
            "name": visitor.name,
            "role": visitor.role.value,
            "way": visitor.way.value,
            "csrf": visitor.form_secret,
        }


def _add_preferences(house: House) -> None:
    @house.door.action("/preferences", None)
    def preferences(form: Form) -> Response:
        answer = RedirectResponse(safe_path(form.get("next", "/")), status_code=_SEE_OTHER)
        for field, cookie, known in (
            ("language", LANGUAGE_COOKIE, tuple(LANGUAGES)),
            ("theme", THEME_COOKIE, THEMES),
        ):
            if form.get(field) in known:
                house.pages.set_cookie(answer, cookie, form[field], seconds=_YEAR_S)
        return answer


def _check_same(form: Mapping[str, str]) -> None:
    if form.get("password", "") != form.get("again", ""):
        raise AccountError(_DIFFERENT)
