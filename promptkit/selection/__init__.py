"""Selection and order of the demonstrations that a query sees."""

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
