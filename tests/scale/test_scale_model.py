"""The model of scale does its sums as they are done by hand."""

import pytest

from tests.scale.model import Demand, Parts, demand_of, needs

PARTS = Parts(
    analysis_s=10.0,
    analysis_image_s=0.2,
    gpu_s=1.0,
    gpu_image_s=0.01,
    query_s=0.5,
    fetch_image_s=0.05,
    receive_image_s=0.01,
    engine_s=0.1,
    lock_s=0.05,
    lock_image_s=0.0005,
    ledger_bytes=4096.0,
    ledger_image_bytes=512.0,
    image_bytes=2.0**19,
    result_bytes=2.0**22,
)


def test_a_live_day_is_a_share_of_what_the_workers_can_do():
    """10 + 30 x 0.2 + 0.1 = 16.1 s a study: 86400 / 16.1 = 5366 a day; 60 of them are 1.12 %."""
    found = needs(Demand(studies=60, images=60, analysed_images=30, keep_days=30), PARTS)

    assert found["seconds_per_study"] == pytest.approx(
        {"workers": 16.1, "ledger": 0.08, "receiver": 0.6}
    )
    assert found["first"] == "workers"
    assert found["studies_per_day"] == pytest.approx(5366.46, abs=0.01)
    assert found["utilisation"] == pytest.approx(0.01118, abs=1e-5)
    assert found["spool_gib"] == pytest.approx(60 * 30 * 60 * 0.5 / 1024)
    assert found["ledger_gib"] == pytest.approx(60 * 365 * (4096 + 60 * 512) / 2**30)


def test_a_reread_by_many_gpus_is_held_up_by_fetching_then_by_the_ledger():
    """One stream: 0.5 + 60 x 0.05 = 3.5 s a study; of 50 streams 0.07 s; the ledger has 0.08."""
    demand = Demand(studies=1e6, workers=100, gpu=1, reread=1)
    one, fifty = needs(demand, PARTS), needs(Demand(**{**vars(demand), "streams": 50}), PARTS)

    assert (one["first"], fifty["first"]) == ("fetching", "ledger")
    assert one["days"] == pytest.approx(1e6 * 3.5 / 86400)
    assert fifty["days"] == pytest.approx(1e6 * 0.08 / 86400)


def test_words_make_a_demand():
    """As on the command line; a word that means nothing is told."""
    assert demand_of({"studies": "10e6", "gpu": "1"}) == Demand(studies=1e7, gpu=1)
    with pytest.raises(ValueError, match="studys"):
        demand_of({"studys": "1"})
    with pytest.raises(ValueError, match="positive"):
        demand_of({"workers": "0"})
