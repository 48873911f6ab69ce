"""A peer tried for whoever asks, on a page or by a program: of the file, or as it was typed."""

from collections.abc import Sequence

from fastapi import HTTPException, Request

from dicom_node.association.peer_trial import TrialStep
from dicom_node.settings.schema import Settings
from dicom_node.web.door import visitor_of
from dicom_node.web.house import House
from dicom_node.web.trial_room import TrialRoomFullError


def begun_test(
    house: House, request: Request, name: str, settings: Settings, *, typed: bool = False
) -> int:
    """Begin to try a peer, note in the audit trail who does, and return the test's number.

    Parameters
    ----------
    house, request
        Where, and who asks.
    name
        Of the peer.
    settings
        In which it stands; they need not be those of the file.
    typed
        Whether they are not.

    Raises
    ------
    HTTPException
        404 if the settings name no such peer, 503 if too many are under way.
    """
    known = {one.name for one in settings.peers} | {one.name for one in settings.web_peers}
    if name not in known:
        raise HTTPException(404, f"the settings name no peer {name!r}")
    trials = house.sources.trials
    try:
        number = house.trial_room.start(name, lambda told: trials.peer(settings, name, told=told))
    except TrialRoomFullError as error:
        raise HTTPException(503, str(error)) from error
    words = f"peer {name} tested as it was typed" if typed else f"peer {name} tested"
    house.sources.audit.intervened(visitor_of(request), words, [])
    return number


def tested_peer(house: House, request: Request, name: str) -> Sequence[TrialStep]:
    """Try a peer of the file and return the steps when all of them are done.

    Raises
    ------
    HTTPException
        As `begun_test`; 500 if the test broke off.
    """
    view = house.trial_room.wait(begun_test(house, request, name, house.sources.desk.settings()))
    if view is None or view.fault:
        raise HTTPException(500, view.fault if view else "the test was forgotten")
    return view.steps
