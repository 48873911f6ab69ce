"""A peer of the settings tried for whoever asks, on a page or by a program."""

from collections.abc import Sequence

from fastapi import HTTPException, Request

from dicom_node.association.peer_trial import TrialStep
from dicom_node.errors import UnknownEntryError
from dicom_node.settings.file import SettingsError
from dicom_node.web.door import visitor_of
from dicom_node.web.house import House


def tested_peer(house: House, request: Request, name: str) -> Sequence[TrialStep]:
    """Try a peer, note in the audit trail who did, and return the steps.

    Raises
    ------
    HTTPException
        404 if the settings name no such peer, 409 if they cannot be read.
    """
    try:
        steps = house.sources.trials.peer(house.sources.desk.settings(), name)
    except UnknownEntryError as error:
        raise HTTPException(404, str(error)) from error
    except SettingsError as error:
        raise HTTPException(409, str(error)) from error
    house.sources.audit.intervened(visitor_of(request), f"peer {name} tested", [])
    return steps
