"""The words of the pages: each has a Chinese one, and the catalog is in step with the code."""

import gettext
import io
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from dicom_node.intake.assembly import ArrivalFlag
from dicom_node.jobs.state import DeliveryState, JobKind, JobState, SearchState, SeriesState
from dicom_node.jobs.task import ObjectKind
from dicom_node.jobs.timeline import EventKind
from dicom_node.results.comparison_record import ComparisonStatus
from dicom_node.users.role import UserRole
from dicom_node.web.language import LOCALE, preferred
from pipeline.finding import Compartment
from pipeline.follow_up.flags import FollowUpFlag
from pipeline.quality_flags import QualityFlag

ROOT = Path(__file__).parents[3]
CATALOG = LOCALE / "zh" / "LC_MESSAGES" / "pages.po"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what code and templates say."""
    path = tmp_path_factory.mktemp("words") / "pages.pot"
    subprocess.run(
        [
            *(sys.executable, "-m", "babel.messages.frontend", "--quiet", "extract", "-k", "mark"),
            *("-F", "dicom_node/web/locale/babel.cfg", "-o", str(path), "."),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return read_po(io.BytesIO(path.read_bytes()))


@pytest.fixture(scope="module")
def catalog():
    return read_po(io.BytesIO(CATALOG.read_bytes()), locale="zh")


def test_the_catalog_holds_exactly_the_words_of_the_pages(found, catalog):
    """`make strings` brings it in step."""
    assert {one.id for one in catalog if one.id} == {one.id for one in found if one.id}


def test_every_word_is_translated(catalog):
    """Nothing is empty or doubtful."""
    texts = {
        one.id: one.string[0] if isinstance(one.string, tuple) else one.string
        for one in catalog
        if one.id
    }

    assert [words for words, text in texts.items() if not text] == []
    assert not any(one.fuzzy for one in catalog if one.id)


def test_translations_keep_what_is_filled_in(catalog):
    """Names in %( ) stand in both."""
    for one in catalog:
        if one.id:
            assert list(one.check(catalog)) == [], one.id


def test_what_is_used_is_what_was_written(catalog):
    """The compiled file is that of the catalog."""
    compiled = io.BytesIO()
    write_mo(compiled, catalog)

    used = gettext.GNUTranslations(io.BytesIO(CATALOG.with_suffix(".mo").read_bytes()))
    written = gettext.GNUTranslations(io.BytesIO(compiled.getvalue()))
    for one in catalog:
        if isinstance(one.id, str) and one.id:
            assert used.gettext(one.id) == written.gettext(one.id) == one.string
        elif one.id:
            assert used.ngettext(*one.id, 2) == written.ngettext(*one.id, 2) == one.string[0]


@pytest.mark.parametrize(
    "enum",
    [
        *(SeriesState, JobState, JobKind, SearchState, DeliveryState, ObjectKind, EventKind),
        *(QualityFlag, FollowUpFlag, ArrivalFlag, Compartment, ComparisonStatus, UserRole),
    ],
    ids=lambda enum: enum.__name__,
)
def test_every_value_that_a_page_shows_is_known(enum, catalog):
    """A new state or flag needs a word in `dicom_node.web.words`."""
    known = {one.id if isinstance(one.id, str) else one.id[0] for one in catalog if one.id}

    assert [one.value for one in enum if one.value.replace("_", " ") not in known] == []


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh;q=0.5", "zh"),
        ("fr", "en"),
        ("zh;q=x, en", "en"),
        ("*", "en"),
    ],
)
def test_the_language_is_the_browsers(accepted, language):
    """By weight (RFC 9110, 12.5.4); English if nothing fits."""
    assert preferred(accepted) == language
