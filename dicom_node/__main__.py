"""Entry point of ``ichnode`` and of ``python -m dicom_node``."""

from dicom_node.cli.app import main

if __name__ == "__main__":
    main()
