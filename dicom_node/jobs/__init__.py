"""The ledger and those who move it along: states, claims, worker, timetable."""
