"""What nobody foresaw: a request whose page failed is answered with a reference to the log.

The reference stands in the log beside the place in the code. Type and frames of the exception are
told there, not its message: it may quote a patient.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.errors import stack_of

LOGGER = logging.getLogger(__name__)

_INTERNAL_SERVER_ERROR: Final = 500

#: Returns the answer to a request that failed, which names a reference.
Answer = Callable[[Request, str], Response]


def new_reference() -> str:
    """Return a reference that a person can read out on the telephone."""
    return secrets.token_hex(4).upper()


class Unforeseen:
    """Answers instead of a page that failed.

    It lies within what puts headers on answers, so that this one carries them, too.

    Parameters
    ----------
    app
        What fails.
    answer
        Makes the answer; where it fails itself, one line of text is sent.
    """

    def __init__(self, app: ASGIApp, *, answer: Answer) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_begun = False

        async def noted(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - whatever it is, it was not foreseen
            reference = new_reference()
            LOGGER.error(  # noqa: TRY400 - without the message, which may quote a patient
                "Reference %s: %s %s failed: %s",
                reference,
                scope.get("method"),
                _address(scope),
                stack_of(error),
            )
            if is_begun:
                return  # the server closes the connection of an answer that is cut short
            answer = await run_in_threadpool(self._answered, Request(scope, receive), reference)
            await answer(scope, receive, send)

    def _answered(self, request: Request, reference: str) -> Response:
        try:
            return self._answer(request, reference)
        except Exception as error:  # noqa: BLE001 - what failed may be what every page needs
            LOGGER.error("Reference %s: no page for it: %s", reference, stack_of(error))  # noqa: TRY400 - as above
            words = f"This should not have happened. Reference for the log: {reference}\n"
            return PlainTextResponse(words, status_code=_INTERNAL_SERVER_ERROR)


def _address(scope: Scope) -> str:
    """Return the pattern of the address: what was filled in may be what somebody looked for."""
    return str(getattr(scope.get("route"), "path", "an address"))
