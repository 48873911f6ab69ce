"""Users and tokens: made, changed and removed by admins."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from fastapi import HTTPException, Path, Request, Response
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field

from dicom_node.errors import AccountError
from dicom_node.jobs.user_ledger import Account, Token
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.visitor import Visitor

Answer = TypeVar("Answer")

_REFUSED = 422

_Name = Annotated[str, Path(max_length=64)]
_Role = Literal["viewer", "operator", "admin"]


class NewUser(BaseModel):
    """A user to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    role: _Role = "viewer"


class NewRole(BaseModel):
    """What somebody may do from now on."""

    model_config = ConfigDict(extra="forbid")

    role: _Role


class NewToken(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    role: _Role = "viewer"
    days: Annotated[int, Field(ge=1, le=3650)] = 365


def add(house: House) -> None:
    """Add the page of users."""
    _add_page(house)
    _add_user_answers(house)
    _add_token_answers(house)


def _add_page(house: House) -> None:
    def show(
        request: Request,
        *,
        status: int = 200,
        fault: str = "",
        secret: Mapping[str, str] = MappingProxyType({}),
    ) -> Response:
        return house.pages.render(
            request,
            "users.html",
            status=status,
            users=house.sources.accounts.all(),
            tokens=house.sources.accounts.tokens(),
            roles=list(UserRole),
            now=house.sources.clock(),
            fault=fault,
            secret=secret,
        )

    @house.door.page("/users", UserRole.ADMIN)
    def page(request: Request) -> Response:
        return show(request)

    @house.door.action("/users", UserRole.ADMIN)
    def change(request: Request, form: Form) -> Response:
        """Do what a button says; secrets are on the answer, and nowhere else again."""
        act = _acts(_Desk(house, visitor_of(request)), form).get(form.get("act", ""))
        if act is None:
            raise HTTPException(404, "no such action")
        try:
            return show(request, secret=act())
        except AccountError as error:
            return show(request, status=_REFUSED, fault=str(error))


def _acts(desk: "_Desk", form: Mapping[str, str]) -> dict[str, Callable[[], dict[str, str]]]:
    """Return what the buttons of the page do, by their names; each returns what is shown once."""
    name, role = form.get("name", "").strip(), form.get("role", "")
    days = form.get("days", "")
    number = int(days) if days.isascii() and days.isdecimal() and len(days) < 6 else 0  # noqa: PLR2004 - more is refused
    return {
        "add": lambda: {"user": name, "code": desk.add(name, _role(role))},
        "code": lambda: {"user": name, "code": desk.new_code(name)},
        "role": lambda: desk.set_role(name, _role(role)),
        "remove": lambda: desk.remove(name),
        "add-token": lambda: {
            "token_name": name,
            "token": desk.add_token(name, _role(role), number),
        },
        "remove-token": lambda: desk.remove_token(name),
    }


def _add_user_answers(house: House) -> None:
    @house.door.answer("/users", UserRole.ADMIN)
    def everybody() -> Any:  # noqa: ANN401 - JSON
        """Return all users."""
        return jsonable_encoder([_user(one) for one in house.sources.accounts.all()])

    @house.door.answer("/users", UserRole.ADMIN, method="POST", status=201)
    def add_user(request: Request, new: NewUser) -> dict[str, str]:
        """Add a user; the answer has the one-time code that sets the password."""
        code = _or_refusal(
            lambda: _Desk(house, visitor_of(request)).add(new.name, UserRole(new.role))
        )
        return {"name": new.name, "role": new.role, "code": code}

    @house.door.answer("/users/{name}/role", UserRole.ADMIN, method="PUT")
    def set_role(request: Request, name: _Name, new: NewRole) -> dict[str, str]:
        """Change what a user may do."""
        _or_refusal(lambda: _Desk(house, visitor_of(request)).set_role(name, UserRole(new.role)))
        return {"name": name, "role": new.role}

    @house.door.answer("/users/{name}/code", UserRole.ADMIN, method="POST")
    def new_code(request: Request, name: _Name) -> dict[str, str]:
        """Take a user's password; the answer has the one-time code that sets another."""
        code = _or_refusal(lambda: _Desk(house, visitor_of(request)).new_code(name))
        return {"name": name, "code": code}

    @house.door.answer("/users/{name}", UserRole.ADMIN, method="DELETE")
    def remove(request: Request, name: _Name) -> dict[str, str]:
        """Remove a user with sessions and tokens."""
        _or_refusal(lambda: _Desk(house, visitor_of(request)).remove(name))
        return {"name": name}


def _add_token_answers(house: House) -> None:
    @house.door.answer("/tokens", UserRole.ADMIN)
    def tokens() -> Any:  # noqa: ANN401 - JSON
        """Return all tokens, without their secrets."""
        return jsonable_encoder([_token(one) for one in house.sources.accounts.tokens()])

    @house.door.answer("/tokens", UserRole.ADMIN, method="POST", status=201)
    def add_token(request: Request, new: NewToken) -> dict[str, str]:
        """Make a token; the answer is the only place where it ever stands."""
        token = _or_refusal(
            lambda: _Desk(house, visitor_of(request)).add_token(
                new.name, UserRole(new.role), new.days
            )
        )
        return {"name": new.name, "role": new.role, "token": token}

    @house.door.answer("/tokens/{name}", UserRole.ADMIN, method="DELETE")
    def remove_token(request: Request, name: _Name) -> dict[str, str]:
        """Remove a token."""
        _or_refusal(lambda: _Desk(house, visitor_of(request)).remove_token(name))
        return {"name": name}


class _Desk:
    """Changes accounts and takes down who did it."""

    def __init__(self, house: House, visitor: Visitor) -> None:
        self._accounts = house.sources.accounts
        self._audit = house.sources.audit
        self._visitor = visitor

    def add(self, name: str, role: UserRole) -> str:
        code = self._accounts.add(name, role, by=self._visitor.name)
        self._audit.account_changed(self._visitor, name, f"made with role {role}")
        return code

    def new_code(self, name: str) -> str:
        code = self._accounts.new_code(name)
        self._audit.account_changed(self._visitor, name, "password taken, one-time code given")
        return code

    def set_role(self, name: str, role: UserRole) -> dict[str, str]:
        self._accounts.set_role(name, role)
        self._audit.account_changed(self._visitor, name, f"role {role}")
        return {}

    def remove(self, name: str) -> dict[str, str]:
        self._accounts.remove(name)
        self._audit.account_changed(self._visitor, name, "removed")
        return {}

    def add_token(self, name: str, role: UserRole, days: int) -> str:
        token = self._accounts.add_token(name, role, days=days, by=self._visitor.name)
        self._audit.account_changed(self._visitor, name, f"token made with role {role}")
        return token

    def remove_token(self, name: str) -> dict[str, str]:
        self._accounts.remove_token(name)
        self._audit.account_changed(self._visitor, name, "token removed")
        return {}


def _or_refusal(act: Callable[[], Answer]) -> Answer:
    try:
        return act()
    except AccountError as error:
        raise HTTPException(_REFUSED, str(error)) from error


def _role(text: str) -> UserRole:
    try:
        return UserRole(text)
    except ValueError:
        raise AccountError("there is no such role") from None


def _user(one: Account) -> dict[str, object]:
    return {
        "name": one.name,
        "role": one.role,
        "created_at": one.created_at,
        "created_by": one.created_by,
        "password_set": bool(one.password),
        "code_until": one.code_until,
    }


def _token(one: Token) -> dict[str, object]:
    return {
        "name": one.name,
        "role": one.role,
        "created_at": one.created_at,
        "created_by": one.created_by,
        "expires_at": one.expires_at,
        "used_at": one.used_at,
    }
