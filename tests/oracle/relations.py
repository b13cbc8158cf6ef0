"""All relations, computed from the source rows, each after those that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from tests.oracle import ai, base, columns, device, device_stats, enriched, speed
from tests.oracle.rows import Sources, as_dict

Row = dict[str, Any]


@dataclass(frozen=True)
class Relation:
    """What the documents say of a relation. Without a key duplicates are allowed."""

    name: str
    columns: columns.Columns
    key: tuple[str, ...]


_LISTING = ("listing_id",)

RELATIONS = (
    Relation("ml.tom_features_v1_mv", columns.SNAPSHOT, _LISTING),
    Relation("ml.tom_labels_v1_mv", columns.LABEL, _LISTING),
    Relation("ml.tom_train_base_v1_mv", columns.TRAINING, _LISTING),
    Relation("ml.sold_durations_v1_mv", columns.SOLD_DURATION, ()),
    Relation("ml.ask_daily_median_v1", columns.ASK_MEDIAN, ("generation", "storage_gb", "ask_day")),
    Relation("ml.sold_prices_v1_mv", columns.SOLD_PRICE, ()),
    Relation("ml.tom_features_v1_enriched_mv", columns.ENRICHED, _LISTING),
    Relation("ml.tom_features_v1_enriched_clean_mv", columns.ENRICHED, _LISTING),
    Relation(
        "ml.tom_speed_anchor_v1_mv",
        columns.SPEED_ANCHOR,
        ("anchor_day", "generation", "sbucket", "ptv_bucket"),
    ),
    Relation("ml.tom_features_v1_enriched_speed_mv", columns.WITH_SPEED, _LISTING),
    Relation("ml.tom_features_v1_enriched_ai_clean_mv", columns.WITH_AI, _LISTING),
    Relation("feature_store.listing_device_features_clean_mv", columns.DEVICE_LISTING, _LISTING),
    Relation(
        "feature_store.v_device_meta_base_t0_v1",
        columns.DEVICE_META,
        ("generation", "listing_id"),
    ),
    Relation(
        "feature_store.device_meta_gmc_stats_t0_v1_mv",
        columns.SEGMENT_STATS,
        ("t0_day", "gen_key", "model_variant", "color_bucket"),
    ),
    Relation(
        "feature_store.device_meta_encoded_t0_v1",
        columns.ENCODED,
        ("generation", "listing_id"),
    ),
)


def compute(sources: Sources, zone: tzinfo = UTC) -> dict[str, list[Row]]:
    """Every relation's rows by the relation's name; ``zone`` is the time zone of the days."""
    listings = sources.listings
    a = base.snapshots(listings)
    b = base.labels(a, listings)
    d1 = base.sold_durations(listings, zone)
    d2 = base.ask_medians(listings, zone)
    d3 = base.sold_prices(listings, zone)
    e = enriched.enrich(a, d1, d2, d3, zone)
    e_clean = enriched.without_spam(e, listings)
    d4 = speed.speed_anchors(d1, e, zone)
    e_speed = speed.with_speed(e_clean, d4, zone)
    f0 = device.device_listings(e_clean)
    f1 = device.device_meta(f0, sources.images, zone)
    f2 = device_stats.segment_stats(f1)
    results: tuple[Sequence[Any], ...] = (
        a,
        b,
        base.training_rows(a, b),
        d1,
        d2,
        d3,
        e,
        e_clean,
        d4,
        e_speed,
        ai.with_ai(e_speed, sources.ai),
        f0,
        f1,
        f2,
        device_stats.encoded(f1, f2),
    )
    return {
        relation.name: [as_dict(row) for row in rows]
        for relation, rows in zip(RELATIONS, results, strict=True)
    }
