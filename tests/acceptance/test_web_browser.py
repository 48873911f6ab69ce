"""The pages in a browser: as people meet them, on a desk and on a phone, and what axe says."""

import re
import zipfile
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from node_builders import file_bytes, small_series
from oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider
from web_builder import PASSWORD, PNG, finish, prepare, web_node

from dicom_node.bootstrap.layout import KEY_SLICE_NAME, DataLayout
from dicom_node.settings.web import OidcRoles
from dicom_node.users.role import UserRole
from dicom_node.web.server import WebServer

axe_playwright = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)

pytestmark = pytest.mark.acceptance

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 740}
PATIENCE_MS = 60_000

#: Chromium says on its console what a page was answered with.
REFUSALS = ("404 (Not Found)", "403 (Forbidden)")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    prepare(folder)
    layout = DataLayout(root=folder)
    (summary,) = layout.summaries.iterdir()
    (summary / KEY_SLICE_NAME).write_bytes(PNG)
    with web_node(folder, viewer_url="http://viewer.example/?s={study_instance_uid}") as node:
        server = WebServer(node.pages.app, host="127.0.0.1", port=0)
        server.start()
        node.base = f"http://127.0.0.1:{server.port}"
        yield node
        server.stop()


@pytest.fixture
def open_page(chromium, node):
    """Return what opens a page in a fresh browser; nothing may be said on its console."""
    said, contexts = [], []

    def opened(size=DESK, *, scheme="light", name=None, **options):
        context = chromium.new_context(viewport=size, color_scheme=scheme, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if _is_foreign(request) else 0)
        if name is not None:
            page.goto(f"{node.base}/login")
            page.fill("#name", name)
            page.fill("#password", PASSWORD)
            page.click("main button")
            page.wait_for_url(f"{node.base}/")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [words for words in said if not any(code in words for code in REFUSALS)] == []


def _is_foreign(request):
    return urlsplit(request.url).hostname not in {"127.0.0.1", "localhost"}


def test_a_newcomer_sets_a_password_and_looks_around(node, open_page):
    """From the one-time code to a study, by what stands on the pages."""
    code = node.pages.accounts.add("newcomer", UserRole.VIEWER, by="test")
    page = open_page()

    page.goto(f"{node.base}/studies/{node.study}")
    page.click("text=I have a one-time code")
    page.fill("#name", "newcomer")
    page.fill("#code", code.lower())
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"{node.base}/")
    page.click("nav >> text=Studies")
    page.select_option("#outcome", "hematoma_found")
    page.click('main button:has-text("Search")')
    page.wait_for_url(re.compile("outcome=hematoma_found"))
    page.click("table a >> nth=0")
    page.wait_for_selector("img.picture")

    assert page.url == f"{node.base}/studies/{node.study}"
    assert page.is_visible("img.picture")
    assert page.locator("text=Make urgent").count() == 0
    link = page.get_by_text("Open in the viewer").get_attribute("href")
    assert link == f"http://viewer.example/?s={node.study}"


def test_people_come_by_the_providers_page(node, open_page, tmp_path):
    """Another site asks them and sends them back: to the page they wanted, or to the reason."""
    done, secret = f"{node.base}/login/openid/done", tmp_path / "oidc.secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    with oidc_provider(redirect_uri=done, clock=node.clock) as provider:
        provider.page = '<a href="{target}">Yes, that is me</a>'
        elsewhere = provider.issuer.replace("127.0.0.1", "localhost")
        provider.metadata = {"authorization_endpoint": f"{elsewhere}/authorize"}
        provider.claims["groups"] = ["it"]
        use_web(
            node,
            public_url=node.base,
            oidc_issuer=provider.issuer,
            oidc_client_id=CLIENT_ID,
            oidc_secret_file=str(secret),
            oidc_roles=OidcRoles(operator="it"),
            oidc_title="Hospital",
        )
        page = open_page()
        page.goto(f"{node.base}/studies/{node.study}")
        page.click("text=Log in with Hospital")
        page.wait_for_url(f"{elsewhere}/authorize?**")
        page.click("text=Yes, that is me")
        page.wait_for_url(f"{node.base}/studies/{node.study}")
        assert page.inner_text(".visitor").split()[:2] == ["anna@oidc", "operator"]
        assert page.is_visible("text=Make urgent")
        page.click("text=Log out")
        page.wait_for_url(f"{node.base}/login")

        provider.claims["groups"] = ["choir"]
        page.click("text=Log in with Hospital")
        page.click("text=Yes, that is me")
        page.locator("[role=alert]", has_text="gives you no role").wait_for()
        page.goto(f"{node.base}/studies")
        assert urlsplit(page.url).path == "/login"
    use_web(node)


def use_web(node, **web):
    """Have the pages go by other settings."""
    settings = node.settings
    node.pages.use(settings.model_copy(update={"web": settings.web.model_copy(update=web)}))


def test_a_result_appears_by_itself(node, open_page):
    """A page that stays open shows what happens; nobody presses anything."""
    page = open_page(name="vera")
    page.goto(f"{node.base}/studies?text={node.waiting}")
    assert page.inner_text("td .state") == "queued"

    finish(node.ledger, node.clock, DataLayout(root=node.settings.node.data_dir))

    page.wait_for_selector("td .state.delivered")
    assert "23.5 mL" in page.inner_text("table")


def test_an_operator_hurries_and_is_asked_before_a_repeat(node, open_page):
    """The question of the browser stops what was not meant."""
    page = open_page(name="otto")
    page.goto(f"{node.base}/studies/{node.study}")
    page.click("text=Make urgent")
    page.wait_for_selector("text=No longer urgent")

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("text=Analyse again")

    assert page.url == f"{node.base}/studies/{node.study}"
    found = node.pages.sources.studies.study(node.study)
    assert [one.job.job_id for one in found.series] == [node.job]
    page.click("text=No longer urgent")
    page.wait_for_selector("text=Make urgent")


def test_an_object_is_downloaded_as_dicom(node, open_page, tmp_path):
    """By the name of its UID."""
    page = open_page(name="vera")
    page.goto(f"{node.base}/studies/{node.study}")

    with page.expect_download() as waiting:
        page.click("a[download] >> nth=0")
    waiting.value.save_as(tmp_path / "one.dcm")

    assert waiting.value.suggested_filename.endswith(".dcm")
    assert (tmp_path / "one.dcm").read_bytes()[128:132] == b"DICM"


def test_language_and_theme_are_chosen_without_a_button(node, open_page):
    """And stay for the next page."""
    page = open_page(name="vera")
    page.select_option("#language", "zh")
    page.wait_for_selector("text=概览")
    page.select_option("#theme", "dark")
    page.wait_for_selector("html[data-theme=dark]")
    page.goto(f"{node.base}/studies")

    assert page.inner_text("h1") == "检查"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", ground)) < 40


def test_everything_can_be_reached_by_keyboard(node, open_page):
    """The first stop leads past the head to the content; log-in ends with Enter."""
    page = open_page()
    page.goto(f"{node.base}/login")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    page.focus("#name")
    page.keyboard.type("vera")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{node.base}/")


def test_a_session_that_ended_leads_to_the_log_in(node, open_page):
    """The open page does not stay with what it showed."""
    page = open_page(name="vera")
    node.clock.turn(timedelta(hours=2).total_seconds())

    page.goto(f"{node.base}/studies")

    assert urlsplit(page.url).path == "/login"


def test_a_key_image_is_seen_as_a_whole(node, open_page):
    """It fits into the window of a desk; a larger one is scrolled in its frame."""
    page = open_page(name="vera")
    address = f"{node.base}/studies/{node.study}/images/{node.job}/largest"

    page.goto(address)
    box = page.locator(".zoom img").bounding_box()
    page.goto(f"{address}?zoom=400")
    whole, seen = page.evaluate(
        "(({scrollHeight, clientHeight}) => [scrollHeight, clientHeight])"
        "(document.querySelector('.zoom'))"
    )

    assert box["y"] + box["height"] <= DESK["height"]
    assert box["height"] > DESK["height"] / 2
    assert whole == pytest.approx(4 * seen, rel=0.02)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_sticks_out(node, open_page, size, scheme):
    """WCAG 2.2 AA and best practices on each page; no page is wider than its screen."""
    page = open_page(size, scheme=scheme)
    for path in ("/login", "/first"):
        page.goto(node.base + path)
        check(page)
    page = open_page(size, scheme=scheme, name="anna")
    study = f"/studies/{node.study}"
    paths = ("/peers", "/peers/dicom/form", "/peers/caller/form?ae_title=CT1", "/routing")
    paths += (f"/routing?study={node.study}", "/deliveries", "/deliveries/1", "/configuration")
    paths += ("/audit", "/models", "/api", "/configuration/set?key=urgent.rules")
    paths += (f"{study}/images/{node.job}/largest?zoom=200",)
    paths += ("/", "/studies", study, "/upload", "/watch", "/users", "/account", "/nowhere")
    for path in paths:
        answer = page.goto(node.base + path)
        assert answer.status == (404 if path == "/nowhere" else 200)
        check(page)


def check(page):
    found = axe_playwright.Axe().run(page).response["violations"]
    told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
    assert told == [], page.url
    wide, shown = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= shown, page.url


def test_an_admin_tries_a_peer_and_sets_a_key(node, open_page):
    """The steps of the test come by themselves; what would change is seen before it is saved."""
    page = open_page(name="anna")
    page.goto(node.base + "/peers/dicom/form")
    for key, value in {"name": "x", "ae_title": "X", "host": "127.0.0.1", "port": "1"}.items():
        page.fill(f"#f-{key}", value)
    page.click("text=Test before saving")
    page.locator("#trial", has_text="ask whether the DICOM service runs").wait_for()
    assert page.input_value("#f-ae_title") == "X"
    check(page)

    page.goto(node.base + "/configuration/set")
    page.select_option("#key", "web.session_h")
    page.wait_for_url(re.compile("key=web.session_h"))
    page.fill("#value", "7")
    page.click("text=Look at the change")
    page.locator("pre .added", has_text="session_h = 7").wait_for()
    check(page)
    page.click("button:has-text('Save')")
    page.locator("[role=status]", has_text="web.session_h was changed.").wait_for()


def test_files_are_uploaded_without_javascript(node, open_page, tmp_path):
    """The answer says what became of each."""
    names = [tmp_path / f"{number}.dcm" for number in range(2)]
    for name, image in zip(names, small_series(seed=71, study_uid="1.2.71"), strict=False):
        name.write_bytes(file_bytes(image))
    page = open_page(name="otto", java_script_enabled=False)
    page.goto(node.base + "/upload")

    page.set_input_files("#files", names)
    page.locator("#upload button").click()

    page.locator("[role=status]", has_text="2 images were taken").wait_for()
    assert page.locator("a", has_text="1.2.71").count() == 1


def test_files_and_archives_are_uploaded_from_the_page(node, open_page, tmp_path):
    """An archive and a text are chosen; the page counts, names what was not taken, and goes on."""
    archive, text = tmp_path / "study.zip", tmp_path / "notes.txt"
    text.write_text("hello")
    with zipfile.ZipFile(archive, "w") as made:
        for number, image in enumerate(small_series(seed=70, study_uid="1.2.70")):
            made.writestr(f"IM{number}", file_bytes(image))
    page = open_page(name="otto")
    page.goto(node.base + "/upload")

    page.set_input_files("#files", [str(archive), str(text)])
    page.locator("#upload button").click()

    page.locator("#upload-words", has_text="2").wait_for()
    page.locator("#runs", has_text="12 images").wait_for()
    page.locator("#runs", has_text="1 file was not taken").wait_for()
    page.locator("#runs a", has_text="1.2.70").wait_for()
    check(page)
