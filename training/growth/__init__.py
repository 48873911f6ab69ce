"""Fitting and judging the forecast of hematoma growth."""
