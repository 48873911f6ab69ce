"""The short form of the campaign: the corpus, and a few hundred damaged inputs of a fixed seed."""

import threading
from random import Random

import pytest
from fuzz.campaign import HangError, Target, attack, corpus_of, describe
from fuzz.everything import NAMES, all_targets
from fuzz.mutation import blind, elements, mutated, nested, spans

CASES = {"dicom": 20, "http": 20, "custody": 60, "reader": 15, "pixels": 15, "settings": 25}
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
    (target,) = (one for one in all_targets() if one.name == name)

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
