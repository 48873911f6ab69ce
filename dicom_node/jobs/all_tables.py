"""All tables of the ledger in one place, so that whoever makes a ledger makes every one."""

from dicom_node.jobs import (
    delivery_tables,
    reprocess_tables,
    retention_tables,
    tables,
    tally_tables,
    user_tables,
    worklist_tables,
)

#: Whose rows are rows of the ledger.
MODULES = (
    tables,
    delivery_tables,
    reprocess_tables,
    retention_tables,
    tally_tables,
    user_tables,
    worklist_tables,
)

METADATA = tables.Table.metadata
