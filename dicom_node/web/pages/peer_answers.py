"""AE titles for programs: the same as the page, as JSON."""

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from fastapi.encoders import jsonable_encoder

from dicom_node.configuration.edits import ChangeEntry, Edit
from dicom_node.configuration.history import Change
from dicom_node.errors import UnknownEntryError
from dicom_node.users.role import UserRole
from dicom_node.web.door import visitor_of
from dicom_node.web.entry_fields import (
    KINDS,
    Entry,
    Kind,
    addition,
    entries,
    removal,
)
from dicom_node.web.house import House
from dicom_node.web.peer_test import tested_peer
from dicom_node.web.settings_change import NewValues, Why, answered, file_of

_Kind = Annotated[str, Path(pattern="^(dicom|web|caller)$")]
_Name = Annotated[str, Path(max_length=64)]
_Address = Annotated[str, Query(max_length=64)]
_WhyAsked = Annotated[Why, Query()]


def add(house: House) -> None:
    """Add the answers about AE titles."""
    _add_reading(house)
    _add_changes(house)


def _add_reading(house: House) -> None:
    @house.door.answer("/peers", UserRole.OPERATOR)
    def everyone() -> Any:  # noqa: ANN401 - JSON
        """Return peers, DICOMweb servers and callers as the settings file has them."""
        found = file_of(house)
        lists = {
            kind.name: [one.values for one in entries(found, kind)] for kind in KINDS.values()
        }
        return jsonable_encoder(
            {**lists, "digest": found.digest, "faults": [str(one) for one in found.faults]}
        )

    @house.door.answer("/card", UserRole.OPERATOR)
    def card() -> Any:  # noqa: ANN401 - JSON
        """Return what to enter at a PACS or scanner to know this node."""
        settings = house.sources.desk.in_force()
        return jsonable_encoder(house.sources.trials.card(settings).as_dict())

    @house.door.answer("/peers/{name}/test", UserRole.OPERATOR, method="POST")
    def test(request: Request, name: _Name) -> Any:  # noqa: ANN401 - JSON
        """Try a peer step by step; nothing is stored there."""
        return jsonable_encoder({"peer": name, "steps": tested_peer(house, request, name)})


def _changed(house: House, request: Request, edit: Edit, why: str, digest: str | None) -> Change:
    who = visitor_of(request).name
    return house.sources.desk.change([edit], who=who, why=why, digest=digest)


def _present(house: House, kind: Kind, name: str, address: str) -> Entry:
    """Return the entry that is meant. Raises UnknownEntryError, SettingsError."""
    marks = dict(zip(kind.marks, (name, address), strict=False))
    for one in entries(house.sources.desk.read(), kind):
        if one.has(marks):
            return one
    raise UnknownEntryError(f"there is no entry {name!r}")


def _add_changes(house: House) -> None:
    @house.door.answer("/peers/{kind}", UserRole.ADMIN, method="POST")
    def add_entry(request: Request, kind: _Kind, new: NewValues) -> Response:
        """Add a peer (dicom), a DICOMweb server (web) or a caller; the answer is the change."""
        edit = addition(KINDS[kind], new.values)
        return answered(lambda: _changed(house, request, edit, new.why, new.digest))

    @house.door.answer("/peers/{kind}/{name}", UserRole.ADMIN, method="PUT")
    def change_entry(
        request: Request, kind: _Kind, name: _Name, new: NewValues, address: _Address = ""
    ) -> Response:
        """Change keys of an entry; those that are not named stay."""

        def change() -> Change:
            entry = _present(house, KINDS[kind], name, address)
            edit = ChangeEntry(array=KINDS[kind].array, match=entry.match, values=new.values)
            return _changed(house, request, edit, new.why, new.digest)

        return answered(change)

    @house.door.answer("/peers/{kind}/{name}", UserRole.ADMIN, method="DELETE")
    def remove_entry(
        request: Request, kind: _Kind, name: _Name, address: _Address = "", why: _WhyAsked = ""
    ) -> Response:
        """Remove an entry; results that wait for a peer stay in the outbox."""

        def change() -> Change:
            entry = _present(house, KINDS[kind], name, address)
            return _changed(house, request, removal(KINDS[kind], entry), why, None)

        return answered(change)
