"""How a page or a program changes the settings file: what it says to those who ask."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dicom_node.configuration.desk import (
    ConfigurationFile,
    NothingToChangeError,
    StaleConfigurationError,
    UnknownChangeError,
)
from dicom_node.configuration.edits import Edit, SetValue
from dicom_node.configuration.effects import effect_of
from dicom_node.configuration.history import Change
from dicom_node.errors import NodeError, UnknownEntryError
from dicom_node.settings.file import SettingsError
from dicom_node.web.administration import NoSettingsFileError
from dicom_node.web.house import House

LONGEST_REASON: Final = 200

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _readable(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("control characters cannot stand in a settings file")
    return text


#: A text that may be written into the settings.
Text = Annotated[str, Field(max_length=1000), AfterValidator(_readable)]

#: A reason for the history.
Why = Annotated[str, Field(max_length=LONGEST_REASON), AfterValidator(_readable)]

#: A key of a table.
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

_Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
_Decimal = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]

#: A value of a key; none gives it its default back.
Value = bool | _Number | _Decimal | Text | list[Text] | None

_Single = bool | _Number | _Decimal | Text
_Table = Annotated[
    dict[Key, _Single | Annotated[list[Text], Field(max_length=100)]], Field(max_length=40)
]

#: A value of whatever key there is: a single one, a list of such or of tables, or a table.
AnyValue = _Single | Annotated[list[_Single | _Table], Field(max_length=500)] | _Table | None


class Reasoned(BaseModel):
    """What every change of the settings may say."""

    model_config = ConfigDict(extra="forbid")

    why: Why = ""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class NewValues(Reasoned):
    """Keys of an entry and what they shall be."""

    values: Annotated[dict[Key, Value], Field(max_length=40)]


def file_of(house: House) -> ConfigurationFile:
    """Return the settings file as it is now. Raises HTTPException (409) if there is none."""
    try:
        return house.sources.desk.read()
    except (NoSettingsFileError, SettingsError) as error:
        raise HTTPException(409, str(error)) from error


def reason_of(text: str) -> str:
    """Return what a form gave as a reason, as the history takes it."""
    return _UNPRINTABLE.sub(" ", text).strip()[:LONGEST_REASON]


def effects_of(edits: Sequence[Edit]) -> tuple[str, ...]:
    """Return when edits take effect, each answer once."""
    found = []
    for edit in edits:
        if isinstance(edit, SetValue):
            found.append(effect_of(edit.table, edit.key))
        else:
            table, _, key = edit.array.partition(".")
            found.append(effect_of(table, key))
    return tuple(dict.fromkeys(one.value for one in found))


def status_of(error: Exception) -> int:
    """Return the code of the answer that says why a change was not made."""
    if isinstance(error, UnknownEntryError | UnknownChangeError):
        return 404
    if isinstance(error, StaleConfigurationError | NoSettingsFileError | NothingToChangeError):
        return 409
    return 422 if isinstance(error, SettingsError) else 503


def answered(change: Callable[[], Change]) -> JSONResponse:
    """Make a change for a program and say what came of it, every fault by its key."""
    try:
        made = change()
    except (SettingsError, NodeError) as error:
        return fault_answer(error)
    return JSONResponse(made.as_dict())


def fault_answer(error: Exception) -> JSONResponse:
    """Say to a program why nothing was changed, every fault by its key."""
    faults = error.faults if isinstance(error, SettingsError) else ()
    document = {
        "detail": str(error),
        "faults": [
            {"key": one.key, "found": one.found, "expected": one.expected} for one in faults
        ],
    }
    return JSONResponse(document, status_code=status_of(error))
