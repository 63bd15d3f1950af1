"""`promptkit.selecting`, the former name of `promptkit.selection`, can still be imported."""

from __future__ import annotations

from promptkit import selecting, selection


def test_the_former_name_gives_the_same_classes() -> None:
    from promptkit.selecting import Similar, orders

    assert (Similar, orders) == (selection.Similar, selection.orders)
    assert selecting.__all__ == selection.__all__
    assert all(getattr(selecting, name) is getattr(selection, name) for name in selection.__all__)
