"""What readers who ask for a feature set are told now, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.reporting.store.models import ContractNow
from feature_store.text_format import in_words


def refused_sets(contracts: Sequence[ContractNow]) -> list[str]:
    """The stamped sets whose readers are refused, or may be: nobody can tell at the moment."""
    return [c.name for c in contracts if c.stamped_hash is not None and not c.readable]


def why_refused(contracts: Sequence[ContractNow]) -> str:
    """Why readers of stamped sets are refused, set by set; empty if none is."""
    refused = [c for c in contracts if c.stamped_hash is not None and c.readable is False]
    return " ".join(f"{c.name}: {c.refusal}." for c in refused)


def readers_told(contracts: Sequence[ContractNow]) -> str:
    """Whether readers who ask are refused; empty if there is no set that they could ask for."""
    stamped = [c for c in contracts if c.stamped_hash is not None]
    refused = [c.name for c in stamped if c.readable is False]
    unknown = [c.name for c in stamped if c.readable is None]
    told = []
    if refused:
        told.append(f"Readers who ask for {in_words(refused)} are refused.")
    if unknown:
        told.append(
            f"Whether readers who ask for {in_words(unknown)} are refused is not known at the "
            "moment."
        )
    if stamped and not told:
        return "Readers who ask are not refused."
    return " ".join(told)
