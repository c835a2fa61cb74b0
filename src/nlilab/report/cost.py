"""What the written data cost, in US dollars: for each source, and for each of its rows that curation accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """The bill of one source; None where the price of a model is not known.

    `rejected`: answers that no row came of, which were paid for all the same.
    """

    source: str
    written: int
    accepted: int
    generated: float | None
    rejected: float | None
    judged: float | None

    @property
    def all(self) -> float | None:
        """Everything paid for this source."""
        if self.generated is None or self.rejected is None or self.judged is None:
            return None
        return self.generated + self.rejected + self.judged

    @property
    def row(self) -> float | None:
        """The price of an accepted row, or None where none was accepted, or the bill is not known."""
        return self.all / self.accepted if self.accepted and self.all is not None else None


def costs(corrections: Mapping[str, Any], curation: Mapping[str, Any]) -> list[Cost]:
    """The bills of the sources, cheapest accepted row first, those without such a price last."""
    found = [
        Cost(
            source,
            written=card["rows"],
            accepted=curation[source]["rows_out"],
            generated=card["cost"]["generate_usd"],
            rejected=card["cost"]["rejected_usd"],
            judged=card["cost"]["judge_usd"],
        )
        for source, card in corrections.items()
        if card.get("cost")
    ]
    return sorted(found, key=lambda one: (one.row is None, one.row or 0.0, one.source))
