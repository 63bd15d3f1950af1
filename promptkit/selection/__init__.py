"""Which demonstrations a query sees, and in which order they stand."""

from promptkit.selection.orders import Order, orders
from promptkit.selection.strategies import (
    Balanced,
    BlockSimilar,
    ByQuery,
    Diverse,
    First,
    Fixed,
    Given,
    KCentre,
    Random,
    Ranked,
    Selection,
    Similar,
    SimilarBalanced,
)

__all__ = [
    "Balanced",
    "BlockSimilar",
    "ByQuery",
    "Diverse",
    "First",
    "Fixed",
    "Given",
    "KCentre",
    "Order",
    "Random",
    "Ranked",
    "Selection",
    "Similar",
    "SimilarBalanced",
    "orders",
]
