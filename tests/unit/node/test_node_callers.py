"""Who may call: the decision, without a network."""

import socket
from datetime import timedelta
from ipaddress import ip_network

import pytest
from certificate_builder import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from node_builders import Clock

from dicom_node.association.caller_certificate import (
    CertificatePart,
    CertificateRule,
    ShownCertificate,
    read_shown,
    shown_certificate,
)
from dicom_node.association.callers import (
    Admission,
    Call,
    Caller,
    Permission,
    Rejection,
    permission_for,
)
from dicom_node.association.receive_limits import (
    LONGEST_COMMAND_SET,
    BoundedCommandSet,
    ByteBudget,
    MeasuredDataSet,
    ReceiveLimits,
)
from dicom_node.association.refusals import REFUSAL_WORDS, RefusalKind, Refusals

CT1 = Caller(ae_title="CT1", network=ip_network("10.0.0.21"), may=frozenset({Permission.STORE}))
PACS = Caller(ae_title="PACS", network=ip_network("10.0.0.0/28"), max_associations=1)
ANY_OF_LAB = Caller(ae_title=None, network=ip_network("192.168.7.0/24"))


def admission(*callers, **options):
    return Admission(
        **{
            "ae_title": "ICHNODE",
            "callers": callers or (CT1, PACS, ANY_OF_LAB),
            "max_associations": 4,
            "max_per_caller": 2,
        }
        | options
    )


def call(calling, address, called="ICHNODE"):
    return Call(calling=calling, called=called, address=address)


@pytest.mark.parametrize(
    ("calling", "address", "entry"),
    [
        ("CT1", "10.0.0.21", CT1),
        ("PACS", "10.0.0.3", PACS),
        ("PACS", "::ffff:10.0.0.3", PACS),  # a socket for both protocols says it so
        ("WHATEVER", "192.168.7.9", ANY_OF_LAB),
    ],
)
def test_title_and_address_together_let_in(calling, address, entry):
    """Each caller by its own entry."""
    assert admission().decide(call(calling, address), []) is entry


@pytest.mark.parametrize(
    ("request_", "kind", "fields"),
    [
        (call("CT1", "10.0.0.22"), RefusalKind.WRONG_ADDRESS, (1, 1, 3)),
        (call("PACS", "10.0.0.16"), RefusalKind.WRONG_ADDRESS, (1, 1, 3)),
        (call("CT1", "no address"), RefusalKind.WRONG_ADDRESS, (1, 1, 3)),
        (call("CT1", "10.0.0.21", called="OTHER"), RefusalKind.WRONG_CALLED_TITLE, (1, 1, 7)),
    ],
)
def test_others_are_rejected_with_the_fields_of_the_standard(request_, kind, fields):
    """PS3.8, table 9-21: calling AE title 3, called AE title 7, both permanent."""
    answer = admission().decide(request_, [])

    assert isinstance(answer, Rejection)
    assert answer.kind is kind
    assert (answer.result, answer.source, answer.diagnostic) == fields


def test_an_unknown_title_is_told_apart_from_a_known_one_elsewhere():
    """The log must say whether to add a title or to correct an address."""
    answer = admission(CT1).decide(call("CT2", "10.0.0.21"), [])

    assert isinstance(answer, Rejection)
    assert answer.kind is RefusalKind.UNKNOWN_CALLER


@pytest.mark.parametrize(
    ("open_calls", "kind"),
    [
        ([call("CT1", "10.0.0.21")] * 2, RefusalKind.CALLER_LIMIT),
        ([call("CT1", "10.0.0.21"), call("PACS", "10.0.0.3")] * 2, RefusalKind.NODE_LIMIT),
    ],
)
def test_limits_are_transient(open_calls, kind):
    """PS3.8, table 9-21: local limit exceeded, come again."""
    answer = admission().decide(call("CT1", "10.0.0.21"), open_calls)

    assert isinstance(answer, Rejection)
    assert answer.kind is kind
    assert (answer.result, answer.source, answer.diagnostic) == (2, 3, 2)


def test_one_caller_cannot_take_the_places_of_the_others():
    """Two of CT1 are open; its own third is rejected, PACS gets in."""
    busy = [call("CT1", "10.0.0.21")] * 2

    assert admission().decide(call("PACS", "10.0.0.3"), busy) is PACS
    assert isinstance(
        admission().decide(call("PACS", "10.0.0.3"), [call("PACS", "10.0.0.3")]), Rejection
    )


def test_the_narrowest_entry_counts():
    """A guest may echo; the one address that may store is not held to that."""
    guests = Caller(ae_title=None, may=frozenset({Permission.ECHO}))
    wide = Caller(ae_title="CT1", network=ip_network("10.0.0.0/8"))
    rule = admission(guests, wide, CT1)

    assert rule.decide(call("CT1", "10.0.0.21"), []) is CT1
    assert rule.decide(call("CT1", "10.9.9.9"), []) is wide
    assert rule.decide(call("CT9", "10.9.9.9"), []) is guests


CT1_CERTIFICATE = ShownCertificate(
    common_names=frozenset({"CT1"}),
    dns_names=frozenset({"ct1.hospital"}),
    fingerprint="0a" * 32,
)
OTHER_CERTIFICATE = ShownCertificate(
    common_names=frozenset({"CT10"}),
    dns_names=frozenset({"x.ct1.hospital"}),
    fingerprint="0b" * 32,
)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (CertificatePart.COMMON_NAME, "CT1"),
        (CertificatePart.DNS_NAME, "ct1.hospital"),
        (CertificatePart.FINGERPRINT, "0a" * 32),
    ],
)
def test_a_title_can_be_bound_to_a_certificate(part, value):
    """By name or fingerprint, as a whole; no certificate, or another one, is rejected."""
    bound = Caller(ae_title="CT1", certificate=CertificateRule(part=part, value=value))
    rule = admission(bound, PACS)
    shown, other, none = (
        Call(calling="CT1", called="ICHNODE", address="10.0.0.21", certificate=one)
        for one in (CT1_CERTIFICATE, OTHER_CERTIFICATE, None)
    )

    assert rule.decide(shown, []) is bound
    for refused in (other, none):
        answer = rule.decide(refused, [])
        assert isinstance(answer, Rejection)
        assert answer.kind is RefusalKind.WRONG_CERTIFICATE
        assert (answer.result, answer.source, answer.diagnostic) == (1, 1, 3)


def test_an_entry_with_a_certificate_goes_before_one_without():
    """The scanner with its key may store; who only knows its title may echo."""
    known = CertificateRule(part=CertificatePart.COMMON_NAME, value="CT1")
    own = Caller(ae_title="CT1", certificate=known)
    title = Caller(
        ae_title="CT1", network=ip_network("10.0.0.21"), may=frozenset({Permission.ECHO})
    )
    shown = Call(calling="CT1", called="ICHNODE", address="10.0.0.21", certificate=CT1_CERTIFICATE)

    assert admission(title, own).decide(shown, []) is own
    assert admission(title, own).decide(call("CT1", "10.0.0.21"), []) is title


def test_a_certificate_is_read_as_other_software_prints_it(tmp_path):
    """The fingerprint is that of the cryptography library; addresses are no names."""
    pem = Authority(tmp_path).issue("CT1", hosts=("CT1.Hospital",), addresses=("10.0.0.21",))
    found = x509.load_pem_x509_certificate(pem.certificate.read_bytes())

    shown = read_shown(found.public_bytes(Encoding.DER))

    assert shown.common_names == {"CT1"}
    assert shown.dns_names == {"ct1.hospital"}
    assert shown.fingerprint == found.fingerprint(hashes.SHA256()).hex()


def test_a_connection_without_tls_shows_no_certificate():
    """Neither does one that has ended already."""
    near, far = socket.socketpair()
    with near, far:
        assert shown_certificate(near) is None
    assert shown_certificate(None) is None


def test_an_address_that_nobody_has_is_known_before_a_byte_is_read():
    """Where every entry names an address."""
    assert admission().knows_address("10.0.0.21")
    assert not admission().knows_address("10.0.0.99")
    assert admission(Caller(ae_title="CT1")).knows_address("10.0.0.99")


def test_sop_classes_need_permissions():
    """Verification, storage commitment, and all storage."""
    assert permission_for("1.2.840.10008.1.1") is Permission.ECHO
    assert permission_for("1.2.840.10008.1.20.1") is Permission.COMMIT
    assert permission_for("1.2.840.10008.5.1.4.1.1.2") is Permission.STORE


@pytest.mark.parametrize(
    "options", [{"ae_title": "A" * 17}, {"may": frozenset()}, {"max_associations": 0}]
)
def test_an_entry_that_makes_no_sense_is_refused(options):
    """A title that is none, nothing permitted, no association."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Caller(**{"ae_title": "CT1"} | options)


# What is received.


def test_a_data_set_within_the_limit_is_kept():
    """Piece by piece, and its memory is given back."""
    budget = ByteBudget(100)
    data_set = MeasuredDataSet(max_bytes=10, budget=budget)

    data_set.write(b"12345")
    data_set.write(b"67890")

    assert (data_set.getvalue(), data_set.refusal, budget.used) == (b"1234567890", None, 10)
    data_set.close()
    assert budget.used == 0


def test_a_data_set_that_is_forgotten_gives_its_memory_back():
    """The connection broke; nobody closed it."""
    budget = ByteBudget(100)
    data_set = MeasuredDataSet(max_bytes=10, budget=budget)
    data_set.write(b"12345")

    del data_set

    assert budget.used == 0


@pytest.mark.parametrize(
    ("max_bytes", "budget", "kind"),
    [
        (10, 1000, RefusalKind.OBJECT_TOO_LARGE),
        (1000, 10, RefusalKind.OUT_OF_MEMORY),
    ],
)
def test_a_data_set_beyond_a_limit_keeps_nothing(max_bytes, budget, kind):
    """The first byte too many throws all away; what follows is swallowed."""
    budget = ByteBudget(budget)
    data_set = MeasuredDataSet(max_bytes=max_bytes, budget=budget)

    for _ in range(4):
        assert data_set.write(b"12345") == 5

    assert (data_set.getvalue(), data_set.refusal, budget.used) == (b"", kind, 0)


def test_a_command_set_has_an_end():
    """A few hundred bytes are normal."""
    command = BoundedCommandSet()
    command.write(bytes(LONGEST_COMMAND_SET))

    with pytest.raises(ValueError, match="longer than 65536"):
        command.write(b"1")


@pytest.mark.parametrize("field", ["request_s", "pdu_s", "message_s", "max_object_bytes"])
def test_limits_are_positive(field):
    """Zero would shut everybody out."""
    with pytest.raises(ValueError, match=field):
        ReceiveLimits(**{field: 0})


# Refusals.


def test_a_flood_of_refusals_is_counted_but_logged_once_a_minute(caplog):
    """A thousand calls in a minute are one line; the next line says how many there were."""
    clock = Clock()
    refusals = Refusals(clock)

    for _ in range(1000):
        refusals.note(RefusalKind.UNKNOWN_CALLER, address="10.0.0.9", ae_title="X")
    clock.turn(61)
    refusals.note(RefusalKind.UNKNOWN_CALLER, address="10.0.0.9", ae_title="X")

    assert refusals.totals() == {RefusalKind.UNKNOWN_CALLER: 1001}
    assert len(caplog.records) == 2
    assert "999 more since the last such line" in caplog.text


def test_counts_are_taken_once():
    """Who, why, how often and when last."""
    clock = Clock()
    refusals = Refusals(clock)
    refusals.note(RefusalKind.TOO_SLOW, address="10.0.0.9")
    clock.turn(5)
    refusals.note(RefusalKind.TOO_SLOW, address="10.0.0.9")

    (count,) = refusals.take()

    assert (count.kind, count.address, count.count) == (RefusalKind.TOO_SLOW, "10.0.0.9", 2)
    assert count.last_at == clock() == Clock().now + timedelta(seconds=5)
    assert refusals.take() == ()
    assert refusals.totals() == {RefusalKind.TOO_SLOW: 2}


def test_invented_titles_do_not_fill_the_memory():
    """Beyond a thousand callers they are counted together."""
    refusals = Refusals(Clock())

    for number in range(3000):
        refusals.note(RefusalKind.UNKNOWN_CALLER, address="10.0.0.9", ae_title=f"X{number}")

    counts = refusals.take()
    assert len(counts) == 1001
    assert sum(one.count for one in counts) == 3000


def test_every_kind_has_words():
    """No log line without a reason."""
    assert set(REFUSAL_WORDS) == set(RefusalKind)
