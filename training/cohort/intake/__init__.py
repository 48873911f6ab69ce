"""Scans and masks as they lie on somebody's disk, on their way into a cohort."""
