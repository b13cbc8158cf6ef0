"""E-AI: E-speed with what a language model read in the text, as the AI table has it today."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.oracle.rows import AiRow, as_dict
from tests.oracle.speed import WithSpeed

_LARGEST_RATIO = 5.0


@dataclass(frozen=True, kw_only=True)
class WithAi(WithSpeed):
    """E-AI: flags are 0 or 1 and never NULL; the last two columns may be NULL."""

    ai_sale_mode_obo: int
    ai_sale_mode_firm: int
    ai_sale_mode_bids: int
    ai_sale_mode_unspecified: int
    ai_owner_private: int
    ai_owner_work: int
    ai_owner_unknown: int
    ai_ship_can: int
    ai_ship_pickup: int
    ai_ship_unspecified: int
    ai_rep_apple: int
    ai_rep_authorized: int
    ai_rep_independent: int
    ai_rep_unknown: int
    ai_can_ship_bin: int
    ai_pickup_only_bin: int
    ai_vat_invoice_bin: int
    ai_first_owner_bin: int
    ai_used_with_case_bin: int
    ai_negotiability_f: float
    ai_urgency_f: float
    ai_lqs_textonly_f: float
    ai_opening_offer_nok_f: float
    ai_opening_offer_ratio: float | None
    ai_storage_gb_fixed: int | None


def _flags(value: str | None, names: Sequence[str]) -> list[int]:
    """A flag for each name, compared in lower case but untrimmed, and one for none of them."""
    hits = [int(value is not None and value.lower() == name) for name in names]
    return [*hits, int(not any(hits))]


def _score(value: float | None) -> float:
    """Clipped to 0..1; NULL is 0, and NaN counts as larger than any number, as in SQL."""
    if value is None:
        return 0.0
    if math.isnan(value) or value > 1:
        return 1.0
    return value if value > 0 else 0.0


def _offer_ratio(offer: int, price: int | None) -> float | None:
    if price is None or price <= 0:
        return None
    return max(0.0, min(_LARGEST_RATIO, offer / price))


def _derive(row: WithSpeed, ai: AiRow) -> WithAi:
    obo, firm, bids, no_mode = _flags(ai.sale_mode, ("obo", "firm", "bids"))
    private, work, no_owner = _flags(ai.owner_type, ("private", "work_phone"))
    apple, authorized, independent, no_repair = _flags(
        ai.repair_provider, ("apple", "authorized", "independent")
    )
    ship, pickup = ai.can_ship is True, ai.pickup_only is True
    offer = ai.opening_offer_nok or 0
    return WithAi(
        **as_dict(row),
        ai_sale_mode_obo=obo,
        ai_sale_mode_firm=firm,
        ai_sale_mode_bids=bids,
        ai_sale_mode_unspecified=no_mode,
        ai_owner_private=private,
        ai_owner_work=work,
        ai_owner_unknown=no_owner,
        ai_ship_can=int(ship and not pickup),
        ai_ship_pickup=int(pickup),
        ai_ship_unspecified=int(not ship and not pickup),
        ai_rep_apple=apple,
        ai_rep_authorized=authorized,
        ai_rep_independent=independent,
        ai_rep_unknown=no_repair,
        ai_can_ship_bin=int(ship),
        ai_pickup_only_bin=int(pickup),
        ai_vat_invoice_bin=int(ai.vat_invoice is True),
        ai_first_owner_bin=int(ai.first_owner is True),
        ai_used_with_case_bin=int(ai.used_with_case_claim is True),
        ai_negotiability_f=_score(ai.negotiability_ai),
        ai_urgency_f=_score(ai.urgency_ai),
        ai_lqs_textonly_f=_score(ai.lqs_textonly),
        ai_opening_offer_nok_f=float(max(0, offer)),
        ai_opening_offer_ratio=_offer_ratio(offer, row.price),
        ai_storage_gb_fixed=ai.storage_gb_fixed_ai,
    )


def with_ai(rows: Sequence[WithSpeed], enrichment: Sequence[AiRow]) -> list[WithAi]:
    """E-AI, one row per row of E-speed; a listing without an AI row reads as all NULL."""
    by_id = {ai.listing_id: ai for ai in enrichment}
    return [
        _derive(row, by_id.get(row.listing_id, AiRow(listing_id=row.listing_id))) for row in rows
    ]
