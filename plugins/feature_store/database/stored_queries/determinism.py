"""Which functions give the same answer whenever they are asked, and whoever asks.

PostgreSQL's own functions are trusted as they are marked: immutable ones pass. Of the stable ones
only those below pass. Users' functions are not trusted, because anyone may mark one as immutable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from feature_store.connection import Connection
from feature_store.database.stored_queries.calls import FIRST_OF_USERS, Call, CallKind, calls
from feature_store.database.stored_queries.node_tree import parse_tree
from feature_store.database.stored_queries.user_types import UserType, read_types

# Stable because they look up a label, which does not depend on time or session.
_FREE = {
    3506: "enum_in(cstring,oid)",
    3507: "enum_out(anyenum)",
}
# They depend on the session's time zone or on how it writes dates, floats and bytes. Every session
# that refreshes pins all of that, so in a materialized view they give one answer. In a plain view
# the reader's session counts.
PINNED = {
    939: "generate_series(timestamp with time zone,timestamp with time zone,interval)",
    1085: "date_out(date)",
    1151: "timestamptz_out(timestamp with time zone)",
    1171: "date_part(text,timestamp with time zone)",
    1174: "timestamptz(date)",
    1178: "date(timestamp with time zone)",
    1189: "timestamptz_pl_interval(timestamp with time zone,interval)",
    1190: "timestamptz_mi_interval(timestamp with time zone,interval)",
    1217: "date_trunc(text,timestamp with time zone)",
    1313: "timestamp_out(timestamp without time zone)",
    2019: '"time"(timestamp with time zone)',
    2027: '"timestamp"(timestamp with time zone)',
    2028: "timestamptz(timestamp without time zone)",
    2351: "date_lt_timestamptz(date,timestamp with time zone)",
    2352: "date_le_timestamptz(date,timestamp with time zone)",
    2353: "date_eq_timestamptz(date,timestamp with time zone)",
    2354: "date_gt_timestamptz(date,timestamp with time zone)",
    2355: "date_ge_timestamptz(date,timestamp with time zone)",
    2356: "date_ne_timestamptz(date,timestamp with time zone)",
    2377: "timestamptz_lt_date(timestamp with time zone,date)",
    2378: "timestamptz_le_date(timestamp with time zone,date)",
    2379: "timestamptz_eq_date(timestamp with time zone,date)",
    2380: "timestamptz_gt_date(timestamp with time zone,date)",
    2381: "timestamptz_ge_date(timestamp with time zone,date)",
    2382: "timestamptz_ne_date(timestamp with time zone,date)",
    2520: "timestamp_lt_timestamptz(timestamp without time zone,timestamp with time zone)",
    2521: "timestamp_le_timestamptz(timestamp without time zone,timestamp with time zone)",
    2522: "timestamp_eq_timestamptz(timestamp without time zone,timestamp with time zone)",
    2523: "timestamp_gt_timestamptz(timestamp without time zone,timestamp with time zone)",
    2524: "timestamp_ge_timestamptz(timestamp without time zone,timestamp with time zone)",
    2525: "timestamp_ne_timestamptz(timestamp without time zone,timestamp with time zone)",
    2527: "timestamptz_lt_timestamp(timestamp with time zone,timestamp without time zone)",
    2528: "timestamptz_le_timestamp(timestamp with time zone,timestamp without time zone)",
    2529: "timestamptz_eq_timestamp(timestamp with time zone,timestamp without time zone)",
    2530: "timestamptz_gt_timestamp(timestamp with time zone,timestamp without time zone)",
    2531: "timestamptz_ge_timestamp(timestamp with time zone,timestamp without time zone)",
    2532: "timestamptz_ne_timestamp(timestamp with time zone,timestamp without time zone)",
    2549: "interval_pl_timestamptz(interval,timestamp with time zone)",
    4135: "in_range(timestamp with time zone,timestamp with time zone,interval,boolean,boolean)",
    6203: '"extract"(text,timestamp with time zone)',
    # PostgreSQL calls these immutable.
    31: "byteaout(bytea)",
    118: "point_out(point)",
    120: "lseg_out(lseg)",
    122: "path_out(path)",
    124: "box_out(box)",
    201: "float4out(real)",
    215: "float8out(double precision)",
    348: "poly_out(polygon)",
    1199: "age(timestamp with time zone,timestamp with time zone)",
    1451: "circle_out(circle)",
    1491: "line_out(line)",
}
# Stable, and they read tables and views that they get as arguments.
_TOLD_WHAT_TO_READ = ("table_to_xml", "schema_to_xml", "database_to_xml", "cursor_to_xml")
_VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}

# The planner may use a user's negator or commutator instead of an operator, and its estimators.
_OPERATORS = """
SELECT o.oid, o.oprcode::oid || ARRAY(
    SELECT f.oid
    FROM unnest(ARRAY[
        negator.oprcode::oid, commutator.oprcode::oid, o.oprrest::oid, o.oprjoin::oid
    ]) AS f (oid)
    WHERE f.oid >= 16384
)
FROM pg_catalog.pg_operator AS o
LEFT JOIN pg_catalog.pg_operator AS negator ON o.oprnegate = negator.oid
LEFT JOIN pg_catalog.pg_operator AS commutator ON o.oprcom = commutator.oid
WHERE o.oid = ANY(%s)
"""
_FUNCTIONS = """
SELECT
    p.oid,
    p.oid::regprocedure::text,
    n.nspname = 'pg_catalog',
    l.lanname,
    p.provolatile::text,
    p.prosqlbody::text,
    ARRAY(
        SELECT s.oid
        FROM pg_catalog.pg_aggregate AS a
        CROSS JOIN unnest(ARRAY[
            a.aggtransfn::oid, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
            a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn
        ]) AS s (oid)
        WHERE a.aggfnoid = p.oid AND s.oid <> 0
    )
FROM pg_catalog.pg_proc AS p
INNER JOIN pg_catalog.pg_namespace AS n ON p.pronamespace = n.oid
INNER JOIN pg_catalog.pg_language AS l ON p.prolang = l.oid
WHERE p.oid = ANY(%s)
"""


@dataclass(frozen=True)
class Objection:
    """The objection to a call; empty if it always gives the same answer to everybody.

    Attributes:
        words: why it fails; empty if it does not.
        pinned: the functions that give one answer in a pinned session only.
        foreign: whether it may run code that is not the server's and that nobody vouches for.
        acts: whether it may do more than compute from its arguments, such as run a text as SQL.
        vouch: what a person would declare, where only that helps; empty: the function.
    """

    words: str = ""
    pinned: frozenset[str] = frozenset()
    foreign: bool = False
    acts: bool = False
    vouch: str = ""


@dataclass(frozen=True)
class _Function:
    signature: str
    built_in: bool
    language: str
    volatility: str
    body: str | None
    support: tuple[int, ...]


class Judge:
    """Judges calls by the catalog."""

    def __init__(self, connection: Connection, declared: frozenset[str]) -> None:
        """Start without any knowledge.

        Args:
            connection: a pinned session: names are taken as they look from ``pg_catalog``.
            declared: users' functions and types that a person vouches for, by signature and name.
        """
        self._connection = connection
        self._declared = declared
        self._operators: dict[int, list[int]] = {}
        self._types: dict[int, UserType] = {}
        self._made: dict[int, Objection] = {}
        self._functions: dict[int, _Function] = {}
        self._objections: dict[int, Objection] = {}

    def learn(self, asked: Iterable[Call]) -> None:
        """Look up everything that is needed to judge these calls, at once."""
        by_kind: dict[CallKind, set[int]] = {kind: set() for kind in CallKind}
        for call in asked:
            by_kind[call.kind].add(call.oid)
        operators = by_kind[CallKind.OPERATOR] - self._operators.keys()
        self._operators |= dict(self._rows(_OPERATORS, operators))
        texts = by_kind[CallKind.TEXT_TO] | by_kind[CallKind.TYPE_TO_TEXT]
        types = texts | by_kind[CallKind.TYPE] | by_kind[CallKind.MADE]
        self._types |= read_types(self._connection, types - self._types.keys())
        functions = set(by_kind[CallKind.FUNCTION])
        functions |= {f for o in by_kind[CallKind.OPERATOR] for f in self._operators[o]}
        known = [self._types[oid] for oid in texts & self._types.keys()]
        functions |= {f for one in known for f in (one.reads, one.writes)}
        self._look_up(functions)
        self._look_up({s for f in functions for s in self._functions[f].support})

    def judge(self, call: Call) -> Objection:
        """Give the objection to a call that was looked up."""
        if call.kind is CallKind.NOTHING:
            return Objection(call.words)
        if call.kind is CallKind.FUNCTION:
            return self._function(call.oid)
        if call.kind is CallKind.OPERATOR:
            return _first([self._function(f) for f in self._operators[call.oid]])
        if call.oid not in self._types:
            return Objection("a cast to text of a value whose type cannot be determined")
        of = self._types[call.oid]
        if call.kind is CallKind.TYPE:
            return self._held(of)
        if call.kind is CallKind.MADE:
            return self._make(call.oid, of)
        return self._function(of.reads if call.kind is CallKind.TEXT_TO else of.writes)

    def _held(self, of: UserType) -> Objection:
        for name in of.foreign:
            if name not in self._declared:
                words = f"the type {name}, which may run code of its own"
                return Objection(words, foreign=True, vouch=f"the type {name} under [[type]]")
        return Objection()

    def _make(self, oid: int, of: UserType) -> Objection:
        if oid not in self._made:
            self._made[oid] = Objection()  # a check may cast to its own domain
            self._made[oid] = _first([self._check(name, tree) for name, tree in of.checks])
        return self._made[oid]

    def _check(self, name: str, tree: str) -> Objection:
        inside = list(calls(parse_tree(tree)))
        self.learn(inside)
        found = _first([self.judge(call) for call in inside])
        if not found.words:
            return found
        words = f"a value of the domain {name}, whose check uses {found.words}"
        # No file of the store has the check, so what it does is somebody else's.
        return replace(found, words=words, foreign=found.foreign or found.acts)

    def _function(self, oid: int) -> Objection:
        if oid not in self._objections:
            self._objections[oid] = self._judge_function(oid, self._functions[oid])
        return self._objections[oid]

    def _judge_function(self, oid: int, function: _Function) -> Objection:
        signature = function.signature
        if not function.built_in:
            if signature in self._declared:
                return Objection()
            claim = _VOLATILITY[function.volatility]
            words = f"{signature}, a user's own function; its declaration as {claim} proves nothing"
            return Objection(words, foreign=True)
        if oid in _FREE:
            return Objection()
        if oid in PINNED:
            return Objection(pinned=frozenset({signature}))
        if function.volatility != "i":
            acts = function.volatility == "v" or signature.startswith(_TOLD_WHAT_TO_READ)
            return Objection(f"{signature}, which is {_VOLATILITY[function.volatility]}", acts=acts)
        if function.body:
            inside = list(calls(parse_tree(function.body)))
            self.learn(inside)
            return _first([self.judge(call) for call in inside])
        if function.language != "internal":
            return Objection(f"{signature}, written in {function.language}")
        return _first([self._function(support) for support in function.support])

    def _look_up(self, functions: set[int]) -> None:
        for oid, *rest in self._rows(_FUNCTIONS, functions - self._functions.keys()):
            signature, ours, language, volatility, body, support = rest
            self._functions[oid] = _Function(
                signature=signature,
                built_in=ours and oid < FIRST_OF_USERS,
                language=language,
                volatility=volatility,
                body=body,
                support=tuple(support),
            )

    def _rows(self, query: str, oids: set[int]) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), (sorted(oids),)).fetchall() if oids else []


def _first(objections: list[Objection]) -> Objection:
    """The first of several objections, foreign ones first, with everything that must be pinned."""
    pinned = frozenset[str]().union(*(o.pinned for o in objections))
    worst = max(objections, key=lambda o: (o.foreign, o.acts, bool(o.words)), default=Objection())
    return replace(worst, pinned=pinned)
