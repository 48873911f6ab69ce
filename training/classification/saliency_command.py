"""The command `ichtrain classification explain`."""

from pathlib import Path
from typing import Annotated

import typer

from training.classification.command_options import Bundle, TripletFolders
from training.command_line import bar, told


def explain(
    bundle: Bundle,
    triplets: TripletFolders,
    output: Annotated[Path, typer.Option(help="Folder for saliency.json and the sheet.")],
    rows: Annotated[int, typer.Option(min=1, help="Cases of each outcome on the sheet.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the random deletion.")] = 0,
) -> None:
    """Measure what Grad-CAM is worth: share inside the hematoma, pointing, deletion.

    Needs triplets that were cut with their masks, as `ichtrain classification triplets` does.
    The sheet shows the most certain cases of each outcome.
    """
    import dataclasses
    import json

    import numpy as np
    import torch

    from pipeline.classification.classifier import Classifier
    from pipeline.model_bundle import load_bundle
    from pipeline.prediction import HeLabel
    from training.classification.case import load_cases
    from training.classification.evaluation_files import interval_record
    from training.classification.saliency_scores import judge_saliency, summarise_saliency
    from training.classification.saliency_sheet import draw_saliency_sheet

    with told(), bar() as shown:
        classifier = Classifier(load_bundle(bundle), device=torch.device("cpu"))
        cases, rng, found = load_cases(triplets), np.random.default_rng(seed), []
        for number, case in enumerate(cases):
            one = judge_saliency(classifier, case, rng=rng)
            found += [] if one is None else [one]
            shown.count(number + 1, len(cases), what="Explaining")
        scores = summarise_saliency(found, seed=seed)
        output.mkdir(parents=True, exist_ok=True)
        record = {
            field.name: scores.cases
            if field.name == "cases"
            else interval_record(getattr(scores, field.name))
            for field in dataclasses.fields(scores)
        }
        (output / "saliency.json").write_text(json.dumps(record, indent=1) + "\n")
        certain = []
        for label in HeLabel:
            group = [case for case in cases if case.label is label]
            group.sort(key=lambda case: -classifier.judge(case.images_yx).probability)
            certain += group[:rows] if label is HeLabel.HE else group[-rows:]
        draw_saliency_sheet(output / "saliency.png", classifier, certain)
    typer.echo(
        f"{scores.cases} cases; inside the hematoma {scores.inside}, which covers {scores.area}; "
        f"deletion {scores.deletion}, at random {scores.random_deletion}"
    )
