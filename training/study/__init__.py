"""The whole published study on one cohort: stages, their results and the report."""
