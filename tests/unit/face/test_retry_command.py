"""``ichnode retry``: whatever failed starts again, whichever kind of job it was."""

import pytest
from node_builders import Clock, opened_ledger
from site_builder import ADMISSION, NEXT_DAY, PAIRING, Site, scan
from typer.testing import CliRunner

from dicom_node.bootstrap.layout import DataLayout
from dicom_node.cli.app import app
from dicom_node.jobs.planning import PlanningRules
from dicom_node.jobs.state import JobState, SearchState
from dicom_node.operator_error import OperatorError

PLANS = PlanningRules(pairing=PAIRING, prior_peers=("pacs",))


@pytest.fixture
def layout(tmp_path):
    layout = DataLayout(root=tmp_path / "data")
    layout.prepare()
    return layout


@pytest.fixture
def config(tmp_path, layout):
    """Return the settings of a node on which a comparison and a search gave up."""
    clock = Clock()
    with opened_ledger(layout.ledger) as ledger:
        site = Site(ledger, clock, PLANS)
        site.analyze(scan(1), ADMISSION)
        site.analyze(scan(2), NEXT_DAY)
        ledger.jobs.fail(site.claim(), "broken", again_at=None, now=clock())
        for _ in range(2):
            search = ledger.priors.begin("pacs", now=clock(), again_at=clock())
            ledger.priors.postpone(search, "away", again_at=None, now=clock())
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{layout.root}"\n')
    return path


def retry(config, *arguments):
    """Return what the command says; an operator error is raised."""
    done = CliRunner().invoke(app, ["retry", *arguments, "--config", str(config)])
    if isinstance(done.exception, OperatorError):
        raise done.exception
    return done.output


def series(layout):
    with opened_ledger(layout.ledger) as ledger:
        return ledger.reports.overview().series


def test_a_failed_comparison_starts_again(config, layout):
    """The analyses, which did not fail, are left alone."""
    assert "1 failed job starts again" in retry(config)

    (compared,) = [one for one in series(layout) if one.comparison is not None]
    assert compared.comparison.state is JobState.QUEUED
    assert compared.job.state is JobState.DELIVERED


def test_a_series_or_number_names_what_starts_again(config, layout):
    """That of another series does not."""
    (baseline,) = [one for one in series(layout) if one.comparison is None]
    (compared,) = [one for one in series(layout) if one.comparison is not None]

    assert "0 failed jobs start" in retry(config, baseline.series_instance_uid)
    assert "1 failed job starts" in retry(config, str(compared.comparison.job_id))
    for unknown in ("1.2.3.404", "404"):
        with pytest.raises(OperatorError, match="knows no series or job"):
            retry(config, unknown)


def test_a_peer_is_searched_again(config, layout):
    """Nothing was to be sent there; a name that nobody knows is told."""
    assert "2 searches at pacs start again" in retry(config, "--destination", "pacs")

    states = {search.state for one in series(layout) for search in one.searches}
    assert states == {SearchState.PENDING}
    with pytest.raises(OperatorError, match="nobody"):
        retry(config, "--destination", "nobody")
