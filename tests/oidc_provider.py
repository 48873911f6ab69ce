"""A small strict OpenID provider for tests: one client, one person, PKCE demanded.

It follows OpenID Connect Core 1.0 sections 3.1.2 and 3.1.3 and RFC 7636; whatever a test wants
wrong is changed by the hooks, and everything else that is wrong on the client's side is refused.
"""

import base64
import functools
import hashlib
import html
import json
import secrets
import ssl
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from served import served

CLIENT_ID = "ichnode"
CLIENT_SECRET = "a secret of the client: 100 % & more"  # noqa: S105 - of a test
ACCESS = "an-access.token_of~this+provider/1=="


def packed(data):
    """Return bytes, or an object as JSON, in base64url without padding."""
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def packed_number(number):
    return packed(number.to_bytes((number.bit_length() + 7) // 8, "big"))


@functools.cache
def rsa_key(bits, number):  # noqa: ARG001 - tells keys apart
    """Return a key; the same one for the same number, for making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class RsaSigner:
    """Signs by RS256."""

    algorithm = "RS256"

    def __init__(self, key_id="rsa-1", *, bits=2048, number=0):
        self.key_id = key_id
        self.key = rsa_key(bits, number)

    def jwk(self):
        numbers = self.key.public_key().public_numbers()
        n, e = packed_number(numbers.n), packed_number(numbers.e)
        return {"kty": "RSA", "kid": self.key_id, "use": "sig", "n": n, "e": e}

    def sign(self, data):
        return self.key.sign(data, padding.PKCS1v15(), SHA256())


class EcSigner:
    """Signs by ES256."""

    algorithm = "ES256"

    def __init__(self, key_id="ec-1"):
        self.key_id = key_id
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        numbers = self.key.public_key().public_numbers()
        x, y = (packed(one.to_bytes(32, "big")) for one in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "kid": self.key_id, "x": x, "y": y}

    def sign(self, data):
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(claims, signer, **header):
    """Return a token in compact form."""
    head = {"alg": signer.algorithm, "kid": signer.key_id, "typ": "JWT", **header}
    body = f"{packed(head)}.{packed(claims)}"
    return f"{body}.{packed(signer.sign(body.encode()))}"


class OidcProvider:
    """What the provider knows, and what a test changes of it.

    Attributes
    ----------
    claims : dict
        Of the person; None takes a standard claim away.
    make_token : callable
        Makes the token of claims.
    metadata : dict
        Changes what the provider says of itself.
    user_info : dict or None
        What the provider says of the person to whoever shows the access token; None for no such
        endpoint.
    token_status : int or None
        Answer of the token endpoint instead of a token.
    page : str
        HTML that people see first, with ``{target}`` for where their yes leads; empty for none.
    """

    def __init__(self, *, redirect_uri, clock):
        self.redirect_uri = redirect_uri
        self.clock = clock
        self.signer = RsaSigner()
        self.shown = [self.signer]
        self.claims = {"sub": "248289761001", "preferred_username": "Anna"}
        self.make_token = lambda claims: signed(claims, self.signer)
        self.metadata = {}
        self.user_info = None
        self.token_status = None
        self.page = ""
        self.asked = []
        self.issuer = ""
        self._codes = {}

    def authorize(self, query):
        """Log the person in and return where the browser goes, if the client asks as it should."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["redirect_uri"] == self.redirect_uri
        assert "openid" in query["scope"].split(" ")
        assert query["code_challenge_method"] == "S256"
        assert len(query["code_challenge"]) == 43
        assert len(query["state"]) >= 32
        assert len(query["nonce"]) >= 32
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{self.redirect_uri}?{urlencode(answer)}"

    def token(self, form, authorization):
        """Return status and answer of the token endpoint."""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        name, _, secret = pair.partition(":")
        known = parse_qs(f"{name}={secret}")
        asked = self._codes.pop(form.get("code"), None)
        challenge = packed(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        is_right = (
            known == {CLIENT_ID: [CLIENT_SECRET]}
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == self.redirect_uri
            and asked is not None
            and asked["code_challenge"] == challenge
        )
        if not is_right:
            return 400, {"error": "invalid_grant"}
        now = int(self.clock().timestamp())
        standard = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
        }
        claims = {k: v for k, v in {**standard, **self.claims}.items() if v is not None}
        token = self.make_token(claims)
        return 200, {"id_token": token, "token_type": "Bearer", "access_token": ACCESS}

    def documents(self):
        more = {} if self.user_info is None else {"userinfo_endpoint": f"{self.issuer}/me"}
        return {
            "/realm/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **more,
                **self.metadata,
            },
            "/realm/keys": {"keys": [one.jwk() for one in self.shown]},
        }


def _handler(provider):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def _answer(self, status, document):
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _let_in(self, target):
            page = provider.page.format(target=html.escape(target)).encode()
            self.send_response(200 if page else 303)
            self.send_header("Location", target)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def do_GET(self):
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            if parts.path == "/realm/authorize":
                query = {key: value for key, (value,) in parse_qs(parts.query).items()}
                self._let_in(provider.authorize(query))
                return
            is_shown = self.headers.get("Authorization") == f"Bearer {ACCESS}"
            if parts.path == "/realm/me":
                self._answer(*((200, provider.user_info) if is_shown else (401, {})))
                return
            document = provider.documents().get(parts.path)
            self._answer(*((200, document) if document else (404, {})))

        def do_POST(self):
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {key: value for key, (value,) in parse_qs(body).items()}
            if provider.token_status is not None:
                self._answer(provider.token_status, {})
                return
            self._answer(*provider.token(form, self.headers.get("Authorization", "")))

    return Handler


@contextmanager
def oidc_provider(*, redirect_uri, clock, tls=None):
    """Run a provider on this machine; `tls` is a certificate with its key."""
    provider = OidcProvider(redirect_uri=redirect_uri, clock=clock)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    provider.issuer = f"{scheme}://127.0.0.1:{server.server_address[1]}/realm"
    with served(server):
        yield provider
