"""Images that are prepared once for all architectures."""

from training.segmentation.benchmark.shared_preparation import share_preparation
from training.segmentation.nnunet.layout import NnunetLayout


def prepared(root, *, begun: bool) -> NnunetLayout:
    """Return a folder as nnU-Net's loop leaves it."""
    layout = NnunetLayout(root=root)
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "dataset.json"):
        path = layout.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{root.name} {name}")
    images = layout.preprocessed / "nnUNetPlans_3d_fullres"
    images.mkdir(parents=True)
    for name in ("a.b2nd", "a_seg.b2nd", "a.pkl"):
        (images / name).write_text(f"{root.name} {name}")
    layout.plans.write_text("plans of this architecture")
    if begun:
        layout.results.mkdir(parents=True)
    return layout


def test_images_are_shared_and_plans_are_not(tmp_path):
    """Five files of one scan are linked; plans carry the architecture and stay apart."""
    source = prepared(tmp_path / "one", begun=True)
    target = NnunetLayout(root=tmp_path / "two")

    assert share_preparation(target, [target, source]) == 5
    assert (target.raw / "labelsTr" / "a.nii.gz").read_text() == "one labelsTr/a.nii.gz"
    assert (target.preprocessed / "nnUNetPlans_3d_fullres" / "a.pkl").exists()
    assert not target.plans.exists()


def test_nothing_is_taken_from_a_preparation_that_may_be_unfinished(tmp_path):
    """Before its training has begun, a file of another architecture may be half written."""
    source = prepared(tmp_path / "one", begun=False)

    assert share_preparation(NnunetLayout(root=tmp_path / "two"), [source]) == 0


def test_what_stands_is_left_alone(tmp_path):
    """A second call, or a training that prepared its own images, changes nothing."""
    source = prepared(tmp_path / "one", begun=True)
    target = prepared(tmp_path / "two", begun=True)

    assert share_preparation(target, [source]) == 0
    assert (target.raw / "labelsTr" / "a.nii.gz").read_text() == "two labelsTr/a.nii.gz"
