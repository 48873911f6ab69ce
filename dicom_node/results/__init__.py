"""What the node gives back: DICOM objects, a machine-readable record and a summary to look at."""
