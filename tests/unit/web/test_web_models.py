"""Models in the browser and for programs: cards, trial, promotion, who may, what is refused."""

import json
import re
import shutil
import threading

import pytest
from web_builder import RECORD, post, web_node

from dicom_node.bootstrap.model_trial import SENTENCES, WHEN
from dicom_node.bootstrap.model_warm_up import UnusableModelsError
from dicom_node.jobs.state import JobKind, JobState
from dicom_node.jobs.tables import JobRow
from dicom_node.users.role import UserRole
from dicom_node.web.card_words import told
from dicom_node.web.language import translations
from dicom_node.web.words import MODELS
from pipeline.model_bundle import builtin_bundle_path, builtin_bundle_paths, load_card

PATIENCE_S = 60
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def rival(data_folder):
    """Return a folder with another classifier, by its card; nobody loads its weights here."""
    folder = data_folder / "models" / "he-2027"
    shutil.copytree(builtin_bundle_path("demo-classification"), folder)
    card = json.loads((folder / "card.json").read_text())
    card |= {"name": "he-2027", "version": "2", "weights_sha256": "ab" * 32}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def trier():
    """Return what stands in for the process that loads models, and waits until it is told."""

    class Trier:
        def __init__(self):
            self.may_end, self.fault, self.seen = threading.Event(), "", []
            self.may_end.set()

        def __call__(self, settings):
            self.seen.append(settings.worker)
            assert self.may_end.wait(PATIENCE_S)
            if self.fault:
                raise UnusableModelsError(self.fault)

    return Trier()


@pytest.fixture
def node(data_folder, trier):
    with web_node(data_folder, try_models=trier) as node:
        yield node
        trier.may_end.set()
        settled(node)


def settled(node):
    """Return the work of the desk once it is at its end."""
    for thread in threading.enumerate():
        if thread.name == "models":
            thread.join(PATIENCE_S)
    return node.pages.sources.models.look().work


def worker(node):
    return node.desk.read().settings.worker


def test_a_card_says_loudly_what_was_simulated(node):
    """The demonstration, simulated training data, and each score by its data."""
    html = node.client("vera").get("/models").text

    assert "demo-classification 1.0" in html
    assert "DEMONSTRATION MODEL" in html
    assert "SIMULATED DATA" in html
    assert "dice: 0.897 (95 % CI 0.854 to 0.929)" in html
    by_name = {
        cohort["name"]: cohort["simulated"]
        for model in node.client("vera").get("/api/v1/models").json()["in_use"]
        for cohort in model["scores"]
    }
    assert by_name["simulated held out test"]
    assert not by_name["phe sich held out derived cores"]


def test_the_cards_of_the_shipped_models_are_said_in_chinese(node):
    """Texts, names of facts and scores; numbers stay. A site's own card stays as it is written."""
    client = node.client("vera")
    client.cookies.set("ichnode-language", "zh")

    html = client.get("/models").text

    for words in (
        *(
            "仅模拟数据",
            "两个网络",
            "模拟留出测试数据",
            "Dice: 0.897",
            "95 % 置信区间 0.854 至 0.929",
        ),
        *("在 28 例患者上拟合", "Wilcoxon p 值", "体积的 95 % 范围", "除以 57.5"),
    ):
        assert words in html, words
    for card in map(load_card, builtin_bundle_paths()):
        for text in (card.training_cohort, card.intended_use):
            assert text not in html
            assert CHINESE.search(told(text, translations("zh").gettext))
    assert told("Our own 60 patients", translations("zh").gettext) == "Our own 60 patients"


def test_models_are_put_on_trial_and_take_over(node, rival, trier, monkeypatch):
    """What the page does stands in the settings, both histories and the audit trail."""
    noted = []
    monkeypatch.setattr(
        node.pages.sources.audit,
        "intervened",
        lambda visitor, what, _: noted.append((visitor.name, what)),
    )
    answer = post(node.client("otto"), "/models/trial", folder=str(rival), why="fitted here")
    assert answer.headers["location"] == "/models?done=begun"
    assert settled(node).step == "done"
    assert worker(node).shadow_classification_bundle == str(rival)
    assert trier.seen[0].classification_bundle == str(rival)

    html = node.client("anna").get("/models").text
    assert "he-2027 2" in html
    assert "These models have not seen any scan" in html
    fields = {"weights": "ab" * 32, "looked": "1", "why": "better"}
    post(node.client("anna"), "/models/promotion", **fields)

    assert settled(node).step == "done"
    assert worker(node).classification_bundle == str(rival)
    assert worker(node).shadow_classification_bundle == ""
    assert [(one.who, one.why) for one in node.desk.history()[-2:]] == [
        ("otto", "fitted here"),
        ("anna", "better"),
    ]
    events = node.client("vera").get("/api/v1/models").json()["history"]
    assert [(one["event"], one["who"]) for one in events] == [
        ("promoted", "anna"),
        ("on trial", "otto"),
    ]
    assert noted == [
        ("otto", "asked for a trial of models: he-2027 2"),
        ("anna", "asked to promote models: he-2027 2"),
    ]
    html = node.client("vera").get("/models").text
    assert "the models on trial have taken over" in html
    assert WHEN in html


def test_while_models_are_tried_nothing_else_begins(node, rival, trier):
    """The page says who waits for what, and asks by itself how far it is."""
    trier.may_end.clear()
    otto = node.client("otto")
    post(otto, "/models/trial", folder=str(rival))

    html = otto.get("/models").text
    assert "loaded and tried in a process of their own" in html
    assert 'hx-trigger="every 2s"' in html
    assert 'action="/models/trial"' not in html
    again = post(otto, "/models/trial", folder=str(rival))
    assert "wait+for+them" in again.headers["location"]
    assert worker(node).shadow_classification_bundle == ""

    trier.may_end.set()
    assert settled(node).step == "done"


def test_models_that_cannot_be_used_change_nothing(node, rival, trier):
    """The page says why."""
    trier.fault = "the models cannot be used: weights.safetensors has another digest"
    before = node.desk.read().digest
    post(node.client("otto"), "/models/trial", folder=str(rival))

    assert settled(node).step == "refused"
    assert node.desk.read().digest == before
    assert "has another digest" in node.client("vera").get("/models").text


def test_somebody_elses_change_meanwhile_is_not_overwritten(node, rival, trier):
    """The settings were another file when the models were warm."""
    trier.may_end.clear()
    post(node.client("otto"), "/models/trial", folder=str(rival))
    node.desk.path.write_text(node.desk.path.read_text() + "\n# an editor was here\n")
    trier.may_end.set()

    assert "changed by somebody else" in settled(node).fault
    assert worker(node).shadow_classification_bundle == ""


def test_a_promotion_needs_a_look_at_the_models_that_are_on_trial(node, rival):
    """Without the tick, without a trial, and with other models than those that were shown."""
    anna = node.client("anna")
    refused = post(anna, "/models/promotion", weights="ab" * 32)
    assert "looked+at+the+comparison" in refused.headers["location"]
    nothing = post(anna, "/models/promotion", weights="ab" * 32, looked="1")
    assert "no+model+is+on+trial" in nothing.headers["location"]

    post(anna, "/models/trial", folder=str(rival))
    settled(node)
    other = post(anna, "/models/promotion", weights="cd" * 32, looked="1")
    assert "other+models+are+on+trial" in other.headers["location"]
    assert worker(node).classification_bundle == "demo-classification"


def add_shadow(node, number, state, **facts):
    """Write a job of a trial into the ledger as a worker would leave it."""
    with node.ledger.database.write() as session:
        session.add(
            JobRow(
                series_uid=node.series,
                study_uid=node.study,
                input_digest=f"{number}",
                state=state,
                kind=JobKind.SHADOW,
                analysis_job_id=node.job,
                created_at=node.clock(),
                available_at=node.clock(),
                **facts,
            )
        )


def test_the_trial_stands_beside_the_models_in_use(node, rival):
    """Scans seen, waiting and failed since it began; what both said; how many more it takes."""
    before = node.client("vera").get("/models").text
    add_shadow(node, 1, JobState.FAILED, reason="of an earlier trial", finished_at=node.clock())
    node.clock.turn(60)
    post(node.client("otto"), "/models/trial", folder=str(rival))
    settled(node)
    node.clock.turn(60)
    said = {**RECORD, "he_label": "NHE", "he_probability": 0.214, "kind": "shadow"}
    said["model"] = {"classification": {"name": "he-2027", "weights_sha256": "ab" * 32}}
    record = json.dumps(said)
    add_shadow(node, 2, JobState.DELIVERED, record=record, finished_at=node.clock())
    add_shadow(node, 3, JobState.QUEUED)
    add_shadow(node, 4, JobState.FAILED, reason="not enough memory", finished_at=node.clock())

    found = node.client("vera").get("/api/v1/models").json()
    html = node.client("vera").get("/models").text

    assert "How far the trial is" not in before
    assert found["progress"] == {
        "waiting": 1,
        "done": 1,
        "refused": 0,
        "failed": 1,
        "last_failure": "not enough memory",
    }
    (section,) = found["comparisons"]
    assert ["expansion called otherwise", "1"] in section["rows"]
    assert ["mean difference of probability", "0.50"] in section["rows"]
    assert "On trial since 2026-" in html
    assert '<th scope="row">expansion called otherwise</th><td>1</td>' in html
    assert "more (" in " ".join(found["needs"])


def test_an_operator_tries_and_an_admin_promotes(node, rival):
    """The viewer sees no form, the operator none that promotes."""
    forms = ('action="/models/trial"', 'action="/models/promotion"')
    shown = [node.client("vera").get("/models").text]
    post(node.client("otto"), "/models/trial", folder=str(rival))
    settled(node)
    shown += [node.client(name).get("/models").text for name in ("otto", "anna")]

    assert [[form in html for form in forms] for html in shown] == [
        [False, False],
        [True, False],
        [True, True],
    ]
    assert post(node.client("otto"), "/models/promotion", looked="1").status_code == 403


def test_programs_do_the_same(node, rival):
    """Begin, look, end; each refusal has its code."""
    client, header = node.client(), node.token(UserRole.ADMIN)
    at = "/api/v1/models"

    def send(method, path, body=None):
        answer = client.request(method, at + path, headers=header, json=body)
        return answer.status_code, answer.json()

    assert send("DELETE", "/trial")[0] == 409
    assert send("POST", "/trial", {"bundles": ["nothing"]})[0] == 422
    assert send("POST", "/trial", {"bundles": ["demo-classification"]})[0] == 422
    code, work = send("POST", "/trial", {"bundles": [str(rival)]})
    assert (code, work["step"], work["models"]) == (202, "checking", ["he-2027 2"])
    settled(node)
    found = client.get(at, headers=header).json()
    assert [one["name"] for one in found["on_trial"]] == ["he-2027"]
    assert found["progress"]["waiting"] == 0
    assert send("POST", "/promotion", {"weights": ["cd" * 32]})[0] == 409
    assert send("DELETE", "/trial")[1]["tables"] == ["worker"]
    assert send("POST", "/promotion", {})[0] == 409
    assert worker(node).shadow_classification_bundle == ""


def test_a_damaged_bundle_of_the_settings_is_named(node, rival):
    """The page goes on without it."""
    post(node.client("otto"), "/models/trial", folder=str(rival))
    settled(node)
    (rival / "card.json").write_text("{")

    answer = node.client("vera").get("/models")

    assert answer.status_code == 200
    assert str(rival / "card.json") in answer.text


def test_damaged_lines_of_the_history_are_left_out(node):
    """Whatever an editor or a full disk made of the file."""
    good = {"at": "2026-11-21T22:00:00+00:00", "event": "promoted", "models": {}}
    lines = ["{", "[]", json.dumps(good | {"at": "never"}), json.dumps(good), '{"at": 1}']
    path = node.settings.node.data_dir / "models-history.jsonl"
    path.write_text("\n".join(lines))

    assert len(node.client("vera").get("/api/v1/models").json()["history"]) == 1


def test_the_page_has_the_words_of_the_command():
    """Each sentence can be translated."""
    assert {*SENTENCES.values(), WHEN} <= set(MODELS)
    assert {str(event) for event in SENTENCES} <= set(MODELS)
