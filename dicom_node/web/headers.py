"""What every answer carries, and what is too long to be read at all."""

from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Everything comes from this server; no script or style stands inside of a page.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

#: A browser that came by TLS once comes by TLS for a year (RFC 6797).
_STRICT_TRANSPORT: Final = "max-age=31536000"

#: No form of the node is longer.
LONGEST_BODY: Final = 256 * 1024


class SecurityHeaders:
    """Puts the headers on every answer; nothing is kept by a browser unless a page says so.

    Parameters
    ----------
    app
        What answers.
    is_secure
        Returns whether browsers come by TLS.
    """

    def __init__(self, app: ASGIApp, *, is_secure: Callable[[], bool]) -> None:
        self._app = app
        self._is_secure = is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if self._is_secure():
                    headers["Strict-Transport-Security"] = _STRICT_TRANSPORT
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses requests with a long body before anything of it is kept.

    Parameters
    ----------
    app
        What answers.
    limits
        Longest body by the beginning of the path, for those that take more than a form.
    """

    def __init__(self, app: ASGIApp, *, limits: dict[str, int]) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        limit = next(
            (most for begin, most in self._limits.items() if path.startswith(begin)), LONGEST_BODY
        )
        if _announced(scope) > limit:
            await _refuse(send, limit)
            return
        came, is_answered = 0, False

        async def counted() -> Message:
            nonlocal came, is_answered
            message = await receive()
            if message["type"] == "http.request":
                came += len(message.get("body", b""))
                if came > limit and not is_answered:
                    is_answered = True
                    await _refuse(send, limit)
                    return {"type": "http.disconnect"}
            return message

        async def send_once(message: Message) -> None:
            if not is_answered:
                await send(message)

        await self._app(scope, counted, send_once)


def _announced(scope: Scope) -> int:
    """Return how long a request says that its body is; 0 if it does not say."""
    text: bytes = dict(scope["headers"]).get(b"content-length", b"")
    return int(text) if text.isdigit() else 0


async def _refuse(send: Send, limit: int) -> None:
    words = f"the request is too long: at most {limit} bytes are read at this address".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(words)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": words})
