"""Statistics of patients that training and the running node both need."""
