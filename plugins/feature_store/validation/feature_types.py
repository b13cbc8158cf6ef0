"""Which types of a feature are numbers, and which of them have NaN (which counts as no value)."""

from __future__ import annotations

WITH_NAN = ("real", "double precision", "numeric")
NUMBERS = ("smallint", "integer", "bigint", *WITH_NAN)
