"""Deliveries: what is on its way to each destination, and an operator's say in it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import RedirectResponse

from dicom_node.errors import IllegalTransitionError, UnknownEntryError
from dicom_node.jobs.destination_ledger import DestinationStatus
from dicom_node.jobs.state import DeliveryState
from dicom_node.settings.schema import PeerSettings, WebPeerSettings
from dicom_node.users.role import UserRole
from dicom_node.web.door import Form, visitor_of
from dicom_node.web.house import House
from dicom_node.web.settings_change import reason_of
from dicom_node.web.visitor import Visitor
from dicom_node.web.worklist_rows import worklist_rows

#: What an operator may have to do something about.
_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD)

_MOST = 200
_SEE_OTHER = 303

_Number = Annotated[int, Path(ge=1, lt=2**31)]
_Text = Annotated[str, Query(max_length=64)]


def add(house: House) -> None:
    """Add the page of deliveries."""
    _add_pages(house)
    _add_acts(house)
    _add_answers(house)


def _add_pages(house: House) -> None:
    @house.door.page("/deliveries", UserRole.VIEWER)
    def page(
        request: Request, state: str = "", destination: str = "", fault: str = ""
    ) -> Response:
        return house.pages.render(
            request,
            "deliveries.html",
            rows=house.sources.deliveries.deliveries(
                states=_states(state), destination=destination or None, limit=_MOST
            ),
            destinations=_destinations(house),
            worklists=worklist_rows(house),
            states=[one.value for one in DeliveryState],
            asked={"state": state[:32], "destination": destination[:64]},
            most=_MOST,
            fault=fault[:300],
        )

    @house.door.page("/deliveries/{number}", UserRole.VIEWER)
    def one(request: Request, number: _Number) -> Response:
        return house.pages.render(request, "delivery.html", one=_delivery(house, number))


def _add_acts(house: House) -> None:
    @house.door.action("/deliveries/{number}/{act}", UserRole.OPERATOR)
    def act(request: Request, number: _Number, act: str) -> Response:
        try:
            _with_delivery(house, visitor_of(request), number, act)
        except HTTPException as error:
            return house.pages.render(
                request,
                "delivery.html",
                status=error.status_code,
                one=_delivery(house, number),
                fault=str(error.detail),
            )
        return RedirectResponse(f"/deliveries/{number}", status_code=_SEE_OTHER)

    @house.door.action("/destinations/{name}/{act}", UserRole.OPERATOR)
    def on_destination(request: Request, name: str, act: str, form: Form) -> Response:
        _with_destination(house, visitor_of(request), name, act, form.get("why", ""))
        return RedirectResponse("/deliveries", status_code=_SEE_OTHER)


def _add_answers(house: House) -> None:
    @house.door.answer("/deliveries", UserRole.VIEWER)
    def listed(state: _Text = "", destination: _Text = "") -> Any:  # noqa: ANN401 - JSON
        """Return deliveries that are not at their end, or those of one state; the newest 200."""
        rows = house.sources.deliveries.deliveries(
            states=_states(state), destination=destination or None, limit=_MOST
        )
        return jsonable_encoder(
            {
                "deliveries": [asdict(one) for one in rows],
                "destinations": [asdict(one) for one in _destinations(house)],
                "worklists": [asdict(one) for one in worklist_rows(house)],
            }
        )

    @house.door.answer("/deliveries/{number}", UserRole.VIEWER)
    def shown(number: _Number) -> Any:  # noqa: ANN401 - JSON
        """Return one delivery, with the negotiation if that was the reason."""
        return jsonable_encoder(asdict(_delivery(house, number)))

    @house.door.answer("/deliveries/{number}/{act}", UserRole.OPERATOR, method="POST")
    def told(request: Request, number: _Number, act: str) -> Any:  # noqa: ANN401 - JSON
        """Have a delivery tried now (retry), or give it up (cancel)."""
        _with_delivery(house, visitor_of(request), number, act)
        return jsonable_encoder(asdict(_delivery(house, number)))

    @house.door.answer("/destinations/{name}/{act}", UserRole.OPERATOR, method="POST")
    def directed(request: Request, name: str, act: str, why: _Text = "") -> dict[str, str]:
        """Hold a destination (with a reason), or release it."""
        _with_destination(house, visitor_of(request), name, act, why)
        return {"destination": name, "done": act}


def _states(text: str) -> tuple[DeliveryState, ...]:
    """Return which states are asked for: those that are open if none, all for ``any``."""
    if text == "any":
        return tuple(DeliveryState)
    return (DeliveryState(text),) if text in set(DeliveryState) else _OPEN


def _destinations(house: House) -> list[DestinationStatus]:
    """Return every destination: of the settings and of the ledger."""
    known = {one.name: one for one in house.sources.destinations.statuses()}
    for peer in _peers(house):
        known.setdefault(
            peer,
            DestinationStatus(
                name=peer,
                waiting=0,
                dead=0,
                held_at=None,
                held_reason="",
                broken_at=None,
                probe_at=None,
                reason="",
            ),
        )
    return sorted(known.values(), key=lambda one: one.name)


def _peers(house: House) -> list[str]:
    settings = house.sources.desk.in_force()
    peers: list[PeerSettings | WebPeerSettings] = [*settings.peers, *settings.web_peers]
    return [one.name for one in peers if one.receives_results]


def _delivery(house: House, number: int) -> Any:  # noqa: ANN401 - a row of the queue
    try:
        return house.sources.deliveries.delivery(number)
    except UnknownEntryError as error:
        raise HTTPException(404, "no such delivery") from error


def _with_delivery(house: House, visitor: Visitor, number: int, act: str) -> None:
    """Retry or cancel and take it down. Raises HTTPException."""
    sources, now = house.sources, house.sources.clock()
    queue = sources.deliveries
    acts: dict[str, Callable[[], object]] = {
        "retry": lambda: queue.retry([number], now),
        "cancel": lambda: queue.cancel([number], now),
    }
    if act not in acts:
        raise HTTPException(404, "no such action")
    destination = _delivery(house, number).destination
    try:
        acts[act]()
    except IllegalTransitionError as error:
        raise HTTPException(409, str(error)) from error
    if act == "retry":
        sources.destinations.probe_now(destination, now)
    word = "sent again" if act == "retry" else "cancelled"
    sources.audit.intervened(visitor, f"deliveries {word}: {number}", [])


def _with_destination(house: House, visitor: Visitor, name: str, act: str, why: str) -> None:
    """Hold or release and take it down. Raises HTTPException."""
    if act not in {"hold", "release"}:
        raise HTTPException(404, "no such action")
    if name not in {one.name for one in _destinations(house)}:
        raise HTTPException(404, "no such destination")
    if act == "hold":
        reason = reason_of(why)
        if not reason:
            raise HTTPException(422, "a hold needs a reason")
        house.sources.destinations.hold(name, reason, house.sources.clock())
    elif not house.sources.destinations.release(name):
        raise HTTPException(409, f"{name} is not held")
    word = "held" if act == "hold" else "released"
    house.sources.audit.intervened(visitor, f"{name} {word}", [])
