"""Identity of a model behind a server: what decides its numbers, as far as it can be known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from promptkit.models.base import ModelIdentity
from promptkit.models.remote.address import Address
from promptkit.models.remote.probing import Abilities
from promptkit.models.remote.reported import Reported

_CONTEXT = 1_000_000
"""The context, in tokens, of a server that does not say its own."""

TOLERANCES = {"F32": 0.05, "F16": 0.05, "BF16": 0.3, "unknown": 0.3}
"""How far, in nats, a server may move a margin with what else it reads, by the type of the weights;
1 for all other types, as in this process; servers keep keys and values in half precision."""


@dataclass(frozen=True, slots=True)
class ConnectedTo:
    """How a server was named: what it takes to connect to it again, without secrets."""

    name: str
    """The URL, with the model after `#`."""
    weights: str = "as-is"
    exact: bool = False
    adapters: tuple[()] = ()


def short_name(model: str | None) -> str:
    """Return a model's name; a path's last part, without the suffix of a file."""
    name = (model or "model").replace("\\", "/").rsplit("/", 1)[-1]
    return name.removesuffix(".gguf")[:100]


def identity_of(
    address: Address, known: Reported, can: Abilities, context: int | None, written: str
) -> ModelIdentity:
    """Return the identity: what the server says, what its model writes, and how it is asked."""
    name = short_name(known.model)
    text = f"{known.sha256} {known.digest} {written}"
    return ModelIdentity(
        name=f"{name}@{address.host}",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        architecture="server",
        weights=known.weights,
        runtime=known.runtime,
        context=context or known.context or _CONTEXT,
        settings=f"{address.root}, {can.way.name if can.way is not None else 'writes only'}",
        tolerance=TOLERANCES.get(known.weights, 1.0),
    )


def connected_to(address: Address, model: str | None) -> ConnectedTo:
    """Return how to connect to a model again."""
    return ConnectedTo(address.root + (f"#{quote(model)}" if model else ""))
