"""Fits and evaluates the models that the pipeline loads, and releases them as bundles."""
