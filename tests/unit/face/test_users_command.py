"""``ichnode users``: people and tokens from the command line, before and after the first start."""

import json

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app


@pytest.fixture
def ichnode(tmp_path):
    """Return what runs a command with settings of its own."""
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\ndata_dir = "{tmp_path / "data"}"\n[audit]\nenabled = true\n', encoding="utf-8"
    )

    def run(*words):
        return CliRunner().invoke(app, [*words, "--config", str(config)])

    run.data = tmp_path / "data"
    return run


def test_a_user_is_made_before_the_first_start(ichnode):
    """The code is shown once, the list shows neither code nor password."""
    made = ichnode("users", "add", "mueller", "--role", "operator")
    code = made.output.split()[4]
    listed = ichnode("users", "list", "--json")

    assert made.exit_code == 0
    assert len(code) == 14
    (user,) = json.loads(listed.output)["users"]
    assert (user["name"], user["role"], user["password_set_at"]) == ("mueller", "operator", "")
    assert code not in listed.output


def test_roles_codes_and_tokens_are_changed(ichnode):
    """Each by its command, each in the audit trail."""
    for words in (
        ("users", "add", "anna", "--role", "admin"),
        ("users", "add", "bert"),
        ("users", "role", "bert", "operator"),
        ("users", "code", "bert"),
        ("users", "token", "add", "robot", "--days", "3"),
    ):
        assert ichnode(*words).exit_code == 0, words

    shown = ichnode("users", "list")
    assert "operator" in shown.output
    assert "robot" in shown.output
    for words in (("users", "token", "remove", "robot"), ("users", "remove", "bert")):
        assert ichnode(*words).exit_code == 0
    messages = [path.read_text() for path in sorted((ichnode.data / "audit").iterdir())]
    assert len(messages) == 7
    assert all("110138" in one or "110113" in one for one in messages)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("users", "add", "Big Name"), "a name has"),
        (("users", "add", "x", "--role", "king"), "a role is"),
        (("users", "remove", "nobody"), "no user"),
        (("users", "remove", "anna"), "last admin"),
        (("users", "token", "remove", "none"), "no token"),
    ],
)
def test_what_cannot_be_is_refused_in_words(ichnode, words, reason):
    """The exit code is not 0."""
    ichnode("users", "add", "anna", "--role", "admin")

    refused = ichnode(*words)

    assert refused.exit_code != 0
    assert reason in str(refused.exception)
