"""The conformance statement and the IHE statement, from the tables of the code."""
