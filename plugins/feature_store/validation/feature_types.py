"""Which types of a feature are numbers, and which of them have NaN (which counts as no value)."""

from __future__ import annotations

WHOLE = ("smallint", "integer", "bigint")
WITH_NAN = ("real", "double precision", "numeric")
NUMBERS = (*WHOLE, *WITH_NAN)
