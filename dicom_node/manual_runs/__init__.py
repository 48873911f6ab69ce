"""Analyses that a person asks for: studies pulled from a peer, files that are uploaded."""
