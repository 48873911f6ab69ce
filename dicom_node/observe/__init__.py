"""What operators and their machines see of the node: metrics, readiness, log lines."""
