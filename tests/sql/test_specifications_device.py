"""The specifications of the device store: true stores agree, and no others do."""

import pytest

from tests.conftest import LiveStore
from tests.oracle.harness import load_sources
from tests.oracle.odd_cases import PROFILES, Profile, generate
from tests.oracle.rows import Sources
from tests.relations import COUNTS, F0, F1, F2, F3
from tests.sql.specified import differing, differing_as

COLORS = "feature_store.device_color_v1"
DEVICE = (F0, COLORS, F1, COUNTS, F2, F3)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_true_store_is_as_specified(store: LiveStore, profile: Profile) -> None:
    load_sources(store, generate(profile, 1))
    for relation in DEVICE:
        assert store.rows(relation), relation
        assert differing(store, relation) == set(), relation


def test_an_empty_store_is_as_specified(store: LiveStore) -> None:
    load_sources(store, Sources())
    for relation in DEVICE:
        assert differing(store, relation) == set(), relation


@pytest.fixture(scope="module")
def odd(shared_store: LiveStore) -> LiveStore:
    """A store of odd listings; the tests below only read it."""
    load_sources(shared_store, generate(PROFILES[0], 1))
    return shared_store


# By relation and by what the mutant gets wrong: a text of the relation's file, the text that
# replaces it, and a column that must then differ.
MUTANTS: dict[str, dict[str, tuple[str, str, str]]] = {
    F0: {
        "a day late": (
            "e.edited_date",
            "e.edited_date + INTERVAL '1 day' AS edited_date",
            "edited_date",
        ),
        "trimmed models": ("e.model", "trim(e.model) AS model", "model"),
        "listings without generation lost": (
            "enriched_clean_mv AS e",
            "enriched_clean_mv AS e WHERE e.generation > 0",
            "*",
        ),
        "flagged listings": ("enriched_clean_mv", "enriched_mv", "*"),
    },
    F1: {
        "trimmed names": ("lower(b.model)", "lower(trim(b.model))", "model_variant"),
        "names as they are": ("lower(b.model)", "b.model", "model_variant"),
        "one blank only": ("pro[[:space:]]+max", "pro max", "model_variant"),
        "pro before pro max": ("THEN 'pro_max'", "THEN 'pro'", "model_variant"),
        "colours of any case": (
            "nullif(u.body_color_key_main, '')",
            "lower(nullif(u.body_color_key_main, ''))",
            "color_bucket",
        ),
        "trimmed colours": (
            "nullif(u.body_color_key_main, '')",
            "nullif(trim(u.body_color_key_main), '')",
            "color_bucket",
        ),
        "the listing's generation first": (
            "coalesce(i.model_effective_generation, l.generation)",
            "coalesce(l.generation, i.model_effective_generation)",
            "gen_key",
        ),
        "images of any generation": ("l.generation = i.generation AND", "", "color_bucket"),
        "listings without image lost": ("LEFT JOIN", "INNER JOIN", "*"),
        "tomorrow": ("b.edited_date::date", "b.edited_date::date + 1", "t0_day"),
        "no votes as none": (
            "i.n_color_votes AS",
            "coalesce(i.n_color_votes, 0) AS",
            "dev_n_color_votes",
        ),
        "swapped evidence": (
            "i.color_vote_share AS",
            "i.color_vote_margin AS",
            "dev_color_vote_share",
        ),
        "unknown as true": (
            "i.color_known IS TRUE",
            "i.color_known IS NOT FALSE",
            "dev_color_known",
        ),
        "an image at least": ("i.image_count > 0", "i.image_count >= 0", "dev_has_images"),
    },
    COLORS: {
        "a colour lost": ("('pink'), ", "", "*"),
        "a colour misspelt": ("'space_black'", "'spaceblack'", "*"),
        "a colour of another case": ("'silver'", "'Silver'", "*"),
    },
    COUNTS: {
        "listings without generation not counted": ("count(*)", "count(b.generation)", "n"),
        "days without colour": ("b.color_bucket,\n", "'black' AS color_bucket,\n", "*"),
        "undated listings not counted": ("AS b\n", "AS b WHERE b.t0_day > '-infinity'\n", "*"),
        "a device counted once": ("count(*)", "count(DISTINCT b.gen_key)", "n"),
    },
    F2: {
        "the day itself": (
            "ORDER BY d.t0_day\n                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
            "ORDER BY d.t0_day",
            "gmc_color_n_global",
        ),
        "the segment's day itself": (
            "ORDER BY d.t0_day\n            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
            "ORDER BY d.t0_day",
            "gmc_seg_n",
        ),
        "the segment's day alone": (
            "ORDER BY s.stretch_no), 0.0)",
            "), 0.0)",
            "gmc_color_n_in_seg",
        ),
        "unknown generations in totals": (
            "ON n.gen_key = s.gen_key",
            "ON n.gen_key IS NOT DISTINCT FROM s.gen_key",
            "gmc_color_n_global",
        ),
        "unknown generations no segments": (
            "AS n\n    GROUP BY",
            "AS n\n    WHERE n.gen_key > 0 GROUP BY",
            "gmc_seg_share",
        ),
        "segments of the day itself": (
            "s.first_day < c.t0_day",
            "s.first_day <= c.t0_day",
            "gmc_seg_share",
        ),
        "rank": (
            "dense_rank() OVER (PARTITION BY c.s",
            "rank() OVER (PARTITION BY c.s",
            "gmc_color_rank_in_seg",
        ),
        "the rarest first": ("ORDER BY c.n DESC", "ORDER BY c.n ASC", "gmc_color_rank_in_seg"),
        "the rarest summed first": (
            "ORDER BY r.n DESC",
            "ORDER BY r.n ASC",
            "gmc_seg_color_entropy",
        ),
        "all colours seen": (
            "(WHERE r.n > 0) AS n",
            "(WHERE r.n >= 0) AS n",
            "gmc_seg_n_distinct_colors",
        ),
        "a top share of nothing": (
            "max(r.raw_share) AS",
            "coalesce(max(r.raw_share), 0) AS",
            "gmc_seg_top_color_share",
        ),
        "minus zero": ("0.0 - coalesce(", "- coalesce(", "gmc_seg_color_entropy"),
        "no entropy of nothing": (
            "ORDER BY r.n DESC) FILTER (WHERE r.n > 0), 0.0)",
            "ORDER BY r.n DESC) FILTER (WHERE r.n > 0))",
            "gmc_seg_color_entropy",
        ),
        "binary entropy": (
            "ln(r.raw_share)",
            "log(2, r.raw_share::numeric)::float8",
            "gmc_seg_color_entropy",
        ),
        "another missing colour": ("= '_MISSING'", "= '_OTHER'", "gmc_seg_missing_color_share"),
        "one colour fewer": (
            "k.n_seg + 0.5 * k.n_colors",
            "k.n_seg + 0.5 * (k.n_colors - 1)",
            "gmc_color_share_in_seg",
        ),
        "one listing more": ("(k.n_seg + 0.5)", "(k.n_seg + 1)", "gmc_seg_share"),
        "ranks of another colour": (
            "array_agg(r.color_rank ORDER BY r.color_no)",
            "array_agg(r.color_rank ORDER BY r.n)",
            "gmc_color_rank_in_seg",
        ),
        "swapped shares": (
            "s.color_share AS gmc_color_share_global",
            "s.color_share_in_seg AS gmc_color_share_global",
            "gmc_color_share_global",
        ),
    },
    F3: {
        "joined without the colour": ("AND b.color_bucket = g.color_bucket", "", "*"),
        "joined without the variant": ("AND b.model_variant = g.model_variant", "", "*"),
        "tomorrow's statistics": ("b.t0_day = g.t0_day", "b.t0_day + 1 = g.t0_day", "gmc_seg_n"),
        "listings without statistics lost": ("LEFT JOIN", "INNER JOIN", "*"),
        "a swapped generation": ("b.gen_key = 16", "b.gen_key = 17", "dev_gen_16"),
        "a swapped variant": ("b.model_variant = 'pro'", "b.model_variant = 'plus'", "dev_var_pro"),
        "a swapped colour": (
            "b.color_bucket = 'pink'",
            "b.color_bucket = 'blue'",
            "dev_color_pink",
        ),
        "the unknown generation as none": (
            "(b.gen_key = 13)",
            "(b.gen_key IS NOT DISTINCT FROM 13)",
            "dev_gen_13",
        ),
        "only strange generations as other": ("b.gen_key IS NULL OR", "", "dev_gen_other"),
        "no statistics as zero": (
            "    g.gmc_seg_share",
            "    coalesce(g.gmc_seg_share, 0) AS gmc_seg_share",
            "gmc_seg_share",
        ),
        "no count as unknown": ("coalesce(g.gmc_seg_n, 0)", "g.gmc_seg_n", "gmc_seg_n"),
        "shares of the other kind": (
            "g.gmc_color_share_global",
            "g.gmc_color_share_in_seg AS gmc_color_share_global",
            "gmc_color_share_global",
        ),
    },
}


@pytest.mark.parametrize(
    ("relation", "name"), [(relation, name) for relation in MUTANTS for name in MUTANTS[relation]]
)
def test_a_wrong_relation_is_not_as_specified(odd: LiveStore, relation: str, name: str) -> None:
    old, new, column = MUTANTS[relation][name]
    query = odd.files.find(relation).file.query
    assert old in query
    assert column in differing_as(odd, relation, query.replace(old, new, 1))
