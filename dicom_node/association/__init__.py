"""Everything DIMSE: contexts, storage provider and user, verification, peers."""
