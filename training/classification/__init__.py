"""Fit and judge the classifier of hematoma expansion on triplets of slices."""
