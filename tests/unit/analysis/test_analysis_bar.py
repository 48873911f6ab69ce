"""What `ichnode analyze` shows while it works."""

import io

from rich.console import Console

from dicom_node.commands.analysis_bar import showing


def shown(*, terminal: bool, share: float | None) -> str:
    """Return what a screen of 60 columns is sent while one step is under way."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=60, color_system=None)
    with showing(console) as bar:
        bar.begin("segment")
        if share is not None:
            bar.advance(share)
        bar.progress.refresh()
    return screen.getvalue()


def test_a_terminal_sees_the_step_and_the_share_of_its_tiles():
    """A quarter of the tiles is 25 %."""
    text = shown(terminal=True, share=0.25)

    assert "segment" in text
    assert "25%" in text


def test_a_step_of_unknown_length_shows_no_share():
    """Nothing is known of how far it is, so no number is claimed beside the name."""
    text = shown(terminal=True, share=None)

    assert "segment" in text
    assert "%" not in text


def test_a_new_step_begins_with_no_share():
    """What the last step reached is not told of the next."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, color_system=None)
    with showing(console) as bar:
        bar.begin("segment")
        bar.advance(1.0)
        bar.begin("measure")
        before = len(screen.getvalue())
        bar.progress.refresh()
        last = screen.getvalue()[before:]

    assert "measure" in last
    assert "100%" not in last


def test_a_file_gets_nothing():
    """A log of a batch job stays free of bars."""
    assert shown(terminal=False, share=0.5) == ""
