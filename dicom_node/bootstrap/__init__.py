"""The composition root: from settings to running parts. Only commands import it."""
