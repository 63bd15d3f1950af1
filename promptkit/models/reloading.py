"""Models loaded again as they were before, from what a file says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from promptkit.errors import ModelError
from promptkit.models.base import GpuLayers, Model
from promptkit.models.remote.address import check_named_by_file, is_url
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.models.prepare.prepare import Notify


def load_again(
    origin: Mapping[str, Any],
    context: int,
    *,
    name: str | None = None,
    threads: int | None = None,
    gpu_layers: GpuLayers | None = None,
    any_server: bool = False,
    notify: Notify | None = None,
) -> Model:
    """Load a model with the settings that it had.

    Args:
        origin: The fields of `LoadedFrom`, or of `ConnectedTo` for a server's model.
        context: The context that it had, in tokens.
        name: Another place of its file; by default that of `origin`.
        threads: The threads that compute; by default as many as were measured to be fastest.
        gpu_layers: Another number of layers on a GPU; by default that of `origin`.
        any_server: Whether `origin` may name a server that is neither here nor known to be trusted.
        notify: A function that is called with notes.

    Raises:
        ModelError: The model is not found, cannot be loaded, or is a server's with `gpu_layers`; or
            only a file names its server.
    """
    from promptkit.models.llama import load_model
    from promptkit.models.remote.server_model import load_server

    place = origin["name"] if name is None else name
    how: dict[str, Any] = {} if notify is None else {"notify": notify}
    if is_url(place):
        if name is None and not any_server:
            check_named_by_file(place)
        if gpu_layers not in (None, "auto"):
            raise ModelError(tr("gpu_layers: a server has its own; start it with what you need"))
        return load_server(place, context=context, **how)
    model = load_model(
        place,
        context=context,
        weights=origin["weights"],
        exact=origin["exact"],
        gpu_layers=origin.get("gpu_layers", "auto") if gpu_layers is None else gpu_layers,
        threads=threads,
        **how,
    )
    for path, scale in origin["adapters"]:
        model = model.adapted(path, scale=scale)
    return model
