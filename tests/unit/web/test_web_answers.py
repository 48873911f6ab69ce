"""What the node answers people, in Chinese: tests of peers, refusals, faults, help."""

import ast
import re
from pathlib import Path

import pytest

from dicom_node import web
from dicom_node.association import peer_trial, storage_scu, tls
from dicom_node.association.context_answers import ContextAnswer
from dicom_node.bootstrap import peer_trial as page_trial
from dicom_node.configuration import desk, toml_text
from dicom_node.configuration.setting_keys import setting_keys
from dicom_node.follow_up_view import ComparisonRow, SearchRow
from dicom_node.jobs import prior_seeker
from dicom_node.jobs.user_ledger import SignIn
from dicom_node.settings import contradictions, values
from dicom_node.settings import file as settings_file
from dicom_node.settings import web as web_settings
from dicom_node.settings.contradictions import SettingsFault
from dicom_node.web.language import translations
from dicom_node.web.pages import audit
from dicom_node.web.refusal_page import refusal_words
from dicom_node.web.sentences import translated

CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[a-z]{4,} [a-z]{2,} ")
#: What others say, behind where it was said.
NO_SENTENCES = {"7 port 7: 7", "status 0x7"}


def chinese(sentence):
    return translated(sentence, translations("zh").gettext)


def variants(node):
    """Return the texts that an expression can be, with 7 in place of what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return variants(node.body) + variants(node.orelse)
    if not isinstance(node, ast.JoinedStr):
        return []
    found = [""]
    for part in node.values:
        here = variants(part.value) if isinstance(part, ast.FormattedValue) else [part.value]
        found = [begin + one for begin in found for one in here or [filled(part)]]
    return found


def filled(node):
    """Return an example of what is filled in, by its name."""
    name = ast.unparse(node.value)
    if node.conversion == ord("r"):
        return "'7'"
    examples = {
        "peer.url": "https://vna.example",
        "version": "TLSv1.3",
        "ours": "AE title I at 7",
        "where": "7 port 7",
        "SQLITE": "sqlite",
    }
    return examples.get(name, "7")


def said_by(module):
    """Return what a test of a peer finds and advises, as the module says it."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    values = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in {"found", "advice"}:
            values.append(node.value)
        elif isinstance(node, ast.Assign):
            (target,) = node.targets
            names = [one.id for one in getattr(target, "elts", [target]) if hasattr(one, "id")]
            given = getattr(node.value, "elts", [node.value])
            values += [
                value
                for name, value in zip(names, given, strict=False)
                if name in {"found", "advice"}
            ]
        elif isinstance(node, ast.FunctionDef) and node.name == "_advice":
            values += [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
    said = {text for value in values for text in variants(value) if text}
    return sorted(said - NO_SENTENCES)


TRIALS = said_by(peer_trial) + said_by(page_trial)


def test_the_sentences_of_a_test_are_found():
    """Else the next test would claim nothing."""
    assert "ask whether the DICOM service runs, and on which port" in TRIALS
    assert "7 port 7 refuses connections" in TRIALS
    assert len(TRIALS) > 25


@pytest.mark.parametrize("sentence", TRIALS)
def test_every_finding_and_advice_of_a_test_is_said_in_chinese(sentence):
    """A new one needs its pattern in `dicom_node.web.answer_sentences`."""
    told = chinese(sentence)

    assert CHINESE.search(told), sentence
    assert not ENGLISH.search(told.partition("ichnode")[0]), told
    assert told.count("7") == sentence.count("7")


@pytest.mark.parametrize("sentence", sorted({words for _, words in tls._HANDSHAKE_WORDS}))
def test_every_failure_of_a_handshake_is_said_in_chinese(sentence):
    """Alone, and as the reason why there is no connection."""
    assert CHINESE.search(chinese(sentence))
    assert chinese(sentence) in chinese(f"No TLS with pacs (PACS@10.0.0.7:104): {sentence}")


@pytest.mark.parametrize("result", range(1, 6))
def test_every_refusal_of_a_context_is_said_in_chinese(result):
    """PS3.8, table 9-18, and what is not in it."""
    answer = ContextAnswer(
        context_id=1, sop_class_uid="1.2", transfer_syntax_uid="1.2", result=result
    )

    assert CHINESE.search(chinese(answer.verdict)), answer.verdict


@pytest.mark.parametrize(
    "words", ["accepted", "stored with a warning", *(words for _, words in storage_scu._FAILURES)]
)
def test_whatever_a_destination_answers_is_said_in_chinese(words):
    """The name of the peer and the status stay (PS3.4, table B.2-1)."""
    told = chinese(f"pacs: {words} (0xA702)")

    assert words not in told
    assert CHINESE.search(told)
    assert "0xA702" in told


@pytest.mark.parametrize("outcome", SignIn)
def test_what_became_of_a_log_in_is_said_in_chinese(outcome):
    """With where it came from."""
    told = chinese(f"{audit._OUTCOMES[outcome]}, 10.0.0.5")

    assert CHINESE.search(told)
    assert "10.0.0.5" in told


#: A comparison without volumes: it waits, or it failed.
BARE = {"baseline_volume_ml": None}


def comparison(**facts):
    """Return the words of a comparison."""
    row = {
        "job_id": 7,
        "state": "delivered",
        "reason": "",
        "outcome": "compared",
        "baseline_series_instance_uid": "1.2",
        "elapsed_hours": 5.04,
        "expanded": True,
        "baseline_volume_ml": 12.34,
        "follow_up_volume_ml": 20.0,
        "flags": (),
        "deliveries": (),
        "has_picture": False,
    }
    return ComparisonRow(**row | facts).words


def search(reason="", *, state="pending", again=""):
    row = SearchRow(peer="pacs", state=state, attempts=1, reason=reason, next_attempt_at=again)
    return row.words


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        (comparison(), ["12.3", "20.0", "5.0"]),
        (comparison(expanded=False), ["12.3", "20.0", "5.0"]),
        (comparison(expanded=None, elapsed_hours=None), ["12.3", "20.0"]),
        (comparison(**BARE, state="queued"), []),
        (comparison(**BARE, state="failed", reason="more images came"), []),
        (search(), ["pacs"]),
        (search(prior_seeker.NOTHING, state="done"), ["pacs"]),
        (search(f"{prior_seeker.NOTHING} that is not here yet", state="done"), ["pacs"]),
        (search("fetched 3 images of 2 series", state="done"), ["3", "2"]),
        (search("none of 9 images could be fetched", again="2026-01-10 12:00"), ["9", "12:00"]),
    ],
)
def test_what_came_of_earlier_scans_is_said_in_chinese(sentence, kept):
    """Numbers stay; verdict, state and reason have their words."""
    told = chinese(sentence)

    assert CHINESE.search(told)
    assert not re.search(r"[a-z]{5,}", told), told
    assert [part for part in kept if part not in told] == []


def test_the_verdicts_of_comparisons_differ_in_chinese():
    """Expanded is not: not expanded."""
    told = [chinese(comparison(expanded=one)) for one in (True, False, None)]

    assert [one[-3:] for one in told] == ["已扩大", "未扩大", "无结论"]


def refusals():
    """Return the reasons of refusals that stand in the code of the pages."""
    found = []
    for path in sorted(Path(web.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HTTPException":
                found += [text for one in node.args[1:] for text in variants(one)]
    return sorted(set(found))


@pytest.mark.parametrize("sentence", refusals())
def test_every_refusal_of_a_page_is_said_in_chinese(sentence):
    """A new one needs its words in `dicom_node.web.answer_sentences`."""
    assert CHINESE.search(chinese(sentence)), sentence


@pytest.mark.parametrize(
    "expected",
    [
        re.sub(r"\{\w+\}", "7", one)
        for one in settings_file._EXPECTATIONS.values()
        if one != "{error}"
    ],
)
def test_every_fault_of_a_value_is_said_in_chinese(expected):
    """Key and value found stay as they are."""
    told = chinese(str(SettingsFault(key="peers[1].port", found='"x"', expected=expected)))

    assert told.startswith("peers[1].port")
    assert '"x"' in told
    assert CHINESE.search(told)
    assert expected not in told or expected.startswith("true")


def setting_faults():
    """Return what the modules of the settings say they found and expected, as it stands there."""
    found = []
    for module in (contradictions, settings_file, values, web_settings, toml_text, desk):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ValueError":
                found += [("nothing", text) for one in node.args for text in variants(one)]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SettingsFault":
                said = {one.arg: variants(one.value) for one in node.keywords}
                found += [
                    (one, other)
                    for one in said["found"] or ['"7"']
                    for other in said["expected"] or ["a table"]
                ]
    return sorted(set(found))


@pytest.mark.parametrize(("found", "expected"), setting_faults())
def test_every_fault_of_the_settings_is_said_in_chinese(found, expected):
    """A new one needs its words in `dicom_node.web.setting_sentences`; values stay."""
    told = chinese(str(SettingsFault(key="peers[1].port", found=found, expected=expected)))

    assert told.startswith("peers[1].port")
    assert CHINESE.search(chinese(expected)), expected
    if re.search("[a-z]{4,} [a-z]", found):
        assert found not in told


def test_a_contradiction_of_settings_is_said_in_chinese_with_its_reason():
    """Two ports that are the same, and TLS without its files."""
    document = {"node": {"port": 8180}, "tls": {"enabled": True}}

    told = [chinese(str(one)) for one in contradictions.faults_between_keys(document)]

    assert any(one.startswith("web.port") and "与 node.port 不同的端口" in one for one in told)
    assert any(one.startswith("tls.key") and "tls.enabled 为 true" in one for one in told)


@pytest.mark.parametrize("one", setting_keys().values(), ids=lambda one: one.name)
def test_the_help_of_every_setting_is_said_in_chinese(one):
    """`make strings` takes it from config/node.toml; examples stay as the file has them."""
    told = translations("zh").gettext(one.help)

    assert CHINESE.search(told), one.name
    assert told.partition("\n")[2] == one.help.partition("\n")[2] or CHINESE.search(
        told.partition("\n")[2]
    )


def test_the_page_of_a_setting_helps_in_chinese(node):
    """In place of the English text, not beside it."""
    client = node.client("anna")
    client.cookies.set("ichnode-language", "zh")

    page = client.get("/configuration/set?key=node.ae_title").text

    assert "How the node is called" not in page
    assert translations("zh").gettext(setting_keys()["node.ae_title"].help) in page


def test_what_a_destination_has_is_said_in_chinese(node):
    """In the list of studies."""
    client = node.client("vera")
    english = re.search(r"pacs: \d+ of \d+ accepted", client.get("/studies").text)[0]
    client.cookies.set("ichnode-language", "zh")

    page = client.get("/studies").text

    assert english not in page
    assert chinese(english) in page


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [("anna", "/nowhere", 404), ("otto", "/users", 403), ("anna", "/logout", 405)],
)
def test_the_page_of_a_refusal_says_what_to_do(node, name, path, status):
    """In words for people, in their language; the number is there for support."""
    client = node.client(name)
    words = refusal_words(status)
    answer = client.get(path)
    client.cookies.set("ichnode-language", "zh")
    told = client.get(path)

    assert answer.status_code == told.status_code == status
    assert words.title in answer.text
    assert words.advice in answer.text
    assert f"HTTP {status}" in answer.text
    assert translations("zh").gettext(words.advice) in told.text
    assert words.advice not in told.text


def test_who_is_logged_in_stays_so_where_there_is_no_page(node):
    """The way to the other pages is there, and no second log-in is offered."""
    page = node.client("anna").get("/nowhere").text

    assert 'href="/studies"' in page
    assert 'href="/login"' not in page
    assert 'href="/login"' in node.client().get("/nowhere").text


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 422, 500, 503, 507])
def test_whatever_a_page_refuses_has_its_advice(status):
    """Every status that the pages answer with."""
    assert refusal_words(status).advice


def test_an_unusual_refusal_is_called_as_http_calls_it():
    """Or by its number, if nobody knows it."""
    assert refusal_words(418).title == "I'm a Teapot"
    assert refusal_words(599).title == "599"
