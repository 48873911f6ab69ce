"""The command line of the study, and the report as a file."""

import datetime as dt
import re

import pytest
from study_builder import write_study_cohort, write_tiny_budget
from typer.testing import CliRunner

from training.cli import application
from training.study.budget import read_budget
from training.study.outcome import Measure, Outcome, Picture, Sheet
from training.study.participants import read_participants
from training.study.report import write_study_report
from training.study.stage import StageResult, StageState, StudySettings
from training.study.stages import STAGES, choose_stages
from training.study.surroundings import Surroundings

#: A picture of one pixel, 8 bytes of signature first.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63606060000000040001f61738550000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_study_cohort(
        tmp_path_factory.mktemp("cohort"), {"Alpha": 6, "<script>alert(1)</script>": 3}
    )


@pytest.fixture(scope="module")
def budget(tmp_path_factory):
    return write_tiny_budget(tmp_path_factory.mktemp("budget"))


def settings_of(cohort, budget):
    return StudySettings(
        participants=read_participants(cohort),
        budget=read_budget(str(budget)),
        device="cpu",
        readers=None,
        features=None,
        initial=None,
        truth=cohort / "truth.json",
    )


def invoke(*arguments):
    return CliRunner().invoke(application(), ["study", *map(str, arguments)])


@pytest.fixture
def page(cohort, budget, tmp_path):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "one.png").write_bytes(PIXEL)
    outcome = Outcome(
        headline="U-Mamba is best & fine.",
        measures=(
            Measure(key="benchmark.umamba-enc.dice", words="Dice", text="0.900", value=0.9),
        ),
        sheets=(Sheet(title="Table", header=("a",), rows=(("cell",),)),),
        pictures=(Picture(file="one.png", caption="A pixel"),),
        remarks=("Fewer steps.",),
    )
    results = [
        StageResult(
            name=stage.name,
            state=StageState.DONE if stage.name == "benchmark" else StageState.IMPOSSIBLE,
            folder=tmp_path / "benchmark",
            outcome=outcome if stage.name == "benchmark" else None,
            reason="" if stage.name == "benchmark" else "for want of patients",
            seconds=90.0,
        )
        for stage in STAGES
    ]
    path = write_study_report(
        tmp_path,
        settings_of(cohort, budget),
        STAGES,
        results,
        conditions=Surroundings(
            hardware="A machine", versions={"Python": "3"}, files={"b.toml": "x = '<b>'"}
        ),
        now=dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
    )
    return path.read_text(encoding="utf-8")


def test_the_report_needs_nothing_from_outside(page):
    """Every picture is in the file, and no address leads out of it."""
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)

    assert sources
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in sources)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_the_report_says_what_its_data_are_before_anything_else(page):
    """Research use only, and simulated data where they are."""
    body = page.split("<h2")[0]

    assert "RESEARCH USE ONLY" in body
    assert "SIMULATED DATA" in body


def test_names_of_centres_cannot_become_code(page):
    """A centre's name is text of somebody else."""
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_report_holds_numbers_beside_published_ones(page):
    """Here 0.900, published 0.937."""
    row = re.search(r"<td>Dice</td>.*?</tr>", page, re.DOTALL).group()

    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells == ["Dice", "0.900", "0.937", "-0.037", "npj Results, Fig. 3C"]


def test_the_report_names_what_is_not_there(page):
    """A part of the publications without a stage, and stages that could not be done."""
    without_stage = "Forecast of growth (Abramova Table 1)"

    assert (without_stage in page) == ("growth" not in {stage.name for stage in STAGES})
    assert page.count("for want of patients") == 2 * (len(STAGES) - 1)


def test_the_report_holds_its_configuration(page):
    """Text of the recipes, escaped, the machine and the time."""
    assert "x = &#39;&lt;b&gt;&#39;" in page
    assert "A machine" in page
    assert "2026-01-02 03:04 UTC" in page
    assert "1.5 min" in page


def test_a_dry_run_lists_the_stages_and_leaves_no_trace(cohort, budget, tmp_path):
    """What would be done, and why."""
    output = tmp_path / "study"

    done = invoke("--cohort", cohort, "--output", output, "--budget", budget, "--dry-run")

    assert done.exit_code == 0
    assert all(stage.name in done.output for stage in STAGES)
    assert "never done" in done.output
    assert not output.exists()


def test_a_budget_for_a_gpu_is_refused_without_one(cohort, tmp_path, monkeypatch):
    """In one line that says what to do; nothing is begun."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    output = tmp_path / "study"

    done = invoke("--cohort", cohort, "--output", output, "--budget", "full")

    assert done.exit_code == 2
    assert "made for a GPU, and there is none" in done.output
    assert "--force-cpu" in done.output
    assert not output.exists()


def test_a_budget_for_a_gpu_may_be_forced_onto_a_cpu(cohort, tmp_path, monkeypatch):
    """Here only planned."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    done = invoke(
        *("--cohort", cohort, "--output", tmp_path, "--budget", "full"),
        *("--force-cpu", "--dry-run"),
    )

    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--stages", "flow,grwth"), "Stage 'grwth' is unknown; there are flow, patients"),
        (("--stages", ","), "--stages names none"),
        (("--readers", "/nowhere/at/all"), "/nowhere/at/all is not there"),
        (("--development", "Omega"), "No patient of centre 'Omega'"),
    ],
)
def test_wrong_options_are_told_in_one_line(cohort, budget, tmp_path, option, words):
    """No traceback."""
    done = invoke("--cohort", cohort, "--output", tmp_path, "--budget", budget, *option)

    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


def test_two_quick_stages_run_from_the_command_line(cohort, budget, tmp_path):
    """Flow and characteristics need no training; the report is there, the others left out."""
    done = invoke(
        *("--cohort", cohort, "--output", tmp_path, "--budget", budget),
        *("--stages", "flow,patients"),
    )

    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.html").read_text()
    assert "10 patients found, 9 take part" in page
    assert "left out" in page


def test_all_means_every_stage():
    """As the default does."""
    assert choose_stages("all") == {stage.name for stage in STAGES}
