"""The TOML files of a store that was found, apart from its contracts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from feature_store.declarations.source_tables import family_of
from feature_store.declarations.undecided import MARK
from feature_store.schema.first_folder.found_store import FoundStore
from feature_store.schema.first_folder.layers import key_of
from feature_store.schema.first_folder.sql_files import candidates, one_line

_OF_KEYS = """\
[keys]
title = "Every key is there once, no row was dropped, and none is spam."
checks = ["keys", "rows", "spam"]
"""
_OF_PROOFS = """\
[proofs]
title = "Every row is as its specification says."
checks = ["specifications", "refreshes"]
"""
_OF_ALL = """\
[proofs]
title = "Every row is as its specification says; every key, once there is one, is there once."
checks = ["keys", "rows", "spam", "specifications", "refreshes"]
"""
THRESHOLDS = """\
# When a warning is given: by which share a count of rows, or of NULLs, may differ from the last
# certified one.
most_row_count_change = 0.2
most_null_share_change = 0.1

# When a refresh is refused: see docs/operations.md.
most_rows_lost = 0.4
least_rows_guarded = 100
"""
EXCEPTIONS = """\
# Where a feature sees more than was known at t0, and why that is kept: one entry for each source
# that leak_rules.toml has as not_as_of, and each relation that reads it. For example:
#
# [[exception]]
# id = "as-of-refresh"
# title = "What it is, in a few words"
# relation = "schema.reader_mv"
# reads = "schema.source"
# badge = "as of refresh"
# says = "as of the refresh"
# reason = "Why it is kept."
# taints = { feature_set = ["feature"] }
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text(value: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A key as TOML writes it."""
    return name if _BARE.fullmatch(name) else text(name)


def texts(values: Sequence[str]) -> str:
    """A list of texts as TOML writes it."""
    return f"[{', '.join(map(text, values))}]"


def store_file(name: str, schemas: Sequence[str]) -> str:
    """``store.toml``."""
    return (
        f"# Written by feature-store init, for the store that stands in {', '.join(schemas)}.\n"
        f"name = {text(name)}\n"
        f"title = {text(name.replace('_', ' '))}\n"
        f"dag_id = {text(f'{name}_refresh')}\n"
        f"governed_schemas = {texts(schemas)}\n"
    )


def sources_file(found: FoundStore) -> str:
    """``sources.toml``."""
    return "\n".join(
        [
            "# What the store reads and does not make: the columns that it looks at, by type.",
            *_sources(found),
            "",
        ]
    )


def _sources(found: FoundStore) -> Iterator[str]:
    for source in found.sources.values():
        yield ""
        if source.kind:
            yield f"# {source.kind.capitalize()}."
        for words in source.unprovable:
            yield f"# {MARK} {one_line(words)}"
        yield f"[{text(str(source.name))}]"
        for column, type_name in source.columns.items():
            yield f"{key(column)} = {text(family_of(type_name))}"


def suites_of(found: FoundStore) -> dict[str, str]:
    """``suites.toml``, suite by suite. Without any key, one for keys would check nothing."""
    if any(key_of(relation) for relation in found.materialized):
        return {"keys": _OF_KEYS, "proofs": _OF_PROOFS}
    return {"proofs": _OF_ALL}


def leak_rules_file(found: FoundStore) -> str:
    """``leak_rules.toml``."""
    return "\n".join(
        [
            "# What may be read, and by whom. A source is as of its day if each row says of which",
            "# day it is and is never written over; else its entry moves to not_as_of.",
            "not_as_of = [",
            '  # { relation = "schema.table", reason = "Its rows are written over." },',
            "]",
            "",
            "# What is known only after t0: no feature may know it.",
            "outcome = [",
            '  # { relation = "schema.table", columns = ["sold_at"], reason = "When it was sold.", '
            'read_by = { "schema.labels_mv" = ["is_sold"] } },',
            "]",
            *_as_of(found),
            *_functions(found),
            *_constants(found),
            "",
        ]
    )


def _as_of(found: FoundStore) -> Iterator[str]:
    for name, source in found.sources.items():
        yield "\n[[as_of]]"
        yield f"relation = {text(str(name))}"
        question = (
            f"{MARK} by which column is a row of its day{candidates(source.columns)}? Is it ever "
            "written over (not_as_of)? Which columns are known only later (outcome)?"
        )
        yield f"reason = {text(question)}"
        yield "[as_of.read_by]"
        for relation in found.relations.values():
            if name in relation.sources:
                yield f"{text(str(relation.name))} = {texts(relation.sources[name])}"


def _functions(found: FoundStore) -> Iterator[str]:
    for signature in found.functions:
        yield "\n[[function]]"
        yield f"signature = {text(signature)}"
        question = f"{MARK} why does it answer alike whenever it is asked, and whoever asks?"
        yield f"reason = {text(question)}"


def _constants(found: FoundStore) -> Iterator[str]:
    for name, value in found.constants:
        yield "\n[[constant]]"
        yield f"relation = {text(str(name))}"
        yield f"value = {text(value)}"
        question = f"{MARK} did a person write it, or did PostgreSQL make it of 'today' or 'now'?"
        yield f"reason = {text(question)}"
