"""Performs the workitems of others: Unified Procedure Steps over UPS-RS."""
