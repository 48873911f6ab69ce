"""Who is in which set of a study."""

import numpy as np
import pytest
from study_builder import head, write_study_cohort

from training.cohort.case import save_case
from training.cohort.patient_split import Part
from training.study.participants import Patient, divide_development, read_participants


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_study_cohort(tmp_path_factory.mktemp("cohort"))


def people(count, *, expanded):
    return [
        Patient(
            patient_id=f"{expanded}-{number}",
            centre="A",
            scans=(),
            baseline_ml=1.0,
            follow_up_ml=1.0,
            expanded=expanded,
        )
        for number in range(count)
    ]


def test_the_largest_centre_is_trained_on_and_the_others_validate(cohort):
    """As in the npj study: external sets are other centres, here in the order of their size."""
    found = read_participants(cohort)

    assert found.roles == {"development": "Alpha", "external-1": "Beta", "external-2": "Gamma"}
    assert [len(found.of_role(role)) for role in found.roles] == [21, 9, 9]


def test_another_centre_may_be_trained_on(cohort):
    """A name on the command line decides."""
    found = read_participants(cohort, development="Gamma")

    assert found.roles == {"development": "Gamma", "external-1": "Alpha", "external-2": "Beta"}


def test_a_centre_that_is_not_there_is_refused_by_name(cohort):
    """The message lists the centres there are."""
    with pytest.raises(ValueError, match=r"'Delta'; there are 'Alpha', 'Beta', 'Gamma'"):
        read_participants(cohort, development="Delta")


def test_an_excluded_patient_is_found_but_takes_no_part(cohort):
    """Forty patients are found, one fell for surgery."""
    found = read_participants(cohort)

    assert len(frozenset().union(*found.found.values())) == 40
    assert len(found.patients) == 39


def test_expansion_is_growth_by_a_third_or_six_millilitres(cohort):
    """Of 7 x 7 pixels 6 columns more are 86 %: every third head of the builder grows so."""
    found = read_participants(cohort)

    expanded = [one.patient_id for one in found.patients if one.expanded]
    assert expanded == [f"p{number:02d}" for number in range(0, 39, 3)]


def test_a_patient_without_follow_up_has_no_known_outcome(tmp_path):
    """Segmentation may use the scan, the classifier may not."""
    folder = tmp_path / "one"
    write_study_cohort(folder, {"Alpha": 2})
    table = folder / "cohort.csv"
    lines = [line for line in table.read_text().splitlines() if "p00-follow_up" not in line]
    table.write_text("\n".join(lines) + "\n")

    found = read_participants(folder)

    assert [one.expanded for one in found.patients] == [None, False]


def test_a_cohort_of_before_centres_is_one_development_set(tmp_path):
    """Cohorts imported by an older version have no column for the centre."""
    folder = write_study_cohort(tmp_path / "old", {"": 3})
    table = folder / "cohort.csv"
    table.write_text(table.read_text().replace("patient_id,centre,", "patient_id,other,"))

    found = read_participants(folder)

    assert found.roles == {"development": ""}
    assert found.title("development") == "Development set"


def test_a_folder_that_no_import_wrote_is_refused(tmp_path):
    """The message names the command that makes a cohort."""
    with pytest.raises(ValueError, match=r"cohort\.csv; `ichtrain cohort import`"):
        read_participants(tmp_path)


def test_simulated_heads_are_known_by_their_charts_too(tmp_path):
    """An import may rename the source; only simulated patients have a best possible reader."""
    folder = write_study_cohort(tmp_path / "cohort", {"Alpha": 1})
    case = head(0, expanded=True, follow_up=False)
    for path in folder.glob("*.npz"):
        path.unlink()
    for follow_up in (False, True):
        one = head(0, expanded=True, follow_up=follow_up)
        save_case(folder, type(case)(**{**_fields(one), "source": "clinic"}))

    assert read_participants(folder).is_simulated()
    (folder / "clinical.csv").unlink()
    assert not read_participants(folder).is_simulated()


def _fields(case):
    return {name: getattr(case, name) for name in case.__slots__}


@pytest.mark.parametrize(("he", "nhe"), [(3, 3), (4, 24), (5, 40)])
def test_both_outcomes_are_on_every_side(he, nhe):
    """A classifier needs both to learn and both to choose its epoch, however rare one is."""
    group = people(he, expanded=True) + people(nhe, expanded=False)

    split = divide_development(group, validation=0.2, test=0.1)

    for part in Part:
        outcomes = {one.split("-")[0] for one in split.patients(part)}
        assert outcomes == {"True", "False"}
    assert sum(len(split.patients(part)) for part in Part) == he + nhe


def test_of_few_expansions_two_validate():
    """DeLong's variance needs two patients of each outcome; a fifth of four would be one."""
    group = people(4, expanded=True) + people(20, expanded=False)

    split = divide_development(group, validation=0.2, test=0.0)

    assert sum(one.startswith("True") for one in split.validation) == 2
    assert sum(one.startswith("False") for one in split.validation) == 4


def test_shares_of_the_division_are_those_asked_for():
    """Of 100 patients of each outcome 20 validate."""
    group = people(100, expanded=True) + people(100, expanded=False)

    split = divide_development(group, validation=0.2, test=0.0)

    assert len(split.validation) == 40
    assert not split.test


def test_the_division_does_not_hang_on_the_order_of_patients():
    """A hash of the identifier decides."""
    group = people(10, expanded=True) + people(30, expanded=False)
    shuffled = [group[place] for place in np.random.default_rng(1).permutation(len(group))]

    assert divide_development(group, validation=0.3, test=0.1) == divide_development(
        shuffled, validation=0.3, test=0.1
    )
