"""The courier, with a ledger and files, and a fake network."""

import itertools
import threading
from datetime import timedelta

import pytest
from node_builders import (
    PlainStore,
    arrive,
    result_objects,
    small_series,
    wait_for,
)

from dicom_node.association.peers import Peer
from dicom_node.association.storage_scu import SendKind, SendOutcome
from dicom_node.delivery.carrier import DimseCarrier, Manners
from dicom_node.delivery.courier import Courier, DeliveryRules
from dicom_node.delivery.outbox import Outbox
from dicom_node.errors import (
    IllegalTransitionError,
    PeerError,
    PeerUnreachableError,
    UnknownEntryError,
)
from dicom_node.intake.assembly import AssemblyRules
from dicom_node.intake.default_rules import DEFAULT_RULES
from dicom_node.jobs.destination_ledger import BreakerRules
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
        peer=peer(name),
        manners=Manners(**manners),
        store=PlainStore(peer(name), send),
        echo=echo or send.echo,
    )


def peer(name):
    return Peer(name=name, ae_title="PACS", host="127.0.0.1", port=104, calling_ae_title="ICHNODE")


class FakeNetwork:
    """Answers per SOP Instance UID: a status, or an error instead of an answer."""

    def __init__(self) -> None:
        self.sent = []
        self.probes = []
        self.negotiation = ""
        self.answers = {}
        self.down = set()
        self.gate = None

    def echo(self, peer):
        self.probes.append(peer.name)
        if peer.name in self.down:
            raise PeerUnreachableError(f"No connection to {peer.name}")

    def __call__(self, peer, files, *, on_outcome):
        if self.gate is not None and peer.name in self.down:
            self.gate.wait(60)
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
            on_outcome(
                SendOutcome(
                    file=file,
                    kind=kind,
                    status=status,
                    message=f"0x{status:04X}",
                    negotiation=self.negotiation,
                )
            )
        return ()


@pytest.fixture
def network():
    return FakeNetwork()


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
        wait_for(
            lambda: {one.state for one in deliveries(ledger)} == {DeliveryState.SENDING}
        )  # by now at the latest, and for as long as the gate is closed
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


def fail_three_times(courier, clock):
    """Let three connections in a row fail."""
    for _ in range(3):
        assert courier.deliver_once("pacs")
        clock.turn(10)


@pytest.fixture
def patient(ledger, outbox, clock, network):
    """Return a courier that tries for ever, so that only the breaker stops it."""
    return Courier(
        name="courier",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=outbox,
        carriers={name: way(name, network) for name in ("pacs", "archive")},
        rules=DeliveryRules(
            network=RetryPolicy(max_attempts=50, first_delay_s=10, factor=1),
            breaker=BreakerRules(failures=3, first_probe_s=60, longest_probe_s=100),
        ),
        clock=clock,
    )


def test_a_peer_out_of_reach_is_probed_instead_of_sent_to(
    patient, network, ledger, clock, results
):
    """Three failures break the circuit; probes after 60, 100, 100 s use up no attempts."""
    assert results
    network.down.add("pacs")
    fail_three_times(patient, clock)
    probed_at = []
    for _ in range(30):
        assert not patient.deliver_once("pacs")
        if len(network.probes) > len(probed_at):
            probed_at.append(clock.now)
        clock.turn(10)

    pauses = [
        (later - earlier).total_seconds() for earlier, later in itertools.pairwise(probed_at)
    ]
    assert pauses == [100, 100]
    assert {one.attempts for one in deliveries(ledger)} == {3}
    (status,) = [one for one in ledger.destinations.statuses() if one.name == "pacs"]
    assert status.broken_at is not None
    assert (status.waiting, status.dead) == (3, 0)
    assert status.reason == "No connection to pacs"


def test_a_peer_that_is_back_gets_at_once_what_waited(patient, network, ledger, clock, results):
    """One probe that succeeds closes the circuit; nobody waits for a back-off any more."""
    network.down.add("pacs")
    fail_three_times(patient, clock)
    network.down.clear()
    clock.turn(60)

    assert patient.deliver_once("pacs")

    assert network.probes == ["pacs"]
    assert [uid for _, uid in network.sent] == results
    (status,) = [one for one in ledger.destinations.statuses() if one.name == "pacs"]
    assert status.broken_at is None


def test_an_operator_need_not_wait_for_the_probe(patient, network, ledger, clock, results):
    """`ichnode retry` lets it be tried at once; a destination within reach is left as it is."""
    network.down.add("pacs")
    fail_three_times(patient, clock)
    network.down.clear()
    before = patient.deliver_once("pacs")

    for name in ("pacs", "archive", "nobody"):
        ledger.destinations.probe_now(name, clock())

    assert not before
    assert patient.deliver_once("pacs")
    assert [uid for _, uid in network.sent] == results


def test_a_broken_circuit_is_felt_by_nobody_else(patient, network, clock, results):
    """The archive gets everything while the PACS is away."""
    network.down.add("pacs")
    fail_three_times(patient, clock)

    assert patient.deliver_once("archive")

    assert network.sent == [("archive", uid) for uid in results]


def test_a_peer_that_takes_part_is_not_out_of_reach(patient, network, ledger, clock, results):
    """An association that breaks at one object, again and again, leaves the circuit closed."""
    network.answers[results[0]] = PeerError("pacs aborted the association during C-STORE")

    fail_three_times(patient, clock)
    fail_three_times(patient, clock)

    (status,) = [one for one in ledger.destinations.statuses() if one.name == "pacs"]
    assert status.broken_at is None
    assert network.probes == []


def test_a_held_destination_gets_nothing_until_it_is_released(
    courier, network, ledger, clock, results
):
    """An operator's word; the other destination is served."""
    ledger.destinations.hold("pacs", "migration", clock())

    assert not courier.deliver_once("pacs")
    assert courier.deliver_once("archive")
    (held,) = [one for one in ledger.destinations.statuses() if one.name == "pacs"]
    assert ledger.destinations.release("pacs")
    assert not ledger.destinations.release("pacs")
    assert courier.deliver_once("pacs")

    assert (held.held_at, held.held_reason, held.waiting) == (clock.now, "migration", 3)
    assert ("pacs", results[0]) in network.sent


def test_the_report_goes_first_where_a_site_wants_it(ledger, outbox, clock, network, results):
    """`report_first` changes the order, nothing else."""
    hasty = Courier(
        name="courier",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=outbox,
        carriers={"pacs": way("pacs", network, report_first=True)},
        rules=RULES,
        clock=clock,
    )

    hasty.deliver_once("pacs")

    assert [uid for _, uid in network.sent] == [results[2], results[0], results[1]]


def queued(ledger, *states):
    return ledger.delivery_queue.deliveries(
        states=[DeliveryState(state) for state in states], destination="pacs"
    )


def test_the_dead_letters_can_be_listed_and_sent_again(courier, network, ledger, clock, results):
    """One object was refused for good; once the PACS is mended it is sent by its number."""
    courier.deliver_once("archive")
    network.answers[results[1]] = 0x0122
    courier.deliver_once("pacs")
    clock.turn(100)
    courier.deliver_once("pacs")
    (dead,) = queued(ledger, "dead")
    del network.answers[results[1]]

    ledger.delivery_queue.retry([dead.delivery_id], clock())
    courier.deliver_once("pacs")

    assert (dead.kind, dead.refusals, dead.sop_instance_uid) == ("segmentation", 2, results[1])
    assert queued(ledger, "dead") == ()
    assert len(queued(ledger, "accepted")) == 3
    assert ledger.reports.overview().jobs_by_state == {JobState.DELIVERED: 1}


def test_a_cancelled_delivery_is_not_sent_and_the_job_ends(
    courier, network, ledger, clock, results
):
    """A PACS that will never take SEG: captures and report are delivered, the job says so."""
    courier.deliver_once("archive")
    network.answers[results[1]] = 0x0122
    courier.deliver_once("pacs")
    (waiting,) = queued(ledger, "pending")

    ledger.delivery_queue.cancel([waiting.delivery_id], clock())
    clock.turn(1000)

    assert not courier.deliver_once("pacs")
    assert ledger.delivery_queue.delivery(waiting.delivery_id).state is DeliveryState.CANCELLED
    job = ledger.reports.overview().series[0].job
    assert job.state is JobState.DELIVERED
    assert job.reason == "1 of 6 deliveries were cancelled"


def test_what_was_accepted_cannot_be_cancelled(courier, ledger, clock, results):
    """All of a command happens, or nothing of it."""
    assert results
    courier.deliver_once("archive")
    one = queued(ledger, "pending")[0].delivery_id
    (gone, *_) = ledger.delivery_queue.deliveries(destination="archive")

    with pytest.raises(IllegalTransitionError, match="is accepted and cannot be cancelled"):
        ledger.delivery_queue.cancel([one, gone.delivery_id], clock())
    with pytest.raises(UnknownEntryError, match="no delivery 404"):
        ledger.delivery_queue.retry([404], clock())

    assert len(queued(ledger, "pending")) == 3


def test_the_negotiation_is_kept_with_what_failed(courier, network, ledger, clock, results):
    """Which context was refused and why; forgotten once the object is accepted."""
    network.negotiation = "context 1: Segmentation Storage: refused: SOP class not supported"
    network.answers[results[1]] = 0x0122
    courier.deliver_once("pacs")
    (waiting,) = queued(ledger, "pending")
    del network.answers[results[1]]
    clock.turn(100)
    courier.deliver_once("pacs")

    assert waiting.negotiation == network.negotiation
    assert ledger.delivery_queue.delivery(waiting.delivery_id).negotiation == ""


def test_what_is_kept_open_is_looked_after_and_ended(ledger, outbox, clock, network):
    """While nothing is due its time may be up; when the courier ends it must not stay."""
    carrier = way("pacs", network, associations=2)
    idle = Courier(
        name="courier",
        ledger=ledger.deliveries,
        destinations=ledger.destinations,
        outbox=outbox,
        carriers={"pacs": carrier},
        rules=RULES,
        clock=clock,
        poll_s=0.02,
    )
    idle.start()
    try:
        wait_for(lambda: carrier.store.told.count("rest") > 4)
    finally:
        idle.stop()

    assert carrier.store.told.count("close") == 2
    assert carrier.store.told[-1] == "close"
