"""Models: their cards, those on trial beside those in use, and the steps between the two."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import HTTPException, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from dicom_node.errors import LedgerError, NodeError
from dicom_node.settings.file import SettingsError
from dicom_node.users.role import UserRole
from dicom_node.web.administration import NoSettingsFileError
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.model_source import ModelStanding, ModelWork, WrongMomentError
from dicom_node.web.settings_change import Text, Why, reason_of

_SEE_OTHER, _CONFLICT, _UNFIT = 303, 409, 422
_WhyAsked = Annotated[Why, Query()]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NewTrial(BaseModel):
    """Bundles to be tried: names of shipped ones, or folders on the node's machine."""

    model_config = ConfigDict(extra="forbid")

    bundles: Annotated[list[Text], Field(min_length=1, max_length=2)]
    why: Why = ""


class Promotion(BaseModel):
    """That the models on trial shall take over; `weights` are those that were looked at."""

    model_config = ConfigDict(extra="forbid")

    weights: Annotated[list[_Digest], Field(max_length=2)] | None = None
    why: Why = ""


def add(house: House) -> None:
    """Add the page of models, and the same for programs."""
    _add_pages(house)
    _add_answers(house)


def _add_pages(house: House) -> None:
    @house.door.page("/models", UserRole.VIEWER)
    def page(request: Request, fault: str = "", done: str = "") -> Response:
        return house.pages.render(
            request,
            "models.html",
            standing=_standing(house),
            fault=fault[:500],
            done=done == "ended",
            has_file=house.sources.desk.is_there,
        )

    @house.door.action("/models/trial", UserRole.OPERATOR)
    def begin(request: Request, form: Form) -> Response:
        fields = ("segmentation", "classification", "folder")
        bundles = [name for key in fields if (name := form.get(key, "").strip()[:1000])]
        return _back(lambda: _begin_trial(house, request, bundles, form.get("why", "")))

    @house.door.action("/models/trial/end", UserRole.OPERATOR)
    def end(request: Request, form: Form) -> Response:
        return _back(lambda: _end_trial(house, request, form.get("why", "")), done="ended")

    @house.door.action("/models/promotion", UserRole.ADMIN)
    def promote(request: Request, form: Form) -> Response:
        if not form.get("looked"):
            return _to(fault="say that you have looked at the comparison")
        seen = frozenset(form.get("weights", "").split())
        return _back(lambda: _begin_promotion(house, request, seen, form.get("why", "")))


def _add_answers(house: House) -> None:
    @house.door.answer("/models", UserRole.VIEWER)
    def models() -> Any:  # noqa: ANN401 - JSON
        """Return the models in use and on trial with their cards, comparison and history."""
        return jsonable_encoder(_standing(house).as_dict())

    @house.door.answer("/models/trial", UserRole.OPERATOR, method="POST", status=202)
    def begin(request: Request, trial: NewTrial) -> Any:  # noqa: ANN401 - JSON
        """Begin to load models and to put them on trial; `work` of /models tells how far it is."""
        return jsonable_encoder(
            _answered(lambda: _begin_trial(house, request, trial.bundles, trial.why))
        )

    @house.door.answer("/models/trial", UserRole.OPERATOR, method="DELETE")
    def end(request: Request, why: _WhyAsked = "") -> Any:  # noqa: ANN401 - JSON
        """Take models off trial; the answer is the change of the settings."""
        change = _answered(lambda: _end_trial(house, request, why))
        return jsonable_encoder(None if change is None else change.as_dict())

    @house.door.answer("/models/promotion", UserRole.ADMIN, method="POST", status=202)
    def promote(request: Request, promotion: Promotion) -> Any:  # noqa: ANN401 - JSON
        """Begin to load the models on trial and to let them take over."""
        seen = None if promotion.weights is None else frozenset(promotion.weights)
        return jsonable_encoder(
            _answered(lambda: _begin_promotion(house, request, seen, promotion.why))
        )


def _begin_trial(house: House, request: Request, bundles: list[str], why: str) -> ModelWork:
    who = visitor_of(request)
    work = house.sources.models.begin_trial(bundles, who=who.name, why=reason_of(why))
    house.sources.audit.intervened(
        who, f"asked for a trial of models: {', '.join(work.models)}", []
    )
    return work


def _end_trial(house: House, request: Request, why: str) -> Any:  # noqa: ANN401 - a change
    who = visitor_of(request)
    change = house.sources.models.end_trial(who=who.name, why=reason_of(why))
    house.sources.audit.intervened(who, "trial of models ended", [])
    return change


def _begin_promotion(
    house: House, request: Request, seen: frozenset[str] | None, why: str
) -> ModelWork:
    who = visitor_of(request)
    work = house.sources.models.begin_promotion(who=who.name, why=reason_of(why), seen=seen)
    house.sources.audit.intervened(who, f"asked to promote models: {', '.join(work.models)}", [])
    return work


def _standing(house: House) -> ModelStanding:
    try:
        return house.sources.models.look()
    except SettingsError as error:
        raise HTTPException(_CONFLICT, str(error)) from error


def _back(step: Callable[[], object], *, done: str = "begun") -> Response:
    """Take a step and show the page again, with what was refused."""
    try:
        step()
    except LedgerError:
        raise
    except (NodeError, SettingsError) as error:
        return _to(fault=str(error))
    return _to(done=done)


def _to(**query: str) -> Response:
    return RedirectResponse(f"/models?{urlencode(query)}", status_code=_SEE_OTHER)


def _answered(step: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the step returns
    """Take a step for a program. Raises HTTPException, LedgerError."""
    try:
        return step()
    except LedgerError:
        raise
    except (SettingsError, NoSettingsFileError, WrongMomentError) as error:
        raise HTTPException(_CONFLICT, str(error)) from error
    except NodeError as error:
        raise HTTPException(_UNFIT, str(error)) from error
