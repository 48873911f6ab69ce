"""Entry point of `ichtrain` and `python -m training`."""

from training.cli import application


def main() -> None:
    """Run the command line."""
    application()(prog_name="ichtrain")


if __name__ == "__main__":
    main()
