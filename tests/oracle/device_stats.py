"""F2 and F3: how common each segment and colour was before a day, and the encoded device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tests.oracle.arithmetic import running_sum
from tests.oracle.device import COLOR_BUCKETS, KNOWN_COLORS, MISSING, VARIANTS, DeviceMeta
from tests.oracle.rows import as_dict

_ALPHA = 0.5
_N_COLORS = 22.0
_SMALLEST_SHARE = 1e-12
_GENERATIONS = (13, 14, 15, 16, 17)

Segment = tuple[int | None, str]


@dataclass(frozen=True, kw_only=True)
class SegmentStats:
    """F2: one segment and colour, counted over strictly earlier days than t0_day."""

    t0_day: date
    gen_key: int
    model_variant: str
    color_bucket: str
    gmc_seg_n: int
    gmc_seg_share: float
    gmc_color_n_in_seg: int
    gmc_color_share_in_seg: float
    gmc_color_rarity_score: float
    gmc_color_n_global: int
    gmc_color_share_global: float
    gmc_color_rarity_global: float
    gmc_color_rank_in_seg: int
    gmc_seg_n_distinct_colors: int
    gmc_seg_color_entropy: float
    gmc_seg_top_color_share: float | None
    gmc_seg_missing_color_share: float


@dataclass(frozen=True)
class _Prior:
    """Everything known before one day: the listings that count, and how many segments began."""

    counted: tuple[DeviceMeta, ...]
    n_segments: int

    def colors(self, segment: Segment | None) -> dict[str, int]:
        """Counts per colour, of one segment or (None) of all."""
        counts = dict.fromkeys(COLOR_BUCKETS, 0)
        for row in self.counted:
            if segment is None or (row.gen_key, row.model_variant) == segment:
                counts[row.color_bucket] += 1
        return counts


def _before(day: date, meta: Sequence[DeviceMeta]) -> _Prior:
    earlier = [row for row in meta if row.t0_day is not None and row.t0_day < day]
    return _Prior(
        # the grid has no NULL segment, so such listings count in no total ...
        counted=tuple(row for row in earlier if row.gen_key is not None),
        # ... but they do make up segments of their own
        n_segments=len({(row.gen_key, row.model_variant) for row in earlier}),
    )


def _rarity(share: float) -> float:
    return -math.log(max(share, _SMALLEST_SHARE))


def _entropy(counts: Sequence[int]) -> float:
    """Natural-log entropy of the colours, summed from the most common one; never -0."""
    total = sum(counts)
    shares = [count / total for count in sorted(counts, reverse=True) if count > 0]
    entropy = -running_sum(share * math.log(share) for share in shares)
    return entropy if entropy != 0 else 0.0


def _segment_rows(
    day: date, segment: tuple[int, str], prior: _Prior, everywhere: dict[str, int]
) -> list[SegmentStats]:
    counts = prior.colors(segment)
    n, total = sum(counts.values()), sum(everywhere.values())
    ranking = sorted(set(counts.values()), reverse=True)
    rows = []
    for color, count in counts.items():
        share = (count + _ALPHA) / (n + _ALPHA * _N_COLORS)
        share_global = (everywhere[color] + _ALPHA) / (total + _ALPHA * _N_COLORS)
        rows.append(
            SegmentStats(
                t0_day=day,
                gen_key=segment[0],
                model_variant=segment[1],
                color_bucket=color,
                gmc_seg_n=n,
                gmc_seg_share=(n + _ALPHA) / (total + _ALPHA * max(prior.n_segments, 1)),
                gmc_color_n_in_seg=count,
                gmc_color_share_in_seg=share,
                gmc_color_rarity_score=_rarity(share),
                gmc_color_n_global=everywhere[color],
                gmc_color_share_global=share_global,
                gmc_color_rarity_global=_rarity(share_global),
                gmc_color_rank_in_seg=1 + ranking.index(count),
                gmc_seg_n_distinct_colors=sum(1 for other in counts.values() if other > 0),
                gmc_seg_color_entropy=_entropy(list(counts.values())),
                gmc_seg_top_color_share=max(counts.values()) / n if n else None,
                gmc_seg_missing_color_share=counts[MISSING] / n if n else 0.0,
            )
        )
    return rows


def segment_stats(meta: Sequence[DeviceMeta]) -> list[SegmentStats]:
    """F2: every day x every segment that ever occurs x the 22 colours."""
    days = sorted({row.t0_day for row in meta if row.t0_day is not None})
    segments = sorted({(r.gen_key, r.model_variant) for r in meta if r.gen_key is not None})
    result = []
    for day in days:
        prior = _before(day, meta)
        everywhere = prior.colors(None)
        for segment in segments:
            result += _segment_rows(day, segment, prior, everywhere)
    return result


def _flags(row: DeviceMeta) -> dict[str, int | None]:
    flags: dict[str, int | None] = {}
    for generation in _GENERATIONS:
        same = None if row.gen_key is None else int(row.gen_key == generation)
        flags[f"dev_gen_{generation}"] = same
    flags["dev_gen_other"] = int(row.gen_key not in _GENERATIONS)
    for variant in VARIANTS:
        flags[f"dev_var_{variant}"] = int(row.model_variant == variant)
    for color in KNOWN_COLORS:
        flags[f"dev_color_{color}"] = int(row.color_bucket == color)
    flags["dev_color_missing"] = int(row.color_bucket == "_MISSING")
    flags["dev_color_other"] = int(row.color_bucket == "_OTHER")
    return flags


_EVIDENCE = (
    "dev_has_images", "dev_color_is_missing", "dev_color_known", "dev_color_conflict",
    "dev_n_color_votes", "dev_color_vote_share", "dev_color_vote_margin",
    "dev_model_fixed_any", "dev_model_generation_mismatch", "dev_is_spam_below13",
)  # fmt: skip
_STATISTICS = (
    "gmc_seg_n", "gmc_seg_share", "gmc_color_n_in_seg", "gmc_color_share_in_seg",
    "gmc_color_rarity_score", "gmc_color_n_global", "gmc_color_share_global",
    "gmc_color_rarity_global", "gmc_color_rank_in_seg", "gmc_seg_n_distinct_colors",
    "gmc_seg_color_entropy", "gmc_seg_top_color_share", "gmc_seg_missing_color_share",
)  # fmt: skip
_COUNTS_ZERO_WITHOUT_STATS = (
    "gmc_seg_n", "gmc_color_n_in_seg", "gmc_color_n_global", "gmc_seg_n_distinct_colors",
)  # fmt: skip


def encoded(meta: Sequence[DeviceMeta], stats: Sequence[SegmentStats]) -> list[dict[str, Any]]:
    """F3, one row of 61 columns per row of F1."""
    by_key = {(s.t0_day, s.gen_key, s.model_variant, s.color_bucket): as_dict(s) for s in stats}
    result = []
    for row in meta:
        found: dict[str, Any] | None = None
        if row.t0_day is not None and row.gen_key is not None:
            key = (row.t0_day, row.gen_key, row.model_variant, row.color_bucket)
            found = by_key.get(key)
        without = dict.fromkeys(_COUNTS_ZERO_WITHOUT_STATS, 0)
        result.append(
            {
                "generation": row.generation,
                "listing_id": row.listing_id,
                **_flags(row),
                "dev_image_count": row.image_count,
                **{name: getattr(row, name) for name in _EVIDENCE},
                **{name: (found or without).get(name) for name in _STATISTICS},
            }
        )
    return result
