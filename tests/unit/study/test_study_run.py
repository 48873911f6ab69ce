"""Stages are cached by their inputs, go on after a stop, and do not break one another."""

import dataclasses

import numpy as np
import pytest
from study_builder import write_study_cohort, write_tiny_budget

from training.study.budget import read_budget
from training.study.fingerprint import difference, file_digest, files_digest
from training.study.outcome import Outcome, Sheet
from training.study.participants import read_participants
from training.study.run import plan_study, run_study
from training.study.stage import Stage, StageImpossibleError, StageState, StudySettings


class Silence:
    """Hears everything and keeps the names of stages that began to work."""

    def __init__(self):
        self.followed = []

    def begins(self, stage):
        """Listen."""

    def follow(self, stage, words, share):
        self.followed.append((stage.name, words, share))

    def ends(self, stage, result):
        """Listen."""


class Ticking:
    """A clock that goes one second further with every look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    cohort = write_study_cohort(folder / "cohort", {"Alpha": 2})
    return StudySettings(
        participants=read_participants(cohort),
        budget=read_budget(str(write_tiny_budget(folder / "budget"))),
        device="cpu",
        readers=None,
        features=None,
        initial=None,
        truth=cohort / "truth.json",
    )


def a_stage(name, work, *, after=(), choices=0, version=1):
    return Stage(
        name=name,
        title=name.capitalize(),
        shows="",
        version=version,
        after=after,
        choices=lambda _: {"choice": choices},
        run=work,
    )


def found(words):
    return lambda _room: Outcome(headline=words)


def run(settings, stages, output, *, chosen=None, clock=None):
    wanted = {stage.name for stage in stages} if chosen is None else chosen
    results = run_study(
        settings, stages, output, chosen=wanted, audience=Silence(), clock=clock or Ticking()
    )
    return {one.name: one for one in results}


def test_a_finished_stage_is_not_done_again(settings, tmp_path):
    """The second call reads what the first has found, tables included."""
    sheet = Sheet(title="t", header=("a", "b"), rows=(("1", "2"),))
    calls = []

    def work(room):
        calls.append(room.folder)
        return Outcome(headline="found", sheets=(sheet,), facts={"best": "x"})

    first = run(settings, [a_stage("one", work)], tmp_path)
    second = run(settings, [a_stage("one", work)], tmp_path)

    assert len(calls) == 1
    assert second["one"].outcome == first["one"].outcome
    assert not first["one"].is_cached
    assert second["one"].is_cached
    assert second["one"].seconds == first["one"].seconds


def test_a_changed_choice_does_a_stage_and_those_after_it_again(settings, tmp_path):
    """What comes beside it stays; going back finds the first result again."""
    calls = []

    def work(room):
        calls.append(room.folder.parent.name)
        return Outcome(headline="found")

    def stages(choices):
        return [
            a_stage("base", work, choices=choices),
            a_stage("later", work, after=("base",)),
            a_stage("beside", work),
        ]

    run(settings, stages(1), tmp_path)
    run(settings, stages(2), tmp_path)
    run(settings, stages(1), tmp_path)

    assert calls == ["base", "later", "beside", "base", "later"]


def test_a_stage_of_a_new_version_is_done_again(settings, tmp_path):
    """A result of code that has since been corrected is not used."""
    run(settings, [a_stage("one", found("old"))], tmp_path)

    results = run(settings, [a_stage("one", found("new"), version=2)], tmp_path)

    assert results["one"].outcome.headline == "new"


def test_a_stage_that_fails_does_not_stop_the_others(settings, tmp_path):
    """Its error is told in one line, and the next call tries it again."""

    def breaks(_room):
        raise RuntimeError("no more memory\nsecond line")

    first = run(settings, [a_stage("one", breaks), a_stage("two", found("fine"))], tmp_path)
    again = run(settings, [a_stage("one", found("now"))], tmp_path)

    assert first["one"].state is StageState.FAILED
    assert first["one"].reason == "RuntimeError: no more memory"
    assert first["two"].state is StageState.DONE
    assert again["one"].state is StageState.DONE


def test_the_trace_of_a_failure_is_kept_until_the_stage_succeeds(settings, tmp_path):
    """Somebody must be able to see what went wrong, and not be misled later."""

    def breaks(_room):
        raise RuntimeError("no more memory")

    run(settings, [a_stage("one", breaks)], tmp_path)
    (trace,) = (tmp_path / "one").glob("*/failure.txt")
    text = trace.read_text()
    run(settings, [a_stage("one", found("now"))], tmp_path)

    assert text.startswith("Traceback")
    assert not trace.exists()


def test_a_stage_whose_need_is_not_done_says_so(settings, tmp_path):
    """The reason of the first goes on to the second."""

    def cannot(_room):
        raise StageImpossibleError("nobody expanded")

    def needs(room):
        return Outcome(headline=str(room.need("one")))

    stages = [a_stage("one", cannot), a_stage("two", needs, after=("one",))]
    results = run(settings, stages, tmp_path)

    assert results["one"].reason == "nobody expanded"
    assert results["two"].state is StageState.IMPOSSIBLE
    assert results["two"].reason == "it needs the stage one, which is not done: nobody expanded"


def test_a_stage_is_done_again_once_an_earlier_one_has_succeeded(settings, tmp_path):
    """Classifiers without synthetic slices are not kept when there are some at last."""
    outcomes = []

    def cannot(_room):
        raise StageImpossibleError("no")

    def later(room):
        outcomes.append(room.earlier["one"].state)
        return Outcome(headline="later")

    run(settings, [a_stage("one", cannot), a_stage("two", later, after=("one",))], tmp_path)
    run(settings, [a_stage("one", found("x")), a_stage("two", later, after=("one",))], tmp_path)

    assert outcomes == [StageState.IMPOSSIBLE, StageState.DONE]


def test_stages_that_are_not_chosen_are_used_but_not_run(settings, tmp_path):
    """--stages does some, the report shows what stands of the others."""
    stages = [a_stage("one", found("a")), a_stage("two", found("b"))]
    run(settings, stages, tmp_path, chosen={"one"})

    results = run(settings, stages, tmp_path, chosen=set())

    assert results["one"].outcome.headline == "a"
    assert results["two"].state is StageState.LEFT_OUT


def test_time_of_a_stopped_call_counts(settings, tmp_path):
    """A stage that was stopped by hand and went on took both times; the stop goes through."""

    def stopped(_room):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, [a_stage("one", stopped)], tmp_path)
    results = run(settings, [a_stage("one", found("done"))], tmp_path)

    assert results["one"].seconds == 2.0


def test_the_plan_says_what_would_be_done_and_why(settings, tmp_path):
    """Never done, done, changed and by what, not chosen."""

    def stages(choice):
        return [
            a_stage("one", found("a"), choices=choice),
            a_stage("two", found("b")),
            a_stage("three", found("c"), after=("one",)),
            a_stage("four", found("d")),
        ]

    run(settings, stages(1), tmp_path, chosen={"one", "two"})

    plan = plan_study(settings, stages(2), tmp_path, chosen={"one", "two", "three"})

    assert [(one.stage.name, one.runs, one.why) for one in plan] == [
        ("one", True, "changed: choices (choice)"),
        ("two", False, "done, with the same inputs"),
        ("three", True, "never done"),
        ("four", False, "not chosen"),
    ]


def test_the_plan_tells_what_went_wrong_before(settings, tmp_path):
    """A failure and an obstacle, each to be tried again."""

    def breaks(_room):
        raise RuntimeError("broken")

    def cannot(_room):
        raise StageImpossibleError("nobody expanded")

    stages = [a_stage("one", breaks), a_stage("two", cannot)]
    run(settings, stages, tmp_path)

    plan = plan_study(settings, stages, tmp_path, chosen={"one", "two"})

    assert [one.why for one in plan] == [
        "failed before, will be tried again",
        "was not possible before, will be tried again",
    ]


def test_the_plan_does_nothing(settings, tmp_path):
    """Not even a folder."""
    plan_study(settings, [a_stage("one", found("a"))], tmp_path / "new", chosen={"one"})

    assert not (tmp_path / "new").exists()


def test_a_scan_is_known_by_its_voxels_not_by_its_date(tmp_path):
    """A cohort that was copied gives the same results; one voxel more does not."""
    paths = [tmp_path / name / "scan.npz" for name in "abc"]
    for path, last in zip(paths, (1, 1, 2), strict=True):
        path.parent.mkdir()
        np.savez_compressed(path, hu=np.array([0, last], dtype=np.int16))

    first, copy, other = (file_digest(path) for path in paths)

    assert first == copy
    assert first != other


def test_files_are_known_by_name_and_content(tmp_path):
    """The order is that of nobody; a file that is not there differs from an empty one."""
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("a")
    two.write_text("")

    both = files_digest([one, two])

    assert files_digest([two, one]) == both
    two.unlink()
    assert files_digest([one, two]) != both


def test_a_folder_is_known_by_the_files_in_it(tmp_path):
    """Answers of a reader study lie in a folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "answers.csv").write_text("1")
    before = file_digest(tmp_path / "a")

    (tmp_path / "a" / "answers.csv").write_text("2")

    assert file_digest(tmp_path / "a") != before


def test_what_has_changed_is_named():
    """The key of a choice, or the kind of input."""
    before = {"version": "1", "choices": {"seed": 1, "epochs": 2}, "files": "a"}

    assert difference(before, {**before, "files": "b"}) == "files"
    assert (
        difference(before, {**before, "choices": {"seed": 1, "epochs": 3}}) == "choices (epochs)"
    )


def test_progress_of_a_stage_reaches_the_audience(settings, tmp_path):
    """With the stage's name beside it."""

    def work(room):
        room.follow("half", 0.5)
        return Outcome(headline="x")

    silence = Silence()
    run_study(
        settings,
        [a_stage("one", work)],
        tmp_path,
        chosen={"one"},
        audience=silence,
        clock=Ticking(),
    )

    assert silence.followed == [("one", "half", 0.5)]


def test_rows_of_a_table_are_as_long_as_its_head():
    """A cell too many would stand under no heading."""
    with pytest.raises(ValueError, match="2 cells under 1 heads"):
        Sheet(title="t", header=("a",), rows=(("1", "2"),))


def test_settings_cannot_be_changed_on_the_way(settings):
    """All stages see the same."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.device = "cuda"
