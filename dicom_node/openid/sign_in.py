"""A log-in by OpenID Connect, from the question to who somebody is.

Nothing is kept between the two: state, nonce and PKCE verifier are derived from one secret in a
cookie of the browser, so that only the browser that began can end, and none of the three tells
another one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dicom_node.errors import AccountError
from dicom_node.openid.provider import Client, Provider
from dicom_node.users.role import UserRole
from dicom_node.users.secret import derived, digest_of, same

_STATE, _NONCE, _VERIFIER = "openid state", "openid nonce", "openid verifier"

_MOST_GROUPS: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is, as the provider says.

    Attributes
    ----------
    subject : str
        Digest of provider and subject; the same for the same person, for ever.
    name : str
        As people write it; may change.
    role : UserRole or None
        The highest one that the claim brings; None if it brings none.
    """

    subject: str
    name: str
    role: UserRole | None


class OpenIdSignIn:
    """Leads people through the log-in of a provider.

    Parameters
    ----------
    client
        How the node is known there.
    claim
        The claim that tells roles; dots lead into claims within claims.
    roles
        The value of the claim that each role needs.
    clock
        Returns the present as an aware time.
    """

    def __init__(
        self,
        client: Client,
        *,
        claim: str,
        roles: Mapping[UserRole, str],
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._claim = claim
        self._roles = roles
        self._provider = Provider(client, clock=clock)

    def begin(self, secret: str) -> str:
        """Return where the browser that holds this secret is sent. Raises PeerError."""
        return self._provider.authorization_url(
            state=derived(secret, _STATE),
            nonce=derived(secret, _NONCE),
            verifier=derived(secret, _VERIFIER),
        )

    def finish(self, secret: str, answer: Mapping[str, str]) -> Identity:
        """Return who came back.

        Parameters
        ----------
        secret
            Of the browser.
        answer
            The query that the provider sent it back with.

        Raises
        ------
        AccountError
            If the answer is for another browser, says no, or cannot be believed.
        PeerError
            If the provider cannot be asked.
        """
        if not secret or not same(answer.get("state", ""), derived(secret, _STATE)):
            raise AccountError("the answer belongs to a log-in of another browser")
        if answer.get("iss", self._client.issuer) != self._client.issuer:  # RFC 9207
            raise AccountError("the answer is of another provider")
        code = answer.get("code", "")
        if answer.get("error") or not code:
            raise AccountError("the provider let nobody in")
        claims = self._provider.claims(
            code,
            verifier=derived(secret, _VERIFIER),
            nonce=derived(secret, _NONCE),
            suffice=lambda claims: _at(claims, self._claim) is not None,
        )
        name = claims.get("preferred_username") or claims.get("email") or ""
        return Identity(
            subject=digest_of(f"{self._client.issuer}\n{claims['sub']}"),
            name=name if isinstance(name, str) else "",
            role=self._role(claims),
        )

    def probe(self) -> None:
        """Ask the provider what it is, now. Raises PeerError."""
        self._provider.probe()

    def _role(self, claims: Mapping[str, Any]) -> UserRole | None:
        found = _at(claims, self._claim)
        values = found[:_MOST_GROUPS] if isinstance(found, list) else [found]
        names = {value for value in values if isinstance(value, str) and value}
        held = [role for role in UserRole if self._roles.get(role, "") in names]
        return held[-1] if held else None


def _at(claims: Mapping[str, Any], path: str) -> object:
    """Return a claim by its name; if there is none, by the way that the dots lead."""
    if path in claims:
        return claims[path]
    found: object = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found
