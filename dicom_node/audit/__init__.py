"""The audit trail: messages of DICOM PS3.15, A.5, to a syslog repository."""
