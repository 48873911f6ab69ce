"""Who is told what and when: each once, together, again after a day, and of the end."""

from datetime import UTC, datetime, timedelta

import pytest
from node_builders import Clock, opened_ledger

from dicom_node.alerts.alert import Alert, AlertNotSentError, Turn
from dicom_node.alerts.book import (
    AlertRules,
    Book,
    brought_back_book,
    due,
    failed,
    look,
    sent,
    without_channels,
)
from dicom_node.alerts.herald import Herald
from dicom_node.alerts.shelf import LedgerShelf
from dicom_node.jobs.documents import Documents

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULES = AlertRules(settle_s=60, pause_s=300, repeat_s=3600, first_retry_s=30, longest_wait_s=100)
DISK = Alert(key="disk", sentence="Less than 1024 MB are free")
WORKER = Alert(key="process:worker", sentence="The worker has not been seen for 20 s")

YEAR_S = 365 * 24 * 3600.0


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def turns(notices):
    return {notice.alert.key: notice.turn for notice in notices}


def test_a_short_trouble_is_none():
    """A worker that is started again is away for seconds."""
    book = look(Book(), [WORKER], NOON)
    early = due(book, "mail", RULES, after(59))
    book = look(book, [], after(59))

    assert early == ()
    assert book.entries == ()


def test_what_stands_is_told_once_to_every_channel():
    """A second channel has its own account."""
    book = look(Book(), [DISK], NOON)
    notices = due(book, "mail", RULES, after(60))
    book = sent(book, "mail", notices, RULES, after(60))

    assert turns(notices) == {"disk": Turn.RAISED}
    assert due(book, "mail", RULES, after(2000)) == ()
    assert turns(due(book, "webhook", RULES, after(60))) == {"disk": Turn.RAISED}


def test_what_comes_during_the_pause_comes_together():
    """At most one message in five minutes, however many troubles."""
    book = look(Book(), [DISK], NOON)
    book = sent(book, "mail", due(book, "mail", RULES, after(60)), RULES, after(60))
    other = Alert(key="queue", sentence="A job has waited")
    book = look(book, [DISK, WORKER, other], after(70))

    assert due(book, "mail", RULES, after(359)) == ()
    assert turns(due(book, "mail", RULES, after(360))) == {
        "process:worker": Turn.RAISED,
        "queue": Turn.RAISED,
    }


def test_what_still_stands_is_told_again():
    """After the set time, counted from when it was told last."""
    book = look(Book(), [DISK], NOON)
    book = sent(book, "mail", due(book, "mail", RULES, after(60)), RULES, after(60))

    assert due(book, "mail", RULES, after(3659)) == ()
    assert turns(due(book, "mail", RULES, after(3660))) == {"disk": Turn.REMINDER}


def test_the_end_is_told_to_those_who_were_told_of_the_beginning():
    """And then forgotten."""
    book = look(Book(), [DISK], NOON)
    book = sent(book, "mail", due(book, "mail", RULES, after(60)), RULES, after(60))
    book = look(book, [], after(70))

    assert book.standing == ()
    assert due(book, "webhook", RULES, after(400)) == ()
    notices = due(book, "mail", RULES, after(400))
    assert turns(notices) == {"disk": Turn.ENDED}
    assert sent(book, "mail", notices, RULES, after(400)).entries == ()


def test_what_comes_back_before_its_end_was_told_never_ended():
    """No flicker reaches anybody."""
    book = look(Book(), [DISK], NOON)
    book = sent(book, "mail", due(book, "mail", RULES, after(60)), RULES, after(60))
    book = look(look(book, [], after(70)), [DISK], after(80))

    assert due(book, "mail", RULES, after(400)) == ()
    assert [entry.since for entry in book.standing] == [NOON]


def test_a_clock_that_was_set_back_silences_no_alert():
    """What was told, or is not to be told before, in a year's time counts as now."""
    book = look(Book(), [DISK], after(YEAR_S))
    book = sent(book, "mail", due(book, "mail", RULES, after(YEAR_S + 60)), RULES, after(YEAR_S))
    other = Alert(key="queue", sentence="A job has waited")

    book = look(brought_back_book(book, RULES, NOON), [DISK, other], NOON)

    assert turns(due(book, "mail", RULES, after(60))) == {"queue": Turn.RAISED}
    assert turns(due(book, "mail", RULES, after(RULES.repeat_s)))["disk"] is Turn.REMINDER


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 30), (2, 60), (3, 100), (50, 100)])
def test_a_channel_that_fails_is_tried_less_and_less(failures, wait_s):
    """Doubled up to the longest wait; nothing is lost meanwhile."""
    book = look(Book(), [DISK], NOON)
    for _ in range(failures):
        book = failed(book, "mail", RULES, after(60))

    assert due(book, "mail", RULES, after(60 + wait_s - 1)) == ()
    assert turns(due(book, "mail", RULES, after(60 + wait_s))) == {"disk": Turn.RAISED}


def test_a_channel_that_was_taken_away_is_not_waited_for():
    """An end that only the old channel could be told of is forgotten."""
    book = look(Book(), [DISK], NOON)
    book = sent(book, "mail", due(book, "mail", RULES, after(60)), RULES, after(60))
    book = look(book, [], after(70))

    assert without_channels(book, ["webhook"]) == Book()


class FakeChannel:
    """Takes messages, or does not."""

    name = "mail"

    def __init__(self):
        self.messages, self.works = [], True

    def send(self, message):
        if not self.works:
            raise AlertNotSentError("the server is away")
        self.messages.append(message)


def test_a_restart_tells_nobody_twice_and_forgets_nothing(tmp_path):
    """The book lies in the ledger: each look here is a process of its own."""
    clock, channel, counts = Clock(), FakeChannel(), []

    def tell(standing):
        with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
            Herald(
                node="ICHNODE",
                version="1",
                channels=[channel],
                shelf=LedgerShelf(Documents(ledger.database)),
                rules=RULES,
                clock=clock,
                count=counts.extend,
            ).tell(standing)

    tell([DISK])
    clock.turn(60)
    channel.works = False
    tell([DISK])
    channel.works = True
    tell([DISK])
    clock.turn(30)
    tell([DISK])
    tell([DISK])

    (message,) = channel.messages
    assert message.title == "ICHNODE: 1 raised"
    assert "Less than 1024 MB are free" in message.text
    assert [one.labels["outcome"] for one in counts] == ["failed", "sent"]
