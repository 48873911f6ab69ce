"""Workitems from claim to end, with a strict worklist server and a ledger, without a network line.

What the server holds the node to is in `ups_server`: the state machine of PS3.4, table CC.1.1-2,
the transaction UID as the key, and the final state requirements of table CC.2.5-3.
"""

import re
from itertools import count
from pathlib import Path

import pytest
from node_builders import small_series, stored_objects
from site_builder import Site
from ups_server import PERFORMED, PROGRESS, UpsServer, code, element, value_of, workitem

from dicom_node.association.retrieve import Retrieval
from dicom_node.errors import PeerUnreachableError
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.state import JobKind, JobState, WorkitemState
from dicom_node.jobs.tally import Tally
from dicom_node.jobs.workitem_standing import WorkitemStandings
from dicom_node.jobs.worklist_ledger import InputSeries, NewWorkitem
from dicom_node.web_service import WebService
from dicom_node.worklist.conduct import Books, Conduct
from dicom_node.worklist.performer import Performer
from dicom_node.worklist.reports import Place
from dicom_node.worklist.service import WorklistService
from dicom_node.worklist.workitem import ClaimRules

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"
STATION = {"value": "NODE1", "scheme": "L", "meaning": "NODE1"}
CLAIMS = ClaimRules(codes=frozenset({"ICH-CT"}), labels=(), station="NODE1")
UID = "1.2.77.1"


class Bench:
    """A node's ledger, a worklist server, and a performer between them."""

    def __init__(self, ledger, clock, server, port):
        self.ledger, self.clock, self.server, self.port = ledger, clock, server, port
        self.site = Site(ledger, clock, PlanningRules())
        self.series = small_series(seed=1, study_uid="1.2.3")
        self.numbers = count(1)
        self.performer = self.another()

    @property
    def half(self):
        """Half of the images, without a gap."""
        return self.series[: len(self.series) // 2]

    @property
    def series_uid(self):
        return self.series[0].SeriesInstanceUID

    def another(self, **changes):
        """Return a performer, as after a restart."""
        conduct = Conduct(
            **{
                "claims": CLAIMS,
                "station": STATION,
                "places": {"pacs": Place(ae_title="PACS"), "vna": Place(url="http://vna/web")},
                **changes,
            }
        )
        service = WebService(name="tasks", url=f"http://127.0.0.1:{self.port}/dicom-web")
        return Performer(
            "tasks",
            server=WorklistService(service=service),
            books=Books(
                worklists=self.ledger.worklists,
                standings=WorkitemStandings(self.ledger.database),
                urgent_lane=self.ledger.urgent_lane,
            ),
            conduct=conduct,
            new_uid=lambda: f"2.25.{next(self.numbers)}",
            clock=self.clock,
        )

    def add(self, uid=UID, **changes):
        self.server.add(workitem(uid, series=[(self.series_uid, CT)], **changes))

    def look(self, seconds=20, performer=None):
        """Let time pass and look once."""
        self.clock.turn(seconds)
        (performer or self.performer).look()

    def complete(self, destinations=("pacs",)):
        """Finish the analysis that waits, deliver its results everywhere."""
        held = self.site.claim()
        self.ledger.jobs.complete(
            held,
            stored_objects(str(held.task.job_id)),
            model_digest="m",
            configuration_digest="c",
            destinations=destinations,
            record={},
            now=self.clock(),
        )
        for destination in destinations:
            self.deliver(destination)

    def deliver(self, destination):
        now = self.clock()
        parcel = self.ledger.deliveries.claim(destination, "courier", now=now, lease_s=60)
        for item in parcel.items:
            self.ledger.deliveries.accept(item, "accepted", now=now)

    def row(self, uid=UID):
        (row,) = (one for one in self.ledger.worklists.overview() if one.workitem_uid == uid)
        return row

    def told(self, uid=UID):
        """Return progress in percent and in words, as the workitem says it."""
        item = value_of(self.server.items[uid], PROGRESS)
        return value_of(item, "00741004"), value_of(item, "00741006")


@pytest.fixture
def server():
    return UpsServer()


@pytest.fixture
def bench(ledger, clock, server):
    with server.listening() as port:
        yield Bench(ledger, clock, server, port)


def test_a_workitem_is_claimed_performed_and_completed(bench, server):
    """The state goes SCHEDULED, IN PROGRESS, COMPLETED; the progress follows the line."""
    bench.add()
    bench.look()
    assert server.state(UID) == "IN PROGRESS"
    assert bench.told() == (0, "waiting for images")

    bench.site.send(bench.series)
    bench.look()
    assert bench.told() == (25, "waiting for analysis")

    bench.complete()
    bench.look()

    assert server.history == [(UID, "IN PROGRESS"), (UID, "COMPLETED")]
    assert server.refusals == []
    assert bench.row().state is WorkitemState.COMPLETED


def test_a_completed_workitem_names_every_result_and_where_it_is(bench, server):
    """Captures, segmentation and report, with the AE title or address of each destination."""
    bench.add()
    bench.site.send(bench.series)
    bench.complete(destinations=("pacs", "vna"))
    bench.look()

    performed = value_of(server.items[UID], PERFORMED)
    outputs = performed["00404033"]["Value"]
    uids = [value_of(one, "00081155") for item in outputs for one in item["00081199"]["Value"]]
    assert sorted(uids) == sorted(one.sop_instance_uid for one in stored_objects("1"))
    for item in outputs:
        assert value_of(item, "0020000D") == "1.2.3"
        assert value_of(value_of(item, "0040E021"), "00080054") == "PACS"
        address = value_of(value_of(item, "0040E025"), "00081190")
        assert address == f"http://vna/web/studies/1.2.3/series/{value_of(item, '0020000E')}"


def test_a_completed_workitem_says_who_did_what_and_when(bench, server):
    """Station, workitem code of the order, start before end, all times with their zone."""
    bench.add()
    bench.look()
    bench.site.send(bench.series)
    bench.complete()
    bench.look()

    performed = value_of(server.items[UID], PERFORMED)
    assert value_of(value_of(performed, "00404028"), "00080100") == "NODE1"
    assert value_of(value_of(performed, "00404019"), "00080100") == "ICH-CT"
    start, end = value_of(performed, "00404050"), value_of(performed, "00404051")
    assert start < end
    assert re.fullmatch(r"\d{14}\.\d{6}\+0000", end)


def test_results_are_not_named_before_they_are_delivered(bench, server):
    """While a destination lacks objects the workitem stays in progress."""
    bench.add()
    bench.site.send(bench.series)
    bench.look()
    held = bench.site.claim()
    bench.look()
    assert bench.told() == (50, "analysing")
    bench.ledger.jobs.complete(
        held,
        stored_objects("1"),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={},
        now=bench.clock(),
    )
    bench.look()

    assert bench.told() == (80, "delivering results")
    assert server.state(UID) == "IN PROGRESS"


def test_images_that_were_routed_before_are_not_analysed_again(bench, server):
    """The workitem is completed with the results that are there, by the first look."""
    bench.site.send(bench.series)
    bench.complete()
    bench.add()
    bench.look()

    assert server.state(UID) == "COMPLETED"
    assert len(bench.site.jobs(JobKind.ANALYSIS)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"t00404041": element("CS", "INCOMPLETE")},
        {"t00404018": element("SQ", code("OTHER"))},
        {"t00404025": element("SQ", code("NODE2"))},
        {"t00741000": element("CS", "IN PROGRESS")},
    ],
    ids=["not ready", "other code", "other station", "somebody else's"],
)
def test_what_is_not_for_this_node_is_left_alone(bench, server, changes):
    """Neither claimed nor kept in the ledger."""
    bench.add(**changes)
    before = server.state(UID)
    bench.look()

    assert server.state(UID) == before
    assert bench.ledger.worklists.overview() == ()


def test_a_workitem_without_ct_is_left_alone(bench, server):
    """Its only input is a report: there is nothing to analyse."""
    server.add(workitem(UID, series=[("1.2.3.9", SR)]))
    bench.look()

    assert server.state(UID) == "SCHEDULED"


def test_a_label_can_be_claimed_whatever_the_code(bench, server):
    """Sites without workitem codes word their orders."""
    bench.performer = bench.another(
        claims=ClaimRules(codes=frozenset(), labels=(re.compile("hematoma"),), station="NODE1")
    )
    bench.add(t00404018=element("SQ"))
    bench.look()

    assert server.state(UID) == "IN PROGRESS"


def test_a_workitem_for_this_station_is_claimed(bench, server):
    """Scheduled for it by its code."""
    bench.add(t00404025=element("SQ", code("NODE2"), code("NODE1")))
    bench.look()

    assert server.state(UID) == "IN PROGRESS"


def test_high_priority_makes_the_study_urgent(bench):
    """Whether its images come before the workitem or after it."""
    bench.add(t00741200=element("CS", "HIGH"))
    bench.look()
    bench.site.send(bench.series)
    bench.look()

    (series,) = bench.ledger.reports.overview().series
    assert series.urgency == "priority HIGH in a workitem"
    assert bench.row().urgent


def test_urgent_workitems_are_claimed_first_and_no_more_than_allowed(bench, server):
    """One place: the one with priority HIGH gets it, though it is scheduled later."""
    bench.performer = bench.another(at_most=1)
    bench.add("1.2.77.1")
    bench.add("1.2.77.2", t00741200=element("CS", "HIGH"), t00404005=element("DT", "2027"))
    bench.look()

    assert server.history == [("1.2.77.2", "IN PROGRESS")]


def test_a_claim_whose_answer_was_lost_is_known_by_its_key(bench, server):
    """The server took it; a node started anew finds out and goes on."""
    bench.add()
    server.drop = {"state"}
    bench.look()
    assert bench.row().state is WorkitemState.CLAIMING
    key = server.keys[UID]

    bench.look(60, bench.another())

    assert bench.row().state is WorkitemState.PERFORMING
    assert server.keys == {UID: key}
    assert server.history == [(UID, "IN PROGRESS")]


def test_a_workitem_that_somebody_else_claimed_is_left_to_them(bench, server):
    """The server refuses the key; nothing is written into it."""
    bench.add()
    bench.server.change_state(
        UID, {"00741000": element("CS", "IN PROGRESS"), "00081195": element("UI", "9.9")}
    )
    bench.ledger.worklists.begin(
        "tasks",
        NewWorkitem(
            workitem_uid=UID,
            transaction_uid="2.25.99",
            inputs=(InputSeries(study_uid="1.2.3"),),
            code={},
        ),
        bench.clock(),
    )
    bench.look()

    assert bench.row().state is WorkitemState.LOST
    assert server.updates == []
    assert server.keys == {UID: "9.9"}


@pytest.mark.parametrize("lost", ["update", "state"])
def test_an_end_whose_answer_was_lost_is_told_once(bench, server, lost):
    """Killed between telling and hearing: the workitem is completed, and only once."""
    bench.add()
    bench.look()
    bench.site.send(bench.series)
    bench.complete()
    server.drop = {lost}
    bench.look()
    assert bench.row().state is WorkitemState.COMPLETING

    bench.look(60, bench.another())

    assert bench.row().state is WorkitemState.COMPLETED
    assert [state for _, state in server.history] == ["IN PROGRESS", "COMPLETED"]


def test_a_rejected_series_cancels_the_workitem_with_its_reason(bench, server):
    """Object Types not supported (CID 9300), and the node's own words."""
    bench.add()
    bench.site.send(bench.series)
    held = bench.site.claim()
    bench.ledger.jobs.reject(held, "no head", record={}, now=bench.clock())
    bench.look()

    progress = value_of(server.items[UID], PROGRESS)
    assert server.state(UID) == "CANCELED"
    assert value_of(value_of(progress, "0074100E"), "00080100") == "110522"
    assert value_of(progress, "00741238") == "no head"
    assert bench.row().reason == "no head"


@pytest.mark.parametrize("lost", ["update", "state"])
def test_a_cancelled_workitem_keeps_its_reason_whatever_is_lost_or_refused(bench, server, lost):
    """Killed between telling and hearing, then refused: what is told is why it was cancelled."""
    bench.add()
    bench.look()
    bench.site.send(bench.series)
    held = bench.site.claim()
    bench.ledger.jobs.reject(held, "no head", record={}, now=bench.clock())
    server.drop = {lost}
    bench.look()
    assert bench.row().state is WorkitemState.CANCELING
    server.status = 409
    bench.look(60, bench.another())
    assert "409" in bench.row().reason

    server.status = None
    bench.look(600, bench.another())

    assert bench.row().state is WorkitemState.CANCELED
    assert bench.row().reason == "no head"


def test_images_that_never_come_cancel_the_workitem(bench, server):
    """After the site's patience: Object Set incomplete."""
    bench.add()
    bench.look()
    bench.look(3601)

    progress = value_of(server.items[UID], PROGRESS)
    assert server.state(UID) == "CANCELED"
    assert value_of(value_of(progress, "0074100E"), "00080100") == "110523"


def test_a_requested_cancellation_is_honoured_while_there_is_time(bench, server):
    """Nothing has begun: cancelled, and the words of the requester are not passed on."""
    bench.add()
    bench.look()
    server.request_cancel(UID)
    bench.look()

    assert server.state(UID) == "CANCELED"
    assert bench.row().reason == "a cancellation was requested"


def test_a_cancellation_comes_too_late_for_an_analysis_that_has_begun(bench, server):
    """A performer may choose so (PS3.4, section CC.2.2); the results are delivered and named."""
    bench.add()
    bench.site.send(bench.series)
    bench.look()
    held = bench.site.claim()
    server.request_cancel(UID)
    bench.look()
    assert server.state(UID) == "IN PROGRESS"
    bench.ledger.jobs.complete(
        held,
        stored_objects("1"),
        model_digest="m",
        configuration_digest="c",
        destinations=("pacs",),
        record={},
        now=bench.clock(),
    )
    bench.deliver("pacs")
    bench.look()

    assert server.state(UID) == "COMPLETED"


def test_what_the_server_cancels_is_let_go(bench, server):
    """Before the node had claimed it the server cancels itself (table CC.1.1-2)."""
    bench.add()
    server.request_cancel(UID)
    bench.look()
    assert bench.ledger.worklists.overview() == ()

    bench.add("1.2.77.2")
    bench.look()
    server.items["1.2.77.2"]["00741000"] = element("CS", "CANCELED")
    bench.look()
    assert bench.row("1.2.77.2").state is WorkitemState.LOST


def test_a_deleted_workitem_is_let_go(bench, server):
    """HTTP 404 for what was claimed."""
    bench.add()
    bench.look()
    del server.items[UID]
    bench.look()

    assert bench.row().state is WorkitemState.LOST


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_is_down_is_asked_less_and_less_often(bench, server, status):
    """15 s, 30 s, 60 s; and at once again as usual when it is back."""
    server.status = status
    bench.look(0)
    asked = len(server.requests)
    for seconds, more in ((14, 0), (1, 1), (29, 0), (1, 1), (59, 0), (1, 1)):
        bench.look(seconds)
        assert len(server.requests) - asked == more, seconds
        asked = len(server.requests)
    (told,) = bench.ledger.worklists.worklists()
    assert (told.failures, f"HTTP {status}" in told.reason) == (4, True)

    server.status = None
    bench.add()
    bench.look(120)
    assert server.state(UID) == "IN PROGRESS"
    (told,) = bench.ledger.worklists.worklists()
    assert (told.failures, told.reason) == (0, "")


def test_missing_images_are_fetched_once(bench):
    """The series that the workitem names, then they come like any other."""
    fetched = []

    def fetch(series, *, stop):
        del stop
        fetched.extend(series)
        bench.site.send(bench.series)
        return tuple(
            Retrieval(series=one, completed=12, failed=0, status=0, message="") for one in series
        )

    bench.performer = bench.another(fetch=fetch)
    bench.add()
    bench.look()
    bench.site.assemble(5)
    bench.look()

    assert [one.series_instance_uid for one in fetched] == [bench.series_uid]
    assert bench.told() == (25, "waiting for analysis")


def test_a_fetch_that_broke_off_is_made_again(bench, server):
    """Half of a series is here: it is not taken for the whole, and the rest comes."""
    attempts = []
    bench.performer = bench.another(fetch=broken_off(bench, attempts))
    bench.add()
    bench.look()
    bench.look()
    bench.look()

    assert len(attempts) == 2
    assert server.state(UID) == "IN PROGRESS"
    (series,) = bench.ledger.reports.overview().series
    assert series.images == 12


def thick_series():
    """Return a series of which half is enough to be analysed."""
    return small_series(24, seed=1, study_uid="1.2.3")


def broken_off(bench, attempts):
    """Return a fetch that brings half of a series and breaks off, then brings all of it."""

    def fetch(series, *, stop):
        del stop
        attempts.append(series)
        bench.site.send(bench.half if len(attempts) == 1 else bench.series)
        if len(attempts) == 1:
            raise PeerUnreachableError("The connection to pacs broke")
        return tuple(
            Retrieval(series=one, completed=len(bench.series), failed=0, status=0, message="")
            for one in series
        )

    return fetch


def test_half_of_a_series_is_not_analysed_before_the_rest_is_fetched(bench):
    """A kill in a fetch leaves images without a gap; no opinion on half a head leaves the node."""
    bench.series = thick_series()
    bench.performer = bench.another(fetch=broken_off(bench, []))
    bench.add()
    bench.look()
    bench.site.assemble()
    assert bench.site.jobs(JobKind.ANALYSIS) == []

    bench.look()
    bench.site.assemble(5)

    held = bench.site.claim()
    assert len(held.task.files) == 24
    assert held.task.arrival_flags == frozenset()


def test_what_a_task_no_longer_waits_for_is_analysed_as_it_is(bench, server):
    """The task was cancelled in the middle of its fetch: the series waits for nobody any more."""
    bench.series = thick_series()
    bench.performer = bench.another(fetch=broken_off(bench, []))
    bench.add()
    bench.look()
    server.items[UID]["00741000"] = element("CS", "CANCELED")
    bench.look()
    assert bench.row().state is WorkitemState.LOST

    bench.site.assemble()

    assert len(bench.site.claim().task.files) == 12


def test_a_task_is_not_completed_with_results_of_half_a_series(bench, server):
    """What came was analysed after the force time; the rest never came: Object Set incomplete."""
    bench.series = thick_series()

    def fetch(series, *, stop):
        del series, stop
        if not bench.site.sent:
            bench.site.send(bench.half)
        raise PeerUnreachableError("No connection to pacs")

    bench.performer = bench.another(fetch=fetch)
    bench.add()
    bench.look()
    bench.site.assemble(60)
    bench.complete()
    bench.look()
    assert server.state(UID) == "IN PROGRESS"

    bench.look(3600)

    progress = value_of(server.items[UID], PROGRESS)
    assert server.state(UID) == "CANCELED"
    assert value_of(value_of(progress, "0074100E"), "00080100") == "110523"
    assert bench.row().reason == "the images could not be fetched to the last one"


def test_images_that_cannot_be_fetched_now_are_fetched_later(bench, server):
    """The workitem stays in progress; the PACS is back at the next look."""
    attempts = []

    def fetch(series, *, stop):
        del series, stop
        attempts.append(1)
        raise PeerUnreachableError("No connection to pacs")

    bench.performer = bench.another(fetch=fetch)
    bench.add()
    bench.look()
    bench.look()

    assert len(attempts) == 2
    assert server.state(UID) == "IN PROGRESS"


def test_a_cancelled_workitem_withdraws_what_was_fetched_for_it_alone(bench, server):
    """Images that were routed are analysed all the same."""

    def fetch(series, *, stop):
        del stop
        bench.site.send(bench.series)
        return tuple(
            Retrieval(series=one, completed=12, failed=0, status=0, message="") for one in series
        )

    bench.performer = bench.another(fetch=fetch)
    bench.add()
    bench.look()
    bench.site.assemble(5)
    server.request_cancel(UID)
    bench.look()

    assert [state for *_, state in bench.site.jobs(JobKind.ANALYSIS)] == [JobState.WITHDRAWN]


def test_a_cancelled_workitem_leaves_the_automatic_line_alone(bench, server):
    """The images were routed to the node: their analysis goes on."""
    bench.site.send(bench.series)
    bench.add()
    bench.look()
    server.request_cancel(UID)
    bench.look()

    assert server.state(UID) == "CANCELED"
    assert [state for *_, state in bench.site.jobs(JobKind.ANALYSIS)] == [JobState.QUEUED]


def test_nothing_of_the_patient_gets_into_the_ledger(bench, tmp_path, server, caplog):
    """A workitem names the patient; neither ledger nor log does."""
    with caplog.at_level("DEBUG"):
        bench.add()
        bench.look()
        server.request_cancel(UID)
        bench.look()

    kept = b"".join(path.read_bytes() for path in Path(tmp_path).glob("ledger*"))
    assert b"POISON" not in kept
    assert "POISON" not in caplog.text


def test_workitems_are_counted(bench):
    """Once claimed, once completed, by worklist."""
    bench.site.send(bench.series)
    bench.complete()
    bench.add()
    bench.look()

    found = {
        one.labels["outcome"]: one.value
        for one in bench.ledger.tallies.read()
        if one.tally is Tally.WORKITEMS
    }
    assert found == {"performing": 1, "completed": 1}


def test_the_search_asks_for_what_is_scheduled_and_has_the_code(bench, server):
    """Matching at the server: thousands of other workitems stay there."""
    bench.look()

    (method, path), *_ = server.requests
    assert method == "GET"
    assert "00741000=SCHEDULED" in path
    assert "00404018.00080100=ICH-CT" in path


def test_more_workitems_than_a_page_are_found(bench, server):
    """The one that fits stands behind a hundred that are not ready."""
    for number in range(120):
        bench.add(f"1.2.78.{number}", t00404041=element("CS", "UNAVAILABLE"))
    bench.add()
    bench.look()

    assert server.state(UID) == "IN PROGRESS"


def test_a_forgotten_claim_is_made_again_with_the_same_key(bench, server):
    """The server was restored to a time before it."""
    bench.add()
    bench.look()
    key = server.keys.pop(UID)
    server.items[UID]["00741000"] = element("CS", "SCHEDULED")
    bench.look()

    assert (server.state(UID), server.keys[UID]) == ("IN PROGRESS", key)
