"""Training cases from every source, and how patients are divided."""
