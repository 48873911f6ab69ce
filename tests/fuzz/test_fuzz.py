"""The short form of the campaign: the corpus, and a few hundred damaged inputs of a fixed seed."""

import logging
import sys
import threading
from random import Random

import pytest
from fuzz import __main__ as program
from fuzz.campaign import HangError, Target, attack, corpus_of, describe
from fuzz.everything import NAMES, shared_out, target_named
from fuzz.in_hand import InHand
from fuzz.log_watch import LogFaultError, LogWatch
from fuzz.mutation import blind, elements, mutated, nested, spans
from fuzz.report import as_markdown, conditions, merged

CASES = {
    "dicom": 20,
    "dicom_library": 20,
    "tls": 15,
    "tls_library": 15,
    "http": 20,
    "peer": 12,
    "web_service": 60,
    "custody": 60,
    "reader": 15,
    "pixels": 15,
    "settings": 25,
    "found": 60,
    "audit": 60,
}
MANY = 120

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # pydicom's, of damaged values
]


@pytest.fixture(autouse=True)
def hook():
    """Give back the hook that targets with threads put their own in place of."""
    before = threading.excepthook
    yield
    threading.excepthook = before


@pytest.mark.parametrize("name", NAMES)
def test_damaged_input_is_refused_properly(name):
    """Nothing but the parser's own refusal comes out, whatever goes in, and nothing hangs."""
    target = target_named(name)

    outcome = attack(target, cases=CASES.get(name, MANY), seed=1)

    assert list(outcome.failures) == []
    assert outcome.cases == CASES.get(name, MANY) + len(target.seeds) + len(corpus_of(name))


def picky(data):
    """Refuse letters; break behind three doors, one byte each, that only their sequence opens."""
    if data[:1] == b"A":
        if data[1:2] == b"B":
            if data[2:3] == b"C":
                raise ZeroDivisionError
            return
        return


def letters(data, random):
    at = random.randrange(3)
    return data[:at] + bytes([random.choice(b"ABCD")]) + data[at + 1 :]


def test_the_campaign_climbs_by_what_it_has_reached():
    """A fault behind three conditions is found; with its name, its place and its input."""
    target = Target(
        name="picky",
        seeds=[b"xxx"],
        check=picky,
        mutations=(letters,),
        watched=("tests/fuzz/test_fuzz.py",),
    )

    outcome = attack(target, cases=500, seed=1)

    (failure,) = outcome.failures.values()
    assert failure.data[:3] == b"ABC"
    assert failure.what.startswith("ZeroDivisionError < test_fuzz.py:picky")
    assert outcome.interesting
    assert outcome.edges > 0


def test_a_case_that_takes_too_long_is_a_failure(monkeypatch):
    """A loop without end is stopped and reported."""
    monkeypatch.setattr("fuzz.campaign.CASE_S", 0.05)

    def endless(_data):
        while True:
            pass

    outcome = attack(Target(name="endless", seeds=[b"x"], check=endless), cases=0, seed=1)

    assert [what.split(" ")[0] for what in outcome.failures] == [HangError.__name__]


def test_mutations_know_the_shape_of_a_data_set():
    """Elements are found by tag, VR and length (PS3.5, section 7.1), and depth is true depth."""
    short = b"\x10\0\x10\0PN\x04\0DOE "
    long = b"\x09\0\x01\x10UN\0\0\x02\0\0\0ab"

    found = spans(short + long)

    assert [(one.start, one.value, one.end) for one in found] == [(0, 8, 12), (12, 24, 26)]
    assert nested(3).count(b"SQ") == 3
    random = Random(1)  # noqa: S311 - no secrets
    assert len({mutated(short + long, random, (elements, blind)) for _ in range(50)}) > 30


def test_an_error_is_named_by_its_place():
    """Two faults of one kind in two places are two."""

    def here():
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        here()

    assert describe(caught.value) == "KeyError < test_fuzz.py:here < test_fuzz.py:here"


def test_every_target_gets_its_share():
    """What is quick gets more, nobody less than a thousand, and the sum is what was asked for."""
    shares = shared_out(1_000_000, NAMES)

    assert list(shares) == list(NAMES)
    assert 1_000_000 <= sum(shares.values()) < 1_010_000
    assert min(shares.values()) >= 1000
    assert shares["file_meta"] > shares["reader"]
    assert shared_out(10, ["peer", "tls"]) == {"peer": 5, "tls": 5}


def test_memory_that_cases_take_is_seen():
    """A case that touches 64 MB and gives them back is seen in the peak and not in the growth."""

    def greedy(data):
        del data
        bytearray(b"x" * 2**26)

    outcome = attack(Target(name="greedy", seeds=[b"x"], check=greedy), cases=20, seed=1)

    assert 60 <= outcome.worst_mb <= 200
    assert outcome.grown_mb < 60


def test_a_process_that_hangs_outside_of_python_is_killed(monkeypatch, tmp_path):
    """The case in hand stays what it is for too long; the input can be read in the file."""
    monkeypatch.setattr(program, "_STUCK_S", 0.2)
    monkeypatch.setattr(program, "_LOOK_S", 0.05)
    in_hand = InHand.fresh(tmp_path / "in-hand.bin")
    in_hand.put(6, b"bomb")

    code, _, _ = program._watched(["sleep", "100"], in_hand)

    assert code == -9
    assert (in_hand.cases, in_hand.data) == (7, b"bomb")


def test_a_line_that_a_sender_began_is_a_failure():
    """The watch sees what forms let through; ours let nothing through."""
    watch = LogWatch()
    record = logging.makeLogRecord({"name": "x", "msg": "from %s", "args": ("A\n2026 ERROR lie",)})

    watch.handle(record)
    watch.check()
    watch._forms = (logging.Formatter(), logging.Formatter("{}", validate=False))
    watch.handle(record)

    with pytest.raises(LogFaultError):
        watch.check()


def test_the_report_names_what_broke():
    """Totals, a row for each target, and the failures below."""
    row = {"target": "cards", "cases": 1200, "failures": {"HangError < x": "a.bin"}, "deaths": 1}
    row |= {"edges": 5, "new": 2, "worst_mb": 12.5, "grown_mb": 0.0, "seconds": 90.0}

    page = as_markdown({**conditions(seed=1), "targets": [row]})

    assert "**1,200 cases, 1 kinds of failure, 1 crashes of a process, 1 hangs" in page
    assert "| cards | cards of model bundles | 1,200 | 1 | 1 | 5 | 12.5 | 0.0 | 90 |" in page
    assert "- cards: `HangError < x`" in page
    assert str(sys.version_info.minor) in page


def test_campaigns_side_by_side_become_one_report():
    """In the order of targets, with both commits, and without the places of one machine."""
    first = {"commit": "a", "targets": [{"target": "tls", "failures": {"x": "/here/b.bin"}}]}
    second = {"commit": "b", "targets": [{"target": "header", "failures": {}}]}

    whole = merged([first, second])

    assert [row["target"] for row in whole["targets"]] == ["header", "tls"]
    assert whole["targets"][1]["failures"] == {"x": "b.bin"}
    assert whole["commit"] == "a`, `b"
