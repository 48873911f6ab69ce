"""Scores of a card become lines: estimates with their intervals, each by its data."""

from dicom_node.model_scores import scores_of, tells_of_simulation


def test_an_estimate_and_its_interval_are_one_line():
    """What stands beside them stays; deeper places are named by their path."""
    (cohort,) = scores_of(
        {
            "held_out": {
                "patients": 15,
                "dice": {"mean": 0.9, "low_95": 0.8, "high_95": 0.95, "median": 0.92},
                "this_model": {"auc": {"value": 0.87, "low": 0.75, "high": 0.99}},
            }
        },
        training_cohort="",
    )

    assert [(one.what, one.found) for one in cohort.lines] == [
        ("patients", "15"),
        ("dice", "0.9 (95 % CI 0.8 to 0.95)"),
        ("dice, median", "0.92"),
        ("this model, auc", "0.87 (95 % CI 0.75 to 0.99)"),
    ]
    assert cohort.headline.what == "dice"
    assert cohort.headline.found == "0.9 (95 % CI 0.8 to 0.95)"


def test_lists_of_tables_are_numbered_and_plain_values_shown():
    """As cards of ensembles and of refits have them."""
    (listed, plain) = scores_of(
        {"runs": [{"auc": 0.7}, {"auc": 0.8}], "weights": [1, 2]}, training_cohort=""
    )

    assert [(one.what, one.found) for one in listed.lines] == [
        ("1, auc", "0.7"),
        ("2, auc", "0.8"),
    ]
    assert [(one.what, one.found) for one in plain.lines] == [("", "1, 2")]
    assert plain.headline is None


def test_simulated_data_are_found_wherever_they_are_named():
    """In the name of the data, in a remark, in a key."""
    found = scores_of(
        {
            "simulated_held_out": {"auc": 0.7},
            "validation": {"masks": "true masks of the simulator"},
            "refit": {"scans": {"simulated": 4}},
            "phe_sich": {"auc": 0.7},
        },
        training_cohort="42 patients and simulated heads",
    )

    assert [one.simulated for one in found] == [True, True, True, False]
    assert tells_of_simulation("heads of the ichtrain phantom")


def test_what_has_only_seen_simulated_data_was_judged_on_them():
    """Unless the name of the data says that they are real."""
    metrics = {"validation": {"auc": 0.8}, "real_heads": {"auc": 0.6}}

    found = scores_of(metrics, training_cohort="Simulated only (phantom): 471 hematomas")

    assert [one.simulated for one in found] == [True, False]
