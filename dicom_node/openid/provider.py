"""The OpenID provider: where it is asked, its keys, and the exchange of a code for a token.

Sources: OpenID Connect Discovery 1.0, RFC 6749 section 4.1, RFC 7636 (PKCE), RFC 9700. Every
request goes by TLS that names the provider, or stays on this machine; no redirection is followed.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from dicom_node.errors import AccountError, PeerError
from dicom_node.openid.id_token import Expected, UnknownKeyError, json_object, verified_claims
from dicom_node.secret_file import SecretFileError, read_secret
from dicom_node.web_address import hides_a_secret
from dicom_node.web_service import WebAnswer, WebService, request

_OK: Final = 200

#: What the provider says of itself is asked again after so long.
_HOLDS: Final = timedelta(hours=1)

#: A token with a key that is not known makes the node ask again, no more often than this.
_KEYS_AGAIN: Final = timedelta(minutes=1)

_PATIENCE_S: Final = 10.0
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")

#: RFC 6750, section 2.1.
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How the node is known to the provider.

    Attributes
    ----------
    issuer : str
        The provider, as it calls itself.
    client_id : str
        The node's name there.
    secret_file : Path or None
        Its secret; None for a client without one.
    redirect_uri : str
        Where the provider sends browsers back to.
    scopes : str
        What is asked for; ``openid`` among it.
    trusted : Path or None
        PEM: the authorities that are believed; None stands for the system's.
    """

    issuer: str
    client_id: str
    secret_file: Path | None
    redirect_uri: str
    scopes: str = "openid profile"
    trusted: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the provider said of itself, and when."""

    metadata: Mapping[str, Any]
    keys: tuple[Mapping[str, Any], ...]
    at: datetime


class Provider:
    """Asks an OpenID provider.

    Parameters
    ----------
    client
        How the node is known there.
    clock
        Returns the present as an aware time.
    """

    def __init__(self, client: Client, *, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Return where a browser is sent to log in.

        Raises
        ------
        PeerError
            If the provider does not say where that is.
        """
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        question = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": self._client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
        }
        address = str(self._current().metadata["authorization_endpoint"])
        joint = "&" if "?" in address else "?"
        return f"{address}{joint}{urlencode(question, quote_via=quote)}"

    def claims(
        self,
        code: str,
        *,
        verifier: str,
        nonce: str,
        suffice: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> Mapping[str, Any]:
        """Return what the provider says of whoever brought a code.

        Parameters
        ----------
        code
            As the browser brought it.
        verifier, nonce
            Of the question.
        suffice
            Whether the claims of the ID token are enough. If not, and the provider has an endpoint
            for UserInfo, its claims are added: in the code flow many providers tell there alone
            what a scope asks for (OpenID Connect Core 1.0, section 5.4).

        Raises
        ------
        PeerError
            If the provider does not answer.
        AccountError
            If it does not take the code, or its answer cannot be believed.
        """
        answer = self._exchanged(code, verifier)
        claims = self._believed(answer, nonce)
        where = self._current().metadata.get("userinfo_endpoint")
        if where is None or suffice(claims):
            return claims
        return {**self._user_info(where, answer.get("access_token"), claims["sub"]), **claims}

    def _believed(self, answer: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Return the claims of the ID token in an answer."""
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise AccountError("the provider sent no ID token")
        expected = Expected(
            issuer=self._client.issuer, client_id=self._client.client_id, nonce=nonce
        )
        known = self._current()
        try:
            return verified_claims(token, known.keys, expected, self._clock())
        except UnknownKeyError:
            if self._clock() - known.at < _KEYS_AGAIN:
                raise
        with self._lock:
            self._known = None
        return verified_claims(token, self._current().keys, expected, self._clock())

    def probe(self) -> None:
        """Ask the provider what it is, now. Raises PeerError."""
        with self._lock:
            self._known = self._ask()

    def _current(self) -> _Known:
        with self._lock:
            now = self._clock()
            if self._known is None or not timedelta() <= now - self._known.at < _HOLDS:
                self._known = self._ask()
            return self._known

    def _ask(self) -> _Known:
        address = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = self._document(address)
        if metadata.get("issuer") != self._client.issuer:
            raise PeerError(
                "the log-in provider calls itself otherwise than web.oidc_issuer; enter its "
                "issuer letter by letter"
            )
        for name in _ENDPOINTS:
            where = metadata.get(name)
            if not isinstance(where, str) or not _is_safe(where):
                raise PeerError(f"the log-in provider has no {name} that is asked by TLS")
        listed = self._document(str(metadata["jwks_uri"])).get("keys")
        if not isinstance(listed, list):
            raise PeerError("the log-in provider shows no keys")
        keys = tuple(key for key in listed if isinstance(key, dict))
        return _Known(metadata=metadata, keys=keys, at=self._clock())

    def _exchanged(self, code: str, verifier: str) -> Mapping[str, Any]:
        """Exchange a code for an answer that holds tokens (RFC 6749, section 4.1.3)."""
        client = self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "client_id": client.client_id,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        metadata = self._current().metadata
        if client.secret_file is not None:
            try:
                secret = read_secret(client.secret_file)
            except SecretFileError as error:
                raise PeerError(str(error)) from None
            methods = metadata.get("token_endpoint_auth_methods_supported")
            if isinstance(methods, list) and "client_secret_basic" not in methods:
                form["client_secret"] = secret
            else:
                pair = f"{quote_plus(client.client_id)}:{quote_plus(secret)}".encode("ascii")
                headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        answer = self._fetch(str(metadata["token_endpoint"]), headers, urlencode(form).encode())
        if answer.status in {400, 401, 403}:
            raise AccountError(
                f"the provider does not take the code or the node's secret (HTTP {answer.status})"
            )
        if answer.status != _OK:
            raise PeerError(f"the log-in provider answered HTTP {answer.status}")
        return json_object(answer.body)

    def _user_info(self, where: object, token: object, subject: str) -> Mapping[str, Any]:
        """Return what the provider says of a person (OpenID Connect Core 1.0, section 5.3)."""
        if not isinstance(where, str) or not _is_safe(where):
            raise PeerError("the log-in provider has no userinfo_endpoint that is asked by TLS")
        if not isinstance(token, str) or not _BEARER.fullmatch(token):
            raise AccountError("the provider sent no access token for UserInfo")
        found = self._document(where, {"Authorization": f"Bearer {token}"})
        if found.get("sub") != subject:  # section 5.3.2
            raise AccountError("UserInfo of the provider is about another person")
        return found

    def _document(
        self, address: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Mapping[str, Any]:
        answer = self._fetch(address, headers)
        if answer.status != _OK:
            raise PeerError(f"the log-in provider answered HTTP {answer.status}")
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise PeerError("the log-in provider answered something else than JSON")
        return found

    def _fetch(
        self, address: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> WebAnswer:
        parts = urlsplit(address)
        service = WebService(
            name="log-in provider",
            url=f"{parts.scheme}://{parts.netloc}",
            trusted=self._client.trusted,
            connect_timeout_s=_PATIENCE_S,
            response_timeout_s=_PATIENCE_S,
        )
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        return request(
            service,
            "GET" if body is None else "POST",
            path,
            headers={"Accept": "application/json", **headers},
            body=body,
        )


def _is_safe(address: str) -> bool:
    """Return whether what is sent there cannot be overheard, and the address is a plain one."""
    try:
        parts = urlsplit(address)
        is_plain = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    is_text = address.isascii() and address.isprintable() and " " not in address
    return is_plain and is_text and parts.scheme in {"https", "http"} and hides_a_secret(address)
