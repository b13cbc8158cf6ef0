"""Relations that the record knows and no file defines any more, and what to do about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from feature_store.audit.adopted import ADOPTED
from feature_store.connection import Connection
from feature_store.relation_name import Name
from feature_store.schema.object_states import has_audit
from feature_store.schema.planning.drop_refusals import DROP


@dataclass(frozen=True)
class WithoutFile:
    """A relation that apply once created or adopted, and that no longer has a file.

    Attributes:
        name: its name.
        oid: its OID; None if somebody has dropped it.
        kind: ``MATERIALIZED VIEW`` or ``VIEW``; empty if it is neither, or does not exist.
        adopted: whether apply did not create it.
        source: whether the store declares it as a source, and so leaves it to somebody else.
    """

    name: Name
    oid: int | None
    kind: str
    adopted: bool
    source: bool

    @property
    def dropped(self) -> bool:
        """Whether removing it drops anything."""
        return bool(self.kind) and not (self.adopted or self.source)

    def __str__(self) -> str:
        if not self.kind:
            return f"{self.name}, which no longer exists"
        kind = f"{self.name}, a {self.kind.lower()}"
        if self.source:
            return f"{kind} that is a source now, and that stays"
        return f"{kind} that apply did not create, and that stays" if self.adopted else kind


def without_file(
    connection: Connection, known: Iterable[str], sources: Collection[str]
) -> tuple[WithoutFile, ...]:
    """Find every relation of the record that no file defines. Reads the record and the catalog.

    Args:
        connection: a pinned session.
        known: the names of the relations that the files define.
        sources: the names of the declared sources.
    """
    if not has_audit(connection):
        return ()
    rows = connection.execute(
        """
        SELECT
            d.object,
            c.oid,
            CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' ELSE '' END,
            starts_with(d.file_definition, %s),
            d.object = ANY(%s)
        FROM feature_store_audit.definition AS d
        LEFT JOIN (
            pg_catalog.pg_class AS c
            INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid
        ) ON d.object = concat_ws('.', n.nspname, c.relname)
        -- A governance file is called by words.
        WHERE d.object <> ALL(%s) AND strpos(d.object, ' ') = 0
        ORDER BY d.object COLLATE "C"
        """,
        (ADOPTED, list(sources), list(known)),
    ).fetchall()
    return tuple(WithoutFile(Name.parse(n), oid, kind or "", *is_) for n, oid, kind, *is_ in rows)


def way_out_of(found: Iterable[WithoutFile]) -> str:
    """What to do about relations without a file, as one line that ends with the command."""
    left = list(found)
    forget = all(one.source for one in left)
    way = "have it forgotten" if forget else "restore the file; or remove it"
    return f"{way}: {DROP.format(' '.join(str(one.name) for one in left))}"
