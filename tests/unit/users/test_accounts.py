"""Accounts, log-in, sessions and tokens: who gets in, who does not, and for how long."""

from datetime import timedelta

import pytest
from node_builders import Clock

from dicom_node.errors import AccountError
from dicom_node.jobs.user_ledger import SignIn
from dicom_node.users.accounts import CODE_VALID, Accounts
from dicom_node.users.entrance import (
    FAILURES_OF_ADDRESS,
    FAILURES_OF_NAME,
    THROTTLE_TIME,
    Entrance,
    SessionRules,
    tidy,
)
from dicom_node.users.password import Passwords, check_password
from dicom_node.users.role import UserRole
from dicom_node.users.secret import digest_of, digest_of_code, new_code

PASSWORD = "correct horse battery"  # noqa: S105 - of a test
HERE = "10.0.0.5"

#: As cheap as argon2 gets.
QUICK = Passwords(memory_kib=32, rounds=1)


@pytest.fixture
def users(ledger):
    return ledger.users


@pytest.fixture
def accounts(users, clock):
    return Accounts(users, clock=clock)


@pytest.fixture
def entrance(users, clock):
    return Entrance(users, passwords=QUICK, rules=SessionRules(), clock=clock)


@pytest.fixture
def anna(accounts, entrance):
    """Return a session of an operator with a password."""
    code = accounts.add("anna", UserRole.OPERATOR, by="test")
    return entrance.set_first_password("anna", code, PASSWORD, address=HERE)


def refused(call, *arguments, **options):
    with pytest.raises(AccountError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def test_roles_are_a_ladder():
    """Admins may do what operators may, operators what viewers may."""
    assert [
        [one.includes(other) for other in (UserRole.VIEWER, UserRole.OPERATOR, UserRole.ADMIN)]
        for one in (UserRole.VIEWER, UserRole.OPERATOR, UserRole.ADMIN)
    ] == [[True, False, False], [True, True, False], [True, True, True]]


def test_the_first_log_in_sets_the_password(accounts, entrance):
    """The code opens once, in any spelling; from then on the password does."""
    code = accounts.add("anna", UserRole.OPERATOR, by="test")

    session = entrance.set_first_password(
        " Anna ", code.lower().replace("-", " "), PASSWORD, address=HERE
    )

    assert entrance.session(session).role is UserRole.OPERATOR
    assert entrance.session(entrance.log_in("anna", PASSWORD, address=HERE)).name == "anna"
    assert "one-time code" in refused(
        entrance.set_first_password, "anna", code, PASSWORD, address=HERE
    )


def test_nobody_logs_in_without_a_password(accounts, entrance):
    """Before the first log-in there is no password, the empty one neither."""
    accounts.add("anna", UserRole.VIEWER, by="test")

    for password in ("", "x", PASSWORD):
        assert "wrong" in refused(entrance.log_in, "anna", password, address=HERE)


def test_a_code_ends(accounts, entrance, clock):
    """It can be used for three days."""
    code = accounts.add("anna", UserRole.VIEWER, by="test")
    clock.turn(CODE_VALID.total_seconds())

    assert "too old" in refused(entrance.set_first_password, "anna", code, PASSWORD, address=HERE)


@pytest.mark.parametrize("password", ["short", "a" * 40, "anna is my own name", "x" * 300])
def test_a_weak_password_is_refused_in_words(password):
    """Length counts; the name, and one letter again and again, do not."""
    words = refused(check_password, password, name="anna")

    assert password not in words


@pytest.mark.sqlite
def test_what_is_stored_opens_nothing(anna, users, accounts, tmp_path):
    """Neither passwords nor codes, sessions or tokens stand in the file."""
    code = accounts.add("bert", UserRole.VIEWER, by="test")
    token = accounts.add_token("robot", UserRole.VIEWER, days=1, by="test")

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    for secret in (PASSWORD, anna, code, code.replace("-", ""), token):
        assert secret.encode() not in stored
    assert digest_of(anna).encode() in stored
    assert users.account("anna").password.startswith("$argon2id$")


@pytest.mark.usefixtures("anna")
def test_unknown_names_and_wrong_passwords_sound_alike(entrance):
    """Nobody learns which names there are."""
    assert refused(entrance.log_in, "anna", "no", address=HERE) == refused(
        entrance.log_in, "nobody", "no", address=HERE
    )


@pytest.mark.usefixtures("anna")
def test_after_some_failures_nothing_is_looked_at(entrance, clock):
    """The right password does not help either, until the time is over; elsewhere it does."""
    for _ in range(FAILURES_OF_NAME):
        refused(entrance.log_in, "anna", "no", address=HERE)

    assert "too many" in refused(entrance.log_in, "anna", PASSWORD, address=HERE)
    assert entrance.log_in("anna", PASSWORD, address="10.0.0.6")
    clock.turn(THROTTLE_TIME.total_seconds() + 1)
    assert entrance.log_in("anna", PASSWORD, address=HERE)


@pytest.mark.usefixtures("anna")
def test_codes_and_changes_are_throttled_too(accounts, entrance):
    """There is no other way to guess."""
    code = accounts.new_code("anna")
    for _ in range(FAILURES_OF_NAME):
        refused(entrance.set_first_password, "anna", new_code(), PASSWORD, address=HERE)

    for call in (
        lambda: entrance.set_first_password("anna", code, PASSWORD, address=HERE),
        lambda: entrance.change_password("anna", PASSWORD, PASSWORD + "!", address=HERE),
    ):
        assert "too many" in refused(call)


@pytest.mark.usefixtures("anna")
def test_an_address_that_tries_many_names_is_stopped(entrance):
    """One password against all names gets no further."""
    for number in range(FAILURES_OF_ADDRESS):
        refused(entrance.log_in, f"name{number}", "Spring2026!!", address=HERE)

    assert "too many" in refused(entrance.log_in, "anna", PASSWORD, address=HERE)


def test_a_session_ends_when_it_is_idle(anna, entrance, clock):
    """Every use keeps it open, what a page asks for by itself does not."""
    rules = SessionRules()
    clock.turn(rules.idle.total_seconds() - 1)
    assert entrance.session(anna, touches=False) is not None
    assert entrance.session(anna) is not None
    clock.turn(rules.idle.total_seconds() - 1)
    assert entrance.session(anna, touches=False) is not None
    clock.turn(2)
    assert entrance.session(anna) is None


def test_a_session_ends_at_the_end_of_the_day(anna, entrance, clock):
    """However much it is used."""
    rules = SessionRules()
    while clock() < clock_limit(rules):
        assert entrance.session(anna) is not None
        clock.turn(1800)
    clock.turn(1800)

    assert entrance.session(anna) is None


def clock_limit(rules):
    return Clock().now + rules.longest


def test_a_new_password_ends_every_session(anna, entrance):
    """Whoever had one has to know the new password."""
    other = entrance.log_in("anna", PASSWORD, address="10.0.0.6")

    new = entrance.change_password("anna", PASSWORD, "another long phrase", address=HERE)

    assert entrance.session(anna) is None
    assert entrance.session(other) is None
    assert entrance.session(new).name == "anna"
    assert "wrong" in refused(entrance.log_in, "anna", PASSWORD, address=HERE)


def test_a_new_code_takes_password_and_sessions(anna, accounts, entrance):
    """An admin locks somebody out."""
    accounts.new_code("anna")

    assert entrance.session(anna) is None
    assert "wrong" in refused(entrance.log_in, "anna", PASSWORD, address=HERE)


def test_a_role_counts_from_the_next_request(anna, accounts, entrance):
    """The session needs no new log-in."""
    accounts.set_role("anna", UserRole.ADMIN)

    assert entrance.session(anna).role is UserRole.ADMIN


def test_log_out_ends_the_session_on_the_server(anna, entrance, users):
    """The cookie alone is worth nothing."""
    entrance.log_out(anna, address=HERE)

    assert entrance.session(anna) is None
    assert [one.outcome for one in users.unaudited()] == [SignIn.IN, SignIn.OUT]


def test_the_last_admin_stays(accounts):
    """Nobody locks everybody out."""
    accounts.add("anna", UserRole.ADMIN, by="test")
    accounts.add("bert", UserRole.VIEWER, by="test")

    assert "last admin" in refused(accounts.remove, "anna")
    assert "last admin" in refused(accounts.set_role, "anna", UserRole.VIEWER)
    accounts.set_role("bert", UserRole.ADMIN)
    accounts.remove("anna")
    assert [one.name for one in accounts.all()] == ["bert"]


def test_who_is_removed_leaves_nothing_open(anna, accounts, entrance):
    """Sessions and tokens go with the account."""
    accounts.add("root", UserRole.ADMIN, by="test")
    token = accounts.add_token("robot", UserRole.OPERATOR, days=9, by="anna")

    accounts.remove("anna")

    assert entrance.session(anna) is None
    assert entrance.token(token) is None


def test_a_token_opens_until_its_day(accounts, entrance, clock):
    """It has a role of its own and is written down when it is used."""
    token = accounts.add_token("robot", UserRole.VIEWER, days=2, by="test")

    assert token.startswith("ichnode_")
    assert entrance.token(token).role is UserRole.VIEWER
    assert accounts.tokens()[0].used_at == clock()
    assert entrance.token(token + "x") is None
    clock.turn(timedelta(days=2).total_seconds())
    assert entrance.token(token) is None


def test_a_removed_token_opens_nothing(accounts, entrance):
    """At once."""
    token = accounts.add_token("robot", UserRole.VIEWER, days=2, by="test")
    accounts.remove_token("robot")

    assert entrance.token(token) is None
    assert "no token" in refused(accounts.remove_token, "robot")


@pytest.mark.parametrize("name", ["", "Anna", "a b", "../x", "x" * 33, "-a", "a\n"])
def test_a_name_is_a_short_word(accounts, name):
    """No capitals, blanks or paths."""
    refused(accounts.add, name, UserRole.VIEWER, by="test")
    refused(accounts.add_token, name, UserRole.VIEWER, days=1, by="test")


def test_a_first_start_makes_an_admin_whose_latest_code_works(accounts, entrance):
    """Each start shows a new one until somebody has used it."""
    first, second = accounts.first_code(), accounts.first_code()

    assert "wrong" in refused(entrance.set_first_password, "admin", first, PASSWORD, address=HERE)
    session = entrance.set_first_password("admin", second, PASSWORD, address=HERE)
    assert entrance.session(session).role is UserRole.ADMIN
    assert accounts.first_code() is None


def test_an_admin_whose_password_was_taken_gets_no_code_from_a_restart(accounts, entrance):
    """Only a node that nobody ever used gives one away."""
    session = entrance.set_first_password("admin", accounts.first_code(), PASSWORD, address=HERE)
    assert session
    accounts.new_code("admin")

    assert accounts.first_code() is None


def test_a_code_is_read_as_it_is_heard():
    """Case, dashes and blanks do not matter."""
    assert digest_of_code("abcd-EFGH jklm") == digest_of_code("ABCDEFGHJKLM")


def test_what_is_old_is_forgotten(anna, users, clock):
    """Sessions of yesterday, log-ins of last year."""
    clock.turn(500 * 86400)
    tidy(users, SessionRules(), clock())

    assert users.session(digest_of(anna)) is None
    assert users.unaudited() == ()
