"""Pictures of the pages for the documentation: ``python -m tests.screenshots`` (make screenshots).

A demonstration node analyses a simulated patient; a headless Chromium looks at its pages. Needs
the Python package playwright and a Chromium of the system; nothing is fetched from anywhere.
"""

import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

from dicom_node.bootstrap.ledgers import ledger_for_reading
from dicom_node.bootstrap.roles import utc_now
from dicom_node.commands import demo
from dicom_node.commands.demo_patient import TYPICAL
from dicom_node.commands.demo_stage import HOST, Pacs, build_stage, running_node
from dicom_node.commands.site import settings_of
from dicom_node.users.accounts import FIRST_USER, Accounts

TARGET = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800
PATIENCE_MS = 120_000

#: Password of an account that ends with the demonstration.
WORDS = "four words and more"


#: Waits until every image of a page can be seen, those below the window, too; one that cannot be
#: loaded is an error.
ALL_IMAGES = """
() => Promise.all([...document.images].map(image => {
  image.loading = "eager";
  return image.decode();
}))
"""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture of a page.

    Attributes
    ----------
    name : str
        Of the file, without its end.
    address : str
        Path on the node; empty for the page of the picture before.
    fill : tuple of (str, str)
        Fields by selector, and what is typed into them.
    follow : str
        A selector of the link or button that is clicked then; empty for none.
    until : str
        A selector of what has to be there first.
    whole : bool
        Whether the whole page is taken, not only what a window shows.
    """

    name: str
    address: str = ""
    fill: tuple[tuple[str, str], ...] = ()
    follow: str = ""
    until: str = ""
    whole: bool = False


#: What everybody sees who has not logged in.
DOOR = (Shot(name="login", address="/login"),)

#: What an admin sees.
SHOTS = (
    Shot(name="overview", address="/", whole=True),
    Shot(name="studies", address="/studies"),
    Shot(name="study", follow='main a[href*="/studies/"]', whole=True),
    Shot(name="key_image", follow='main a[href*="/images/"]', until="main img"),
    Shot(name="upload", address="/upload"),
    Shot(name="deliveries", address="/deliveries?state=any", whole=True),
    Shot(name="peers", address="/peers", whole=True),
    Shot(name="peer_test", follow='button:has-text("Test")', until="text=All is well."),
    Shot(
        name="peer_form",
        address="/peers/dicom/form?name=pacs",
        follow='button:has-text("Test before saving")',
        until="text=All is well.",
        whole=True,
    ),
    Shot(name="routing", address="/routing"),
    Shot(name="models", address="/models"),
    Shot(name="configuration", address="/configuration"),
    Shot(
        name="setting",
        address="/configuration/set?key=web.session_h",
        fill=(("#value", "7"),),
        follow='button:has-text("Look at the change")',
        until="pre .added",
        whole=True,
    ),
    Shot(name="audit", address="/audit", whole=True),
    Shot(name="users", address="/users"),
)


def take(page, shots, base, folder):
    """Take pictures of pages of the node."""
    for shot in shots:
        if shot.address:
            page.goto(base + shot.address)
        for field, words in shot.fill:
            page.fill(field, words)
        if shot.follow:
            page.locator(shot.follow).first.click()
        if shot.until:
            page.wait_for_selector(shot.until)
        page.wait_for_load_state("load")
        page.evaluate(ALL_IMAGES)
        page.screenshot(path=folder / f"{shot.name}.png", full_page=shot.whole)


def log_in(page, base, config):
    """Set the password of the first admin and log in with it."""
    _, settings = settings_of(config)
    with ledger_for_reading(settings) as ledger:
        code = Accounts(ledger.users, clock=utc_now).first_code()
    page.goto(f"{base}/first")
    for field, words in {
        "name": FIRST_USER,
        "code": code,
        "password": WORDS,
        "again": WORDS,
    }.items():
        page.fill(f"#{field}", words)
    page.click("main button")
    page.wait_for_url(f"{base}/")


def take_file(browser, path, picture):
    """Take a picture of a page that lies on the disk."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(path.absolute().as_uri())
    page.evaluate(ALL_IMAGES)
    page.screenshot(path=picture, full_page=True)
    page.close()


def main():
    """Play the demonstration and take the pictures while its node still runs."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no chromium on the path (Debian package chromium)")
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        story = demo.Story(stage=build_stage(Path(name) / "demo"))
        demo._simulate_patient(story, seed=TYPICAL)
        pacs = stack.enter_context(Pacs(story.stage.pacs))
        story.stage.write_config(pacs_port=pacs.port)
        stack.enter_context(running_node(story.stage))
        demo._send(story)
        demo._await_results(story, pacs)
        demo._await_ledger(story)
        player = stack.enter_context(sync_playwright())
        browser = player.chromium.launch(executable_path=chromium)
        base = f"http://{HOST}:{story.stage.web_port}"
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(PATIENCE_MS)
        take(page, DOOR, base, TARGET)
        log_in(page, base, story.stage.config)
        take(page, SHOTS, base, TARGET)
        summary = next(iter(sorted(story.stage.data.rglob("summary.html"))))
        take_file(browser, summary, TARGET / "summary.png")
        browser.close()
    for path in sorted(TARGET.glob("*.png")):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
