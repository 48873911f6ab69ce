"""When a changed setting takes effect: the table that the processes keep and the manual shows."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from dicom_node.settings.schema import Settings


class Effect(StrEnum):
    """When, and what becomes of what is under way."""

    NEXT_ASSOCIATION = "with the next association; those that are open end as they began"
    REOPENED = (
        "within seconds: the receiver closes its ports and opens them again; open associations "
        "go on for at most a minute"
    )
    NEXT_JOB = "with the worker's next job; the one in hand ends as it began"
    OFFICE = "within seconds; what the office has in hand is brought to its end first"
    STATUS_PAGE = "within seconds; the page is away for a moment"
    EVERYWHERE = "within seconds, as in the rows for receiver, worker and office"
    RESTART = "after a restart of `ichnode serve`"


#: By table; a key of its own, ``table.key``, goes before its table.
EFFECTS: Final[Mapping[str, Effect]] = {
    "node": Effect.REOPENED,
    "node.ae_title": Effect.EVERYWHERE,
    "node.callers": Effect.NEXT_ASSOCIATION,
    "node.max_associations_per_caller": Effect.NEXT_ASSOCIATION,
    "node.free_space_floor_mb": Effect.EVERYWHERE,
    "node.data_dir": Effect.RESTART,
    "node.ledger": Effect.RESTART,
    "node.ledger_secret_file": Effect.RESTART,
    "tls": Effect.EVERYWHERE,
    "tls.profile": Effect.RESTART,
    "peers": Effect.EVERYWHERE,
    "web_peers": Effect.EVERYWHERE,
    "worklists": Effect.OFFICE,
    "assembly": Effect.OFFICE,
    "selection": Effect.OFFICE,
    "urgent": Effect.OFFICE,
    "worker": Effect.NEXT_JOB,
    "results": Effect.NEXT_JOB,
    "follow_up": Effect.EVERYWHERE,
    "delivery": Effect.OFFICE,
    "web": Effect.STATUS_PAGE,
    "retention": Effect.OFFICE,
    "watch": Effect.OFFICE,
    "alerts": Effect.OFFICE,
    "audit": Effect.EVERYWHERE,
    "tracing": Effect.OFFICE,
    "log": Effect.RESTART,
}


def effect_of(table: str, key: str = "") -> Effect:
    """Return when a setting takes effect; a table that is not listed waits for a restart."""
    return EFFECTS.get(f"{table}.{key}", EFFECTS.get(table, Effect.RESTART))


def waits_for_restart(present: Settings, found: Settings) -> tuple[str, ...]:
    """Return the keys, as ``table.key``, that differ and take effect after a restart."""
    return tuple(
        f"{table}.{key}" if key else table
        for table, key in _restart_keys()
        if _value(present, table, key) != _value(found, table, key)
    )


def with_kept(present: Settings, found: Settings) -> Settings:
    """Return the settings found, with those of the present that only a restart changes."""
    tables: dict[str, object] = {}
    for table, key in _restart_keys():
        old, new = getattr(present, table), tables.get(table, getattr(found, table))
        tables[table] = (
            new.model_copy(update={key: getattr(old, key)}) if key else old  # type: ignore[attr-defined]  # a table of settings
        )
    return found.model_copy(update=tables)


def _restart_keys() -> Iterator[tuple[str, str]]:
    """Yield tables, and keys of others, that wait for a restart; the key of a table is empty."""
    for table in Settings.model_fields:
        if effect_of(table) is Effect.RESTART:
            yield table, ""
    for name, effect in EFFECTS.items():
        table, _, key = name.partition(".")
        if key and effect is Effect.RESTART:
            yield table, key


def _value(settings: Settings, table: str, key: str) -> object:
    found = getattr(settings, table)
    return getattr(found, key) if key else found
