"""The documentation site is whole, needs no network, and says what it is on each page."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("material", reason="mkdocs-material is not installed")

ROOT = Path(__file__).parents[2]

#: What a browser fetches by itself, by element and attribute; links that a person clicks are free.
_FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
}


class Fetches(HTMLParser):
    """Collects the addresses that a page makes a browser fetch."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if attributes.get("rel") in {"canonical", "prev", "next"}:
            return
        self.addresses += [
            value for name, value in attrs if (tag, name) in _FETCHED and value is not None
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def pages(site):
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html")


def test_the_site_builds_without_a_warning(site):
    """Strict: dead links, dead anchors and pages outside the navigation are faults."""
    assert (site / "index.html").is_file()
    assert len(pages(site)) > 30


def test_every_page_says_that_it_is_for_research(site):
    """Whoever lands on a page by a search engine reads it."""
    silent = [
        path.name for path in pages(site) if "RESEARCH USE ONLY" not in path.read_text("utf-8")
    ]

    assert silent == []


def test_a_page_fetches_nothing_from_elsewhere(site):
    """Hospitals are air-gapped: scripts, styles, fonts and pictures lie beside the page."""
    foreign = set()
    for path in pages(site):
        reader = Fetches()
        reader.feed(path.read_text("utf-8"))
        foreign |= {one for one in reader.addresses if re.match(r"(https?:)?//", one)}
        foreign |= set(re.findall(r"url\(\s*['\"]?(https?://[^)'\"]+)", path.read_text("utf-8")))
    for style in site.rglob("*.css"):
        foreign |= set(re.findall(r"url\(\s*['\"]?(https?://[^)'\"]+)", style.read_text("utf-8")))

    assert foreign == set()


def test_the_written_pages_know_every_setting_and_command(site):
    """They are made from the code, not beside it."""
    from dicom_node.cli.app import app
    from dicom_node.settings.schema import Settings

    settings = (site / "settings.html").read_text("utf-8")
    commands = (site / "commands_ichnode.html").read_text("utf-8")

    for table in Settings.model_fields:
        assert f'id="{table}"' in settings
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f'id="ichnode-{name}"' in commands


def test_no_table_lost_its_cells(site):
    """A bar within a cell would move all that follow; each row has as many cells as its head."""
    crooked = []
    for path in pages(site):
        for table in re.findall(r"<table>(.*?)</table>", path.read_text("utf-8"), re.DOTALL):
            widths = {
                len(re.findall(r"<t[hd][ >]", row))
                for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
            }
            if len(widths) > 1:
                crooked.append((path.name, sorted(widths)))

    assert crooked == []
