"""Log-in by an OpenID provider of another maker, through its own pages.

The provider is the npm package oidc-provider, an OpenID Certified implementation. In a folder of
your own run ``npm install oidc-provider`` and name that folder in ``ICHNODE_OIDC_PROVIDER``.
"""

import os
import secrets
import shutil
import socket
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from web_builder import prepare, web_node

from dicom_node.settings.web import OidcRoles
from dicom_node.web.server import WebServer

pytestmark = pytest.mark.acceptance

PROGRAM = Path(__file__).parents[1] / "openid_peer.mjs"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    prepare(folder)
    with web_node(folder) as node:
        node.clock.now = datetime.now(UTC)
        server = WebServer(node.pages.app, host="127.0.0.1", port=0)
        server.start()
        node.base = f"http://127.0.0.1:{server.port}"
        yield node
        server.stop()


@contextmanager
def provider(node, folder, algorithm):
    """Run the provider, and have the node send people there; yields its address."""
    place = os.environ.get("ICHNODE_OIDC_PROVIDER", "")
    if not place or shutil.which("node") is None:
        pytest.skip("npm's oidc-provider not found: ICHNODE_OIDC_PROVIDER names its folder")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    secret = folder / "oidc.secret"
    secret.write_text(secrets.token_urlsafe(32))
    secret.chmod(0o600)
    done = f"{node.base}/login/openid/done"
    with (
        (folder / "provider.log").open("wb") as log,
        subprocess.Popen(
            ["node", PROGRAM, place, str(port), done, algorithm],
            env=os.environ | {"CLIENT_SECRET": secret.read_text()},
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            assert process.stdout.readline() == b"listening\n"
            settings = node.settings
            web = settings.web.model_copy(
                update={
                    "public_url": node.base,
                    "oidc_issuer": f"http://127.0.0.1:{port}",
                    "oidc_client_id": "ichnode",
                    "oidc_secret_file": str(secret),
                    "oidc_roles": OidcRoles(operator="it", viewer="radiology"),
                    "oidc_title": "Hospital",
                }
            )
            node.pages.use(settings.model_copy(update={"web": web}))
            yield f"http://127.0.0.1:{port}"
            node.pages.use(settings)
        finally:
            process.terminate()


@contextmanager
def browser(chromium):
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def through(page, node, person):
    """Log in as a person at the provider and agree."""
    page.goto(f"{node.base}/studies")
    page.click("text=Log in with Hospital")
    page.fill("[name=login]", person)
    page.fill("[name=password]", "any")
    page.click("button[type=submit]")
    page.click("text=Continue")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_people_come_by_a_provider_of_another_maker(node, chromium, tmp_path, algorithm):
    """Discovery, PKCE, either signature, groups from UserInfo; out, and in again unasked."""
    with provider(node, tmp_path, algorithm) as where, browser(chromium) as page:
        through(page, node, f"anna-{algorithm} choir radiology it")
        page.wait_for_url(f"{node.base}/studies")
        visitor = page.inner_text(".visitor").split()
        assert visitor[:2] == [f"anna-{algorithm.lower()}@oidc", "operator"]

        page.click("text=Log out")
        page.wait_for_url(f"{node.base}/login")
        page.goto(f"{node.base}/studies")
        assert urlsplit(page.url).path == "/login"
        page.click("text=Log in with Hospital")  # its own session stands: it asks nothing
        page.wait_for_url(f"{node.base}/studies")
        assert where not in page.url


def test_what_such_a_provider_says_is_not_believed_at_any_time_or_of_anybody(
    node, chromium, tmp_path
):
    """No role; clocks more than two minutes apart; a code that was brought twice."""
    with provider(node, tmp_path, "RS256"):
        with browser(chromium) as page:
            through(page, node, "otto choir")
            page.locator("[role=alert]", has_text="gives you no role").wait_for()
        for minutes, person in ((-3, "early it"), (15, "late it")):
            node.clock.now = datetime.now(UTC) + timedelta(minutes=minutes)
            with browser(chromium) as page:
                through(page, node, person)
                page.locator("[role=alert]", has_text="answer was refused").wait_for()
        node.clock.now = datetime.now(UTC) + timedelta(minutes=1)
        with browser(chromium) as page:
            seen = []
            page.on("request", lambda request: seen.append(request.url))
            through(page, node, "minute it")
            page.wait_for_url(f"{node.base}/studies")
            (back,) = [url for url in seen if "/login/openid/done" in url]
            page.goto(back)
            assert "took too long or began in another browser" in page.inner_text("main")
