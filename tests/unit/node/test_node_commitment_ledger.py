"""Storage commitment in the ledger: asked, reported, sent again; and what the node vouches for."""

from datetime import timedelta

import pytest
from node_builders import PlainStore, arrive, result_objects, small_series

from dicom_node.association.commitment_terms import CommitmentReport, CommitmentRequest, Reference
from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import SendKind, SendOutcome
from dicom_node.delivery.carrier import DimseCarrier, Manners
from dicom_node.delivery.commitment_desk import LedgerDesk
from dicom_node.delivery.courier import Courier, DeliveryRules
from dicom_node.delivery.notary import Notary, Reporter
from dicom_node.delivery.outbox import Outbox
from dicom_node.delivery_alarms import commitment_alarms
from dicom_node.errors import (
    CommitmentRefusedError,
    PeerUnreachableError,
    UnknownEntryError,
    UnreadableCommitmentError,
)
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.commitment_ledger import CommitmentRules
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import JobState

RETRY = RetryPolicy(max_attempts=2, first_delay_s=100)
RULES = CommitmentRules(answer_s=600, asks=2, retry=RETRY, unreached_s=60)


def peer(name="pacs", title="PACS"):
    return Peer(
        name=name,
        ae_title=title,
        host="127.0.0.1",
        port=104,
        calling_ae_title="ICHNODE",
    )


def accept_all(_peer, files, *, on_outcome):
    for file in files:
        on_outcome(SendOutcome(file=file, kind=SendKind.ACCEPTED, status=0, message="accepted"))
    return ()


@pytest.fixture
def courier(ledger, clock, tmp_path):
    return Courier(
        name="courier",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=Outbox(tmp_path / "outbox"),
        carriers={
            "pacs": DimseCarrier(
                peer=peer(),
                manners=Manners(commitment=True),
                store=PlainStore(peer(), accept_all),
                echo=print,
            )
        },
        rules=DeliveryRules(refusal=RETRY),
        clock=clock,
    )


@pytest.fixture
def results(ledger, courier, clock, tmp_path):
    """Return the UIDs of three results that the PACS has accepted."""
    arrive(ledger, small_series(), clock)
    clock.turn(5)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()
    claim = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
    objects = result_objects()
    ledger.jobs.complete(
        claim,
        Outbox(tmp_path / "outbox").store(objects),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={},
        now=clock(),
    )
    courier.deliver_once("pacs")
    return [one.sop_instance_uid for one in objects]


def claim(ledger, clock, transaction="1.2.9.1"):
    return ledger.commitments.claim("pacs", transaction_uid=transaction, rules=RULES, now=clock())


def report(request, *, failed=()):
    """Return a report that commits everything but what failed."""
    return CommitmentReport(
        transaction_uid=request.transaction_uid,
        committed=tuple(one for one in request.references if one.sop_instance_uid not in failed),
        failed=tuple(
            (one, 0x0110) for one in request.references if one.sop_instance_uid in failed
        ),
    )


def take(ledger, clock, given, destinations=("pacs",)):
    ledger.commitments.report(given, destinations=destinations, rules=RULES, now=clock())


def states(ledger):
    return [one.state.value for one in ledger.reports.overview().series[0].deliveries]


def job_state(ledger):
    ((state, _),) = ledger.reports.overview().jobs_by_state.items()
    return state


def test_the_final_state_is_committed(ledger, clock, results):
    """Accepted is not the end where a commitment is wanted; the job ends with the report."""
    before = (states(ledger), job_state(ledger))
    request = claim(ledger, clock)

    take(ledger, clock, report(request))

    assert before == (["accepted"] * 3, JobState.DELIVERING)
    assert [one.sop_instance_uid for one in request.references] == results
    assert states(ledger) == ["committed"] * 3
    assert job_state(ledger) is JobState.DELIVERED
    assert claim(ledger, clock, "1.2.9.2") is None


def test_nothing_is_asked_twice_before_the_time_for_an_answer_is_over(ledger, clock, results):
    """After that it is asked again, under a new transaction; both may be reported on."""
    assert results
    first = claim(ledger, clock)
    clock.turn(599)
    too_early = claim(ledger, clock, "1.2.9.2")
    clock.turn(1)

    again = claim(ledger, clock, "1.2.9.3")
    take(ledger, clock, report(first))

    assert too_early is None
    assert again.references == first.references
    assert states(ledger) == ["committed"] * 3


def test_a_killed_office_asks_again_without_using_up_requests(ledger, clock, results):
    """It may have died between ledger and network: after its restart the peer is asked soon."""
    assert results
    for restart in range(5):
        assert claim(ledger, clock, f"1.2.9.{restart}")
        assert ledger.commitments.resume({"pacs"}, rules=RULES, now=clock()) == 3
        too_early = claim(ledger, clock, f"1.2.8.{restart}")
        clock.turn(60)
        assert too_early is None

    assert states(ledger) == ["accepted"] * 3


def test_a_site_that_wants_no_commitment_any_more_waits_for_none(ledger, clock, results):
    """The setting was taken back: what was accepted is delivered."""
    assert results
    claim(ledger, clock)

    assert ledger.commitments.resume((), rules=RULES, now=clock()) == 0

    assert states(ledger) == ["accepted"] * 3
    assert job_state(ledger) is JobState.DELIVERED


def test_a_peer_that_never_reports_is_a_dead_letter(ledger, clock, results):
    """Two requests, then an operator must look; a retry sends and asks again."""
    assert results
    for transaction in ("1.2.9.1", "1.2.9.2"):
        assert claim(ledger, clock, transaction)
        clock.turn(600)

    assert claim(ledger, clock, "1.2.9.3") is None

    delivery = ledger.reports.overview().series[0].deliveries[0]
    assert states(ledger) == ["dead"] * 3
    assert delivery.reason == "not committed: no report after 2 requests"
    assert job_state(ledger) is JobState.FAILED


def test_what_is_not_committed_is_sent_again(ledger, clock, results, courier):
    """One of three failed: it is pending, sent, and asked for anew; a second failure is final."""
    request = claim(ledger, clock)
    take(ledger, clock, report(request, failed={results[1]}))
    after_first = states(ledger)
    clock.turn(100)
    assert courier.deliver_once("pacs")
    second = claim(ledger, clock, "1.2.9.2")

    take(ledger, clock, report(second, failed={results[1]}))

    assert after_first == ["committed", "pending", "committed"]
    assert [one.sop_instance_uid for one in second.references] == [results[1]]
    assert states(ledger) == ["committed", "dead", "committed"]
    delivery = ledger.reports.overview().series[0].deliveries[1]
    assert delivery.reason == "not committed: processing failure (0x0110)"


def test_a_late_report_commits_what_the_node_had_given_up(ledger, clock, results):
    """The archive is responsible for it, whatever the node believed: the job is delivered."""
    assert results
    first = claim(ledger, clock)
    clock.turn(600)
    assert claim(ledger, clock, "1.2.9.2")
    clock.turn(600)
    assert claim(ledger, clock, "1.2.9.3") is None
    given_up = (states(ledger), job_state(ledger))

    take(ledger, clock, report(first))

    assert given_up == (["dead"] * 3, JobState.FAILED)
    assert states(ledger) == ["committed"] * 3
    assert job_state(ledger) is JobState.DELIVERED


def test_a_late_report_on_a_part_leaves_the_rest_given_up(ledger, clock, results):
    """The job has still failed, and no late refusal wakes what is dead."""
    first = claim(ledger, clock)
    clock.turn(600)
    assert claim(ledger, clock, "1.2.9.2")
    clock.turn(600)
    assert claim(ledger, clock, "1.2.9.3") is None

    take(ledger, clock, report(first, failed={results[1]}))

    assert states(ledger) == ["committed", "dead", "committed"]
    assert job_state(ledger) is JobState.FAILED


def test_a_late_refusal_does_not_touch_what_was_accepted_since(ledger, clock, results, courier):
    """The object was sent anew after that request: only a report on the new one counts."""
    first = claim(ledger, clock)
    clock.turn(600)
    second = claim(ledger, clock, "1.2.9.2")
    take(ledger, clock, report(second, failed={results[1]}))
    clock.turn(100)
    assert courier.deliver_once("pacs")

    take(ledger, clock, report(first, failed={results[1]}))

    assert states(ledger) == ["committed", "accepted", "committed"]


def test_a_late_report_saves_sending_again(ledger, clock, results, courier):
    """Two reports contradict each other; who is responsible needs no second copy."""
    first = claim(ledger, clock)
    clock.turn(600)
    second = claim(ledger, clock, "1.2.9.2")
    take(ledger, clock, report(second, failed={results[1]}))

    take(ledger, clock, report(first))

    clock.turn(100)
    assert states(ledger) == ["committed"] * 3
    assert not courier.deliver_once("pacs")
    assert job_state(ledger) is JobState.DELIVERED


@pytest.mark.parametrize(
    ("transaction", "destinations"), [("1.2.9.404", ("pacs",)), ("1.2.9.1", ("archive",))]
)
def test_only_the_peer_that_was_asked_can_report(
    ledger, clock, results, transaction, destinations
):
    """Another peer, or a transaction nobody knows, changes nothing."""
    assert results
    request = claim(ledger, clock)
    forged = CommitmentReport(transaction_uid=transaction, committed=request.references)

    with pytest.raises(UnknownEntryError):
        take(ledger, clock, forged, destinations)

    assert states(ledger) == ["accepted"] * 3


def test_a_report_on_something_else_changes_nothing(ledger, clock, results):
    """References that were not asked for are passed over."""
    assert results
    claim(ledger, clock)
    other = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.7", sop_instance_uid="1.2.3.99")

    take(ledger, clock, CommitmentReport(transaction_uid="1.2.9.1", committed=(other,)))

    assert states(ledger) == ["accepted"] * 3


def notary(ledger, clock, ask):
    numbers = iter(range(1, 100))
    return Notary(
        ledger=ledger.commitments,
        destinations=ledger.destinations,
        peers={"pacs": peer()},
        rules=RULES,
        clock=clock,
        new_uid=lambda: f"1.2.9.{next(numbers)}",
        ask=ask,
    )


def test_the_notary_takes_a_report_that_comes_at_once(ledger, clock, results):
    """Over the same association, before the request returns."""
    assert results

    def ask(_peer, request, *, on_report, wait_s):
        assert wait_s > 0
        on_report(report(request))

    assert notary(ledger, clock, ask).ask_once("pacs")
    assert not notary(ledger, clock, ask).ask_once("pacs")
    assert states(ledger) == ["committed"] * 3


def test_a_peer_that_is_away_uses_up_no_request(ledger, clock, results):
    """Five times out of reach, twice without an answer: only the latter count."""
    assert results
    away = notary(ledger, clock, _raise(PeerUnreachableError("No connection to pacs")))
    for _ in range(5):
        assert away.ask_once("pacs")
        assert not away.ask_once("pacs")
        clock.turn(60)

    assert states(ledger) == ["accepted"] * 3
    delivery = ledger.reports.overview().series[0].deliveries[0]
    assert delivery.reason == "No connection to pacs"


def test_a_peer_without_storage_commitment_ends_as_a_dead_letter(ledger, clock, results):
    """It has the objects, but the site wanted more: the reason says what is missing."""
    assert results
    refusing = notary(ledger, clock, _raise(CommitmentRefusedError("pacs takes no requests")))
    refusing.ask_once("pacs")
    clock.turn(100)
    refusing.ask_once("pacs")

    delivery = ledger.reports.overview().series[0].deliveries[0]
    assert states(ledger) == ["dead"] * 3
    assert delivery.reason == "not committed: pacs takes no requests"


def _raise(error):
    def ask(*_positional, **_named):
        raise error

    return ask


@pytest.fixture
def images(ledger, clock):
    """Return the images of a series in custody."""
    series = small_series()
    arrive(ledger, series, clock)
    return series


def reference(ds, sop_class=None):
    return Reference(
        sop_class_uid=str(sop_class or ds.SOPClassUID), sop_instance_uid=str(ds.SOPInstanceUID)
    )


def desk(ledger):
    return LedgerDesk(
        requests=ledger.commitment_requests,
        commitments=ledger.commitments,
        destinations_of={"PACS": ["pacs"]},
        rules=RULES,
    )


def test_the_node_vouches_for_what_it_has_in_custody(ledger, clock, images):
    """0x0112: no such object instance; 0x0119: class and instance conflict (PS3.3, C.14.1.1)."""
    unknown = Reference(sop_class_uid=str(images[0].SOPClassUID), sop_instance_uid="1.2.3.404")
    wrong = reference(images[1], "1.2.840.10008.5.1.4.1.1.4")
    request = CommitmentRequest(
        transaction_uid="1.2.8.1", references=(reference(images[0]), unknown, wrong)
    )

    given = desk(ledger).asked(request, calling_ae_title="SCANNER1", now=clock())

    assert given == CommitmentReport(
        transaction_uid="1.2.8.1",
        committed=(reference(images[0]),),
        failed=((unknown, 0x0112), (wrong, 0x0119)),
    )


def test_a_sender_that_has_hung_up_is_called(ledger, clock, images):
    """After a pause for the report over its own association; then it is settled."""
    request = CommitmentRequest(transaction_uid="1.2.8.1", references=(reference(images[0]),))
    given = desk(ledger).asked(request, calling_ae_title="SCANNER1", now=clock())
    told = []
    reporter = _reporter(ledger, clock, lambda peer, report: told.append((peer.name, report)))

    reporter.tick()
    too_early = list(told)
    clock.turn(15)
    reporter.tick()
    reporter.tick()

    assert too_early == []
    assert told == [("scanner", given)]


def test_a_sender_that_took_its_report_is_not_called(ledger, clock, images):
    """The receiver said so."""
    request = CommitmentRequest(transaction_uid="1.2.8.1", references=(reference(images[0]),))
    desk(ledger).asked(request, calling_ae_title="SCANNER1", now=clock())

    desk(ledger).answered(request, calling_ae_title="SCANNER1", now=clock())

    clock.turn(15)
    assert ledger.commitment_requests.due(clock()) == ()


def test_a_sender_that_does_not_answer_is_called_again_but_not_for_ever(ledger, clock, images):
    """Two attempts here; and a sender that nobody knows is not called at all."""
    for caller in ("SCANNER1", "NOBODY"):
        request = CommitmentRequest(transaction_uid="1.2.8.1", references=(reference(images[0]),))
        desk(ledger).asked(request, calling_ae_title=caller, now=clock())
    calls = []

    def tell(peer, report):
        calls.append((peer.ae_title, report.transaction_uid))
        raise PeerUnreachableError("No connection")

    reporter = _reporter(ledger, clock, tell)
    for _ in range(4):
        clock.turn(100)
        reporter.tick()

    assert calls == [("SCANNER1", "1.2.8.1")] * 2
    assert ledger.commitment_requests.due(clock() + timedelta(days=9)) == ()
    words = "asked for storage commitment and could not be told"
    assert commitment_alarms(ledger.reports.untold_commitments()) == (
        f"NOBODY {words}: no peer has the AE title NOBODY",
        f"SCANNER1 {words}: No connection",
    )


def _reporter(ledger, clock, tell):
    return Reporter(
        requests=ledger.commitment_requests,
        peers={"SCANNER1": peer("scanner", "SCANNER1")},
        retry=RETRY,
        clock=clock,
        tell=tell,
    )


def test_the_desk_lets_a_stranger_report_nothing(ledger, clock, results):
    """An AE title that is no destination."""
    assert results
    request = claim(ledger, clock)

    with pytest.raises(UnreadableCommitmentError):
        desk(ledger).reported(report(request), calling_ae_title="STRANGER", now=clock())
    desk(ledger).reported(report(request), calling_ae_title="PACS", now=clock())

    assert states(ledger) == ["committed"] * 3
