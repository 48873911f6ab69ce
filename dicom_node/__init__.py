"""The DICOM node: takes custody of head CT, runs the pipeline durably, returns results."""
