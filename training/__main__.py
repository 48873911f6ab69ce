"""Entry point of `ichtrain` and `python -m training`."""

from training.cli import APP


def main() -> None:
    """Run the command line."""
    APP(prog_name="ichtrain")


if __name__ == "__main__":
    main()
