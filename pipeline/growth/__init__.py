"""Forecast of the follow-up hematoma: a displacement field that warps what the baseline shows."""
