"""What the page of a refusal says above and below its reason: what it means, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from dicom_node.web.words import mark


@dataclass(frozen=True, slots=True)
class RefusalWords:
    """What a refusal is called, and what whoever meets it can do."""

    title: str
    advice: str = ""


_WORDS: Final[Mapping[int, RefusalWords]] = {
    HTTPStatus.BAD_REQUEST: RefusalWords(
        mark("That broke off"), mark("Go back and try it again.")
    ),
    HTTPStatus.FORBIDDEN: RefusalWords(
        mark("This is not allowed"),
        mark(
            "Load the page again. If a role is missing, ask an administrator for it, or log in as "
            "somebody who has it."
        ),
    ),
    HTTPStatus.NOT_FOUND: RefusalWords(
        mark("There is no such thing here"),
        mark("It may have been removed or purged, or the address is mistyped."),
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: RefusalWords(
        mark("There is nothing to be seen here"),
        mark("This address only does something: press the button of its page."),
    ),
    HTTPStatus.CONFLICT: RefusalWords(
        mark("Not as things stand"),
        mark("Something has changed meanwhile, or must be put right first. Look at it again."),
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RefusalWords(
        mark("That is too much at a time"), mark("Send it in smaller parts.")
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: RefusalWords(
        mark("What was entered cannot be used"),
        mark("Go back, put it right and send it again."),
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: RefusalWords(
        mark("This should not have happened"),
        mark(
            "It is a fault of the node, not yours; nothing that was received is lost. Try it once "
            "more. If it fails again, give the reference to whoever looks after the node: the log "
            "says where it failed."
        ),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: RefusalWords(
        mark("The node cannot do that at this moment"),
        mark(
            "Try it again in a minute. If it stays so, look at ichnode status and at the log of "
            "the node."
        ),
    ),
    HTTPStatus.INSUFFICIENT_STORAGE: RefusalWords(
        mark("There is no room on the node's disk"),
        mark("Make room first: ichnode retention plan says what may go."),
    ),
}


def refusal_words(status: int) -> RefusalWords:
    """Return what the page of a refusal says; of an unusual one what HTTP calls it."""
    try:
        return _WORDS.get(status) or RefusalWords(HTTPStatus(status).phrase)
    except ValueError:
        return RefusalWords(str(status))
