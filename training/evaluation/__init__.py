"""Measures with intervals over patients."""
