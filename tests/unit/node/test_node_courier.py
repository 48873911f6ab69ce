"""The courier, with a ledger and files, and a fake network."""

import threading
from datetime import timedelta

import pytest
from node_builders import (
    Clock,
    arrive,
    opened_ledger,
    result_objects,
    small_series,
    wait_for,
)

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import SendKind, SendOutcome
from dicom_node.delivery.carrier import DimseCarrier, Manners
from dicom_node.delivery.courier import Courier, DeliveryRules
from dicom_node.delivery.outbox import Outbox
from dicom_node.errors import PeerError, PeerUnreachableError
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.office import AssemblyOffice
from dicom_node.jobs.retry import RetryPolicy
from dicom_node.jobs.state import DeliveryState, JobState

RULES = DeliveryRules(
    lease_s=60,
    network=RetryPolicy(max_attempts=3, first_delay_s=10),
    refusal=RetryPolicy(max_attempts=2, first_delay_s=100),
)


def way(name, send, echo=None, **manners):
    """Return the way to a destination through a fake network."""
    return DimseCarrier(
        peer=peer(name), manners=Manners(**manners), store=send, echo=echo or send.echo
    )


def peer(name):
    return Peer(name=name, ae_title="PACS", host="127.0.0.1", port=104, calling_ae_title="ICHNODE")


class FakeNetwork:
    """Answers per SOP Instance UID: a status, or an error instead of an answer."""

    def __init__(self) -> None:
        self.sent = []
        self.probes = []
        self.answers = {}
        self.down = set()
        self.gate = None

    def echo(self, peer):
        self.probes.append(peer.name)
        if peer.name in self.down:
            raise PeerUnreachableError(f"No connection to {peer.name}")

    def __call__(self, peer, files, *, on_outcome):
        if self.gate is not None and peer.name in self.down:
            self.gate.wait(10)
        if peer.name in self.down:
            raise PeerUnreachableError(f"No connection to {peer.name}")
        for file in files:
            assert file.path.is_file()
            status = self.answers.get(file.sop_instance_uid, 0x0000)
            if isinstance(status, Exception):
                raise status
            self.sent.append((peer.name, file.sop_instance_uid))
            kind = {0x0000: SendKind.ACCEPTED, 0xB000: SendKind.WARNING}.get(
                status, SendKind.REFUSED
            )
            on_outcome(SendOutcome(file=file, kind=kind, status=status, message=f"0x{status:04X}"))
        return ()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network():
    return FakeNetwork()


@pytest.fixture
def ledger(tmp_path):
    with opened_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def results(ledger, outbox, clock):
    """Put the three results of one job into the outbox, for two destinations."""
    arrive(ledger, small_series(), clock)
    clock.turn(5)
    AssemblyOffice(
        ledger=ledger, assembly=AssemblyRules(), selection=DEFAULT_RULES, clock=clock
    ).tick()
    claim = ledger.jobs.claim("w", now=clock(), lease_s=60, time_limit_s=600)
    objects = result_objects()
    ledger.jobs.complete(
        claim,
        outbox.store(objects),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs", "archive"),
        record={},
        now=clock(),
    )
    return [one.sop_instance_uid for one in objects]


@pytest.fixture
def courier(ledger, outbox, clock, network):
    return Courier(
        name="courier",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=outbox,
        carriers={name: way(name, network) for name in ("pacs", "archive")},
        rules=RULES,
        clock=clock,
        poll_s=0.02,
    )


def deliveries(ledger, destination="pacs"):
    series = ledger.reports.overview().series[0]
    return [one for one in series.deliveries if one.destination == destination]


def test_captures_segmentation_and_report_go_out_in_this_order(courier, network, results):
    """One association, and then nothing is left to do."""
    assert courier.deliver_once("pacs")

    assert network.sent == [("pacs", uid) for uid in results]
    assert not courier.deliver_once("pacs")


def test_a_warning_is_a_delivery(courier, network, results, ledger):
    """0xB000: stored with coercion (PS3.4, table B.2-1)."""
    network.answers[results[0]] = 0xB000

    courier.deliver_once("pacs")

    assert {one.state for one in deliveries(ledger)} == {DeliveryState.ACCEPTED}


def test_a_peer_that_is_away_is_tried_again_with_growing_pauses(
    courier, network, ledger, clock, results
):
    """Ten, then twenty seconds, then it gives up; the job says so."""
    assert results
    network.down.add("pacs")

    for wait_s in (10, 20):
        assert courier.deliver_once("pacs")
        assert {one.next_attempt_at for one in deliveries(ledger)} == {
            clock() + timedelta(seconds=wait_s)
        }
        assert not courier.deliver_once("pacs")
        clock.turn(wait_s)
    courier.deliver_once("pacs")
    courier.deliver_once("archive")

    assert {one.state for one in deliveries(ledger)} == {DeliveryState.DEAD}
    assert deliveries(ledger)[0].reason == "No connection to pacs"
    assert {one.state for one in deliveries(ledger, "archive")} == {DeliveryState.ACCEPTED}
    assert ledger.reports.overview().jobs_by_state == {JobState.FAILED: 1}


def test_a_refused_object_does_not_keep_back_the_report(courier, network, ledger, clock, results):
    """A PACS without SEG gets captures and report; SEG is tried again, but not for ever."""
    network.answers[results[1]] = 0x0122

    courier.deliver_once("pacs")
    assert [one.state.value for one in deliveries(ledger)] == ["accepted", "pending", "accepted"]
    assert deliveries(ledger)[1].next_attempt_at == clock() + timedelta(seconds=100)
    clock.turn(100)
    courier.deliver_once("pacs")

    assert [one.state.value for one in deliveries(ledger)] == ["accepted", "dead", "accepted"]


def test_absence_before_does_not_use_up_the_refusals(courier, network, ledger, clock, results):
    """Two network failures and one refusal leave another attempt after the refusal."""
    network.down.add("pacs")
    courier.deliver_once("pacs")
    clock.turn(10)
    courier.deliver_once("pacs")
    clock.turn(20)
    network.down.clear()
    network.answers[results[1]] = 0xC000

    courier.deliver_once("pacs")

    assert deliveries(ledger)[1].state is DeliveryState.PENDING


@pytest.mark.parametrize("answer", [0xA700, PeerError("aborted"), OSError("a disk fault")])
def test_what_stops_the_association_holds_the_order(courier, network, ledger, results, answer):
    """The captures stay delivered; segmentation and report wait together."""
    network.answers[results[1]] = answer

    courier.deliver_once("pacs")

    assert [one.state.value for one in deliveries(ledger)] == ["accepted", "pending", "pending"]
    assert len({one.next_attempt_at for one in deliveries(ledger)[1:]}) == 1


def test_a_restart_goes_on_where_the_last_courier_was_killed(
    courier, network, ledger, outbox, clock, results
):
    """Killed after the first answer: the others are sent by the next courier, the first not."""

    class Killed(BaseException):
        pass

    def send_and_die(peer, files, *, on_outcome):
        del peer
        on_outcome(
            SendOutcome(file=files[0], kind=SendKind.ACCEPTED, status=0, message="accepted")
        )
        raise Killed

    dying = Courier(
        name="old",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=outbox,
        carriers={"pacs": way("pacs", send_and_die, echo=print)},
        rules=RULES,
        clock=clock,
    )
    with pytest.raises(Killed):
        dying.deliver_once("pacs")

    assert not courier.deliver_once("pacs"), "the old lease still holds"
    clock.turn(61)
    courier.deliver_once("pacs")

    assert network.sent == [("pacs", uid) for uid in results[1:]]
    assert {one.state for one in deliveries(ledger)} == {DeliveryState.ACCEPTED}


def test_a_destination_that_is_down_does_not_hold_up_another(courier, network, ledger, results):
    """Each has a thread: the archive is served while the PACS still does not answer."""
    assert results
    network.down.add("pacs")
    network.gate = threading.Event()
    courier.start()
    try:
        wait_for(
            lambda: (
                {one.state for one in deliveries(ledger, "archive")} == {DeliveryState.ACCEPTED}
            )
        )
        assert {one.state for one in deliveries(ledger)} == {DeliveryState.SENDING}
    finally:
        network.gate.set()
        courier.stop()


def test_the_log_names_objects_and_peers_only(courier, network, results, caplog):
    """An outside error is logged by type and place, its message is not quoted."""
    network.answers[results[0]] = ValueError("POISON^DONOTLOG")

    courier.deliver_once("pacs")

    assert "ValueError" in caplog.text
    assert "POISON" not in caplog.text


def test_old_files_without_a_result_are_removed(outbox, ledger, clock, results):
    """Left by a worker that died between files and rows; what belongs to a result stays."""
    assert results
    (orphan,) = outbox.store(result_objects("77")[:1])
    known = ledger.reports.outbox_paths()

    assert outbox.sweep(known, clock() - timedelta(days=3650)) == 0
    assert outbox.sweep(known, clock() + timedelta(days=3650)) == 1

    assert not outbox.path(orphan.path).exists()
    assert all(outbox.path(path).is_file() for path in known)


def test_a_lease_without_sense_cannot_be_built():
    """A courier needs time."""
    with pytest.raises(ValueError, match="lease_s must be positive"):
        DeliveryRules(lease_s=0)
