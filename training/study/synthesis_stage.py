"""Stage "synthesis": a generator of HE slices, its augmented sets, and how good they are."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.model_bundle import builtin_bundle_path
from pipeline.models import choose_device
from pipeline.prediction import HeLabel
from training.cohort.patient_split import Part, PatientSplit
from training.study.outcome import Measure, Outcome, Picture, Sheet, counted, measured
from training.study.participants import DEVELOPMENT
from training.study.stage import Stage, StageRoom, StudySettings
from training.study.training_curves import draw_loss
from training.synthesis.augmented_set import (
    SHEET,
    Manifest,
    parse_ratio,
    read_synthetic_cases,
    write_augmented_set,
)
from training.synthesis.drawing import DrawingOptions
from training.synthesis.generator import GeneratorCard, load_generator
from training.synthesis.quality.features import FeatureNetwork, InceptionFeatures, load_features
from training.synthesis.quality.probe import FOLDS, Probe
from training.synthesis.quality.report import PAIRS, Quality, judge, table_of, write_report
from training.synthesis.recipe import SynthesisRecipe, read_synthesis_recipe
from training.synthesis.samplers import Sampler
from training.synthesis.training_run import GENERATOR_FOLDER, SHEETS_FOLDER, train_generator
from training.synthesis.triplet_files import TripletFile, find_triplets, of_part, split_of

#: Bundle whose features compare sets where no network is given.
_BUILTIN = "demo-classification"

#: Part of the stage that the training takes, for the bar.
_TRAINING = 0.7

_RUN, _LOSS = "run", "loss.png"

#: From this share of copies on the report says that the generator repeats its patients.
_MANY_COPIES = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Real:
    """The real slices, and how synthetic ones are compared with them."""

    triplets: Sequence[TripletFile]
    split: PatientSplit
    network: FeatureNetwork

    @property
    def learnt(self) -> list[TripletFile]:
        """HE triplets of training patients."""
        training = of_part(self.triplets, self.split, Part.TRAIN)
        return [one for one in training if one.label is HeLabel.HE]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    """What the stage tells, gathered set by set."""

    measures: list[Measure] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def set_folder(ratio: str) -> str:
    """Return the name of an augmented set's folder."""
    return f"set-{ratio.replace(':', '-')}"


def _run(room: StageRoom) -> Outcome:
    settings = room.settings
    ratios = settings.budget.budget.synthesis.ratios
    place = room.need("slices")[0] / DEVELOPMENT
    recipe = _recipe(settings)
    card = train_generator(
        [place],
        recipe,
        output=room.folder / _RUN,
        device=choose_device(settings.device),
        on_progress=lambda now: room.follow(
            f"Diffusion: epoch {now.epoch}/{now.epochs}, loss {now.loss:.4f}",
            _TRAINING * now.share,
        ),
    )
    draw_loss(room.folder / _LOSS, room.folder / _RUN / "log.csv", title=card.name)
    triplets = find_triplets([place])
    real = _Real(
        triplets=triplets,
        split=split_of(triplets, [place], given=None),
        network=load_features(settings.features or builtin_bundle_path(_BUILTIN)),
    )
    findings = _Findings(
        pictures=_training_pictures(room.folder), remarks=_remarks(card, recipe, real.network)
    )
    for number, ratio in enumerate(ratios):

        def follow(words: str, share: float, number: int = number) -> None:
            part = (number + share) / len(ratios)
            room.follow(words, _TRAINING + (1 - _TRAINING) * part)

        _add_set(room, ratio, real, findings, follow)
    facts = card.training
    return Outcome(
        headline=f"{card.name} of {card.image_size} px: {facts['epochs']} epochs on "
        f"{facts['slices']} HE slices of {facts['patients']} patients.",
        measures=tuple(findings.measures),
        sheets=tuple(findings.sheets),
        pictures=tuple(findings.pictures),
        remarks=tuple(findings.remarks),
    )


def _add_set(
    room: StageRoom,
    ratio: str,
    real: _Real,
    findings: _Findings,
    follow: Callable[[str, float], None],
) -> None:
    """Draw and judge one augmented set."""
    settings = room.settings
    budget = settings.budget.budget.synthesis
    generator = load_generator(
        room.folder / _RUN / GENERATOR_FOLDER, device=choose_device(settings.device)
    )
    wanted = parse_ratio(ratio)
    training = of_part(real.triplets, real.split, Part.TRAIN)
    slices = {
        label: sum(one.slices for one in training if one.label is label) for label in HeLabel
    }
    he, nhe = slices[HeLabel.HE], slices[HeLabel.NHE]
    if he * wanted.nhe >= nhe * wanted.he:
        findings.remarks.append(f"No set of {ratio}: {he} HE and {nhe} NHE slices are it already.")
        return
    folder = room.folder / set_folder(ratio)
    manifest = write_augmented_set(
        generator,
        real.triplets,
        real.split,
        ratio=wanted,
        output=folder,
        options=DrawingOptions(sampler=Sampler(budget.sampler), steps=budget.steps),
        seed=settings.budget.budget.seed,
        on_progress=lambda done, total: follow(
            f"Drawing {ratio}: {done}/{total}", 0.7 * done / total
        ),
    )
    words = f"Synthetic HE slices for {ratio}"
    findings.measures.append(counted(f"synthesis.{ratio}.drawn", words, manifest.synthetic_he))
    findings.pictures.append(Picture(file=f"{folder.name}/{SHEET}", caption=f"{words}."))
    _judge_set(room, manifest, real, findings, follow)


def _judge_set(
    room: StageRoom,
    manifest: Manifest,
    real: _Real,
    findings: _Findings,
    follow: Callable[[str, float], None],
) -> None:
    """Judge one set, or say why that cannot be done."""
    ratio = manifest.ratio
    pairs = [(one.patient_id, image) for one in real.learnt for image in one.images_yx()]
    images = [image for _, image in pairs]
    cases = read_synthetic_cases(room.folder / set_folder(ratio))
    synthetic = [image for case in cases for image in case.images_yx]
    patients = [patient for patient, _ in pairs]
    probes = _probes(room.settings, patients=len(set(patients)), drawn=len(synthetic))
    if not probes:
        findings.remarks.append(
            f"Set {ratio}: no probe, as {len(set(patients))} patients and {len(synthetic)} "
            f"synthetic slices are too few for {FOLDS} folds."
        )
    try:
        quality, memorised = judge(
            synthetic,
            images,
            patients=patients,
            network=real.network,
            probes=probes,
            seed=room.settings.budget.budget.seed,
            on_stage=lambda stage: follow(f"Judging {ratio}: {stage}", 0.8),
        )
    except ValueError as error:  # too few images or patients; the set itself stands
        findings.remarks.append(f"Set {ratio} could not be judged: {error}.")
        return
    place = f"quality-{ratio.replace(':', '-')}"
    write_report(room.folder / place, quality, memorised, synthetic=synthetic, real=images)
    caption = f"Set {ratio}: synthetic slices nearest to a learnt one, and that one below."
    findings.pictures.append(Picture(file=f"{place}/{PAIRS}", caption=caption))
    _add_quality(ratio, quality, real.network, findings, patients=len(set(patients)))


def _add_quality(
    ratio: str, quality: Quality, network: FeatureNetwork, findings: _Findings, *, patients: int
) -> None:
    told = {one.key for one in findings.measures}
    found = _measures(ratio, quality, network)
    findings.measures.extend(one for one in found if one.key not in told)
    if quality.copies > _MANY_COPIES:
        findings.remarks.append(
            f"Set {ratio}: {quality.copies:.0%} of the synthetic slices are copies of learnt "
            f"ones. The generator repeats its {patients} patients, from whom a classifier "
            "learns nothing new."
        )
    findings.sheets.append(
        Sheet(
            title=f"Set {ratio}",
            header=("measure", "value"),
            rows=tuple((name, str(value)) for name, value in table_of(quality)),
            note="In brackets what real slices show, or what would be best.",
        )
    )


def _probes(settings: StudySettings, *, patients: int, drawn: int) -> tuple[Probe, ...]:
    if min(patients, drawn) < FOLDS:
        return ()
    every = settings.budget.budget.synthesis.convolution_probe
    return tuple(Probe) if every else (Probe.STATISTICS,)


def _measures(ratio: str, quality: Quality, network: FeatureNetwork) -> list[Measure]:
    published = isinstance(network, InceptionFeatures)
    distance = "FID" if published else "Frechet distance by other features"
    score = "Inception score" if published else "Score by other features"

    def one(key: str, words: str, value: float) -> Measure:
        return Measure(
            key=key, words=words, text=f"{value:.3f}", value=value, comparable=published
        )

    found = [
        one(f"synthesis.{ratio}.frechet", f"{distance}, set {ratio}", quality.frechet),
        one(f"synthesis.{ratio}.inception", f"{score}, set {ratio}", quality.score.mean),
        one("synthesis.real.inception", f"{score}, real slices", quality.score_real.mean),
    ]
    for probe in quality.probes:
        key, words = f"synthesis.{ratio}.probe.{probe.probe}", f"AUC of the probe by {probe.probe}"
        found.append(measured(key, f"{words}, set {ratio} (0.5 is best)", probe.auc))
    return found


def _training_pictures(folder: Path) -> list[Picture]:
    sheets = sorted((folder / _RUN / SHEETS_FOLDER).glob("epoch_*.png"))
    last = [
        Picture(
            file=f"{_RUN}/{SHEETS_FOLDER}/{path.name}",
            caption=f"Sixteen samples after {int(path.stem.removeprefix('epoch_'))} epochs.",
        )
        for path in sheets[-1:]
    ]
    return [
        Picture(file=_LOSS, caption="Loss of the diffusion (npj Fig. 5A)."),
        Picture(file=f"{_RUN}/{SHEETS_FOLDER}/real.png", caption="Real slices that it learns."),
        *last,
    ]


def _remarks(card: GeneratorCard, recipe: SynthesisRecipe, network: FeatureNetwork) -> list[str]:
    course, facts = recipe.course, card.training
    remarks = [
        (
            f"{card.image_size} x {card.image_size} pixels, {facts['steps']} steps of at most "
            f"{course.batch_size} slices, {facts['minutes']} min; the study: 256 x 256, 1,000 "
            "epochs on 654 slices, batch 32."
        ),
    ]
    if not isinstance(network, InceptionFeatures):
        remarks.append(
            f"Distances and scores are by {network.name}. They compare sets with each other and "
            "must not be compared with the published FID and Inception score."
        )
    return remarks


def _recipe(settings: StudySettings) -> SynthesisRecipe:
    """Return the recipe with the study's limit of time."""
    budget = settings.budget.budget.synthesis
    recipe = read_synthesis_recipe(settings.budget.recipe(budget.recipe))
    if budget.minutes is None:
        return recipe
    course = dataclasses.replace(recipe.course, limit_minutes=budget.minutes)
    return dataclasses.replace(recipe, course=course)


def _choices(settings: StudySettings) -> dict[str, object]:
    budget = settings.budget.budget
    return {
        "seed": budget.seed,
        "synthesis": dataclasses.asdict(budget.synthesis),
        "recipe": dataclasses.asdict(_recipe(settings)),
    }


def _files(settings: StudySettings) -> tuple[Path, ...]:
    return () if settings.features is None else (settings.features,)


SYNTHESIS = Stage(
    name="synthesis",
    title="Synthetic slices",
    shows="npj Fig. 5",
    version=2,
    after=("slices",),
    choices=_choices,
    files=_files,
    run=_run,
)
