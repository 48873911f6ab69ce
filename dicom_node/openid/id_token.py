"""Verification of ID tokens: who signed, for whom, when, and in answer to what.

Sources: RFC 7515 (signatures), RFC 7517 and 7518 (keys, RS256, ES256), RFC 8725 (what goes wrong
with them), OpenID Connect Core 1.0, section 3.1.3.7. Two algorithms are known and each fits one
kind of key, so that neither ``none`` nor a public key taken for a shared secret can pass.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from dicom_node.errors import AccountError
from dicom_node.users.secret import same

#: So far may the clocks of provider and node be apart.
SKEW: Final = timedelta(minutes=2)

#: A token is fetched right after it was made.
OLDEST: Final = timedelta(minutes=10)

_LONGEST: Final = 65536
_PARTS: Final = 3
_SHORTEST_RSA_KEY: Final = 2048
_LONGEST_RSA_KEY: Final = 16384
_P256_BYTES: Final = 32

#: Which kind of key each algorithm takes.
_KEY_TYPES: Final[Mapping[str, str]] = {"RS256": "RSA", "ES256": "EC"}

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


class UnknownKeyError(AccountError):
    """A token is signed with a key that is not among those of the provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say.

    Attributes
    ----------
    issuer : str
        Of the provider.
    client_id : str
        Of the node.
    nonce : str
        That was sent with the question.
    """

    issuer: str
    client_id: str
    nonce: str


def verified_claims(
    token: str, keys: Sequence[Mapping[str, Any]], expected: Expected, now: datetime
) -> Mapping[str, Any]:
    """Return the claims of an ID token that can be believed.

    Parameters
    ----------
    token
        In compact form (RFC 7515, section 3.1).
    keys
        The provider's JSON Web Keys.
    expected
        What it must say.
    now
        Aware.

    Raises
    ------
    UnknownKeyError
        If none of the keys is the one that it names.
    AccountError
        Saying what is wrong with it, without quoting it.
    """
    parts = token.split(".") if len(token) <= _LONGEST else []
    if len(parts) != _PARTS:
        raise AccountError("the ID token is not a signed one")
    header = json_object(_decoded(parts[0]))
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        raise AccountError("the ID token is not signed by RS256 or ES256")
    if "crit" in header:
        raise AccountError("the ID token demands extensions that are not known")
    key = _key_for(header.get("kid"), algorithm, keys)
    _check_signature(f"{parts[0]}.{parts[1]}".encode("ascii"), _decoded(parts[2]), algorithm, key)
    claims = json_object(_decoded(parts[1]))
    _check_claims(claims, expected, now)
    return claims


def json_object(text: bytes) -> Mapping[str, Any]:
    """Return a JSON object in which no name comes twice. Raises AccountError."""
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise AccountError("the provider sent something that is no JSON object") from None
    if not isinstance(found, dict):
        raise AccountError("the provider sent something that is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _decoded(text: object) -> bytes:
    """Return what stands in base64url without padding (RFC 7515, section 2)."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise AccountError("the ID token or a key is not in base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise AccountError("the ID token or a key is not in base64url") from None


def _key_for(
    key_id: object, algorithm: str, keys: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return the one key that fits: by its name, or because there is no other of its kind."""
    fitting = [
        key
        for key in keys
        if key.get("kty") == _KEY_TYPES[algorithm]
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and (key_id is None or key.get("kid") == key_id)
    ]
    if len(fitting) != 1:
        raise UnknownKeyError("the ID token is signed with a key that the provider does not show")
    return fitting[0]


def _check_signature(
    signed: bytes, signature: bytes, algorithm: str, key: Mapping[str, Any]
) -> None:
    try:
        if algorithm == "RS256":
            _rsa_key(key).verify(signature, signed, padding.PKCS1v15(), SHA256())
        else:
            _p256_key(key).verify(_as_der(signature), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise AccountError("the signature of the ID token is wrong") from None


def _as_der(signature: bytes) -> bytes:
    """Return the two numbers of a signature by ES256 (RFC 7518, section 3.4) as ASN.1."""
    if len(signature) != 2 * _P256_BYTES:
        raise InvalidSignature
    r, s = signature[:_P256_BYTES], signature[_P256_BYTES:]
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))


def _rsa_key(key: Mapping[str, Any]) -> rsa.RSAPublicKey:
    modulus, exponent = _decoded(key.get("n")), _decoded(key.get("e"))
    number = int.from_bytes(modulus)
    if not _SHORTEST_RSA_KEY <= number.bit_length() <= _LONGEST_RSA_KEY:
        raise AccountError(f"the provider's RSA key has less than {_SHORTEST_RSA_KEY} bits")
    try:
        return rsa.RSAPublicNumbers(int.from_bytes(exponent), number).public_key()
    except ValueError:
        raise AccountError("the provider's RSA key cannot be used") from None


def _p256_key(key: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    x, y = _decoded(key.get("x")), _decoded(key.get("y"))
    if key.get("crv") != "P-256":
        raise AccountError("the provider's key for ES256 is not on the curve P-256")
    try:
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()
        ).public_key()
    except ValueError:
        raise AccountError("the provider's key for ES256 cannot be used") from None


def _check_claims(claims: Mapping[str, Any], expected: Expected, now: datetime) -> None:
    if claims.get("iss") != expected.issuer:
        raise AccountError("the ID token is of another provider")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in audiences:
        raise AccountError("the ID token is for another program")
    if claims.get("azp", expected.client_id) != expected.client_id or (
        len(audiences) > 1 and "azp" not in claims
    ):
        raise AccountError("the ID token was given to another program")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not same(nonce, expected.nonce):
        raise AccountError("the ID token answers another log-in")
    present, skew = now.timestamp(), SKEW.total_seconds()
    if _moment(claims, "exp") <= present - skew:
        raise AccountError("the ID token has expired")
    issued = _moment(claims, "iat")
    if issued > present + skew:
        raise AccountError("the ID token is of the future; are the clocks of both right?")
    if issued < present - skew - OLDEST.total_seconds():
        raise AccountError("the ID token is too old; are the clocks of both right?")
    if "nbf" in claims and _moment(claims, "nbf") > present + skew:
        raise AccountError("the ID token does not hold yet; are the clocks of both right?")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise AccountError("the ID token names nobody")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AccountError(f"the ID token lacks {name}")
    return float(value)
