"""Custody of what arrives: spool, assembly into series, selection within the study."""
