"""What the settings say of log-ins and sessions, in the words of `dicom_node.users`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from dicom_node.openid.provider import Client
from dicom_node.openid.sign_in import OpenIdSignIn
from dicom_node.settings.web import WebSettings
from dicom_node.users.entrance import SessionRules
from dicom_node.users.role import UserRole

#: Where the provider sends browsers back to; `dicom_node.web.pages.openid` answers there.
REDIRECT_PATH: Final = "/login/openid/done"


def session_rules(web: WebSettings) -> SessionRules:
    """Return how long sessions last."""
    return SessionRules(
        idle=timedelta(minutes=web.session_idle_min), longest=timedelta(hours=web.session_h)
    )


def openid_sign_in(web: WebSettings, clock: Callable[[], datetime]) -> OpenIdSignIn | None:
    """Return the log-in by a provider, None if the site has none."""
    if not web.oidc_issuer:
        return None
    client = Client(
        issuer=web.oidc_issuer,
        client_id=web.oidc_client_id,
        secret_file=Path(web.oidc_secret_file) if web.oidc_secret_file else None,
        redirect_uri=web.public_url + REDIRECT_PATH,
        scopes=web.oidc_scopes,
        trusted=Path(web.oidc_trusted) if web.oidc_trusted else None,
    )
    given = web.oidc_roles
    roles = {
        UserRole.VIEWER: given.viewer,
        UserRole.OPERATOR: given.operator,
        UserRole.ADMIN: given.admin,
    }
    return OpenIdSignIn(client, claim=web.oidc_claim, roles=roles, clock=clock)
