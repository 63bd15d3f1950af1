"""The shape of a decoder as the metadata of its GGUF file describes it.

Only architectures that are known in full are accepted: a key or a scaling that would change the
numbers unseen is refused, and so is, in `decoder_weights`, a tensor that nothing here uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptkit.errors import ModelFileError
from promptkit.models.gguf.header import Header
from promptkit.translation import tr

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3")
"""Architectures whose adapters can be trained, each tested against llama.cpp."""


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """Sizes and constants of a decoder."""

    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    """Numbers of a head."""
    eps: float
    """Constant of the norms."""
    rope_base: float
    rope_scale: float
    """Factor of positions."""
    adjacent: bool
    """Pairs that are rotated together stand side by side, as llama's do in GGUF files; else they
    are half a head apart."""
    attention_scale: float
    embedding_scale: float = 1.0
    gelu: bool = False
    """Gates are GELU (tanh), not SiLU."""
    window: int = 0
    """Tokens that a local layer sees; 0 where all layers see everything."""
    local_layers: frozenset[int] = frozenset()
    """Layers that see `window` tokens only."""
    local_rope_base: float = 10_000.0

    def is_local(self, layer: int) -> bool:
        """Return whether a layer sees a window only."""
        return layer in self.local_layers


def decoder_shape(header: Header) -> DecoderShape:
    """Return the shape of a model.

    Args:
        header: The header of its file.

    Raises:
        ModelFileError: The architecture, or something in the file, cannot be trained.
    """
    name = header.architecture
    if name not in ARCHITECTURES:
        raise ModelFileError(
            header.path,
            tr(
                "adapters cannot be trained for the architecture {name!r}; they can for: "
                "{ARCHITECTURES}",
                name=name,
                ARCHITECTURES=", ".join(ARCHITECTURES),
            ),
        )
    read = _Reader(header)
    read.refuse()
    width, heads = int(read("embedding_length")), int(read("attention.head_count"))
    head = int(read("attention.key_length", width // heads))
    layers = int(read("block_count"))
    if (rotated := int(read("rope.dimension_count", head))) != head:
        raise read.error(
            tr(
                "positions rotate {rotated} of the {head} numbers of a head",
                rotated=rotated,
                head=head,
            )
        )
    scale = float(read("attention.scale", 0.0)) or head**-0.5
    shape: dict[str, Any] = {}
    if name == "gemma3":
        scale = (width / heads) ** -0.5 if layers == _LAYERS_OF_27B else head**-0.5
        shape = {"embedding_scale": width**0.5, "gelu": True, **_windows(read, layers)}
    return DecoderShape(
        architecture=name,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=int(read("attention.head_count_kv", heads)),
        head=head,
        eps=float(read("attention.layer_norm_rms_epsilon")),
        rope_base=float(read("rope.freq_base", 10_000.0)),
        rope_scale=read.rope_scale(),
        adjacent=name == "llama",
        attention_scale=scale,
        **shape,
    )


_LAYERS_OF_27B = 62  # llama.cpp knows that gemma by them, and its attention is scaled otherwise
_PERIOD = 6  # gemma's local layers, and one that sees everything


def _windows(read: _Reader, layers: int) -> dict[str, Any]:
    """Return the local layers of gemma3."""
    window = int(read("attention.sliding_window", 0))
    period = int(read("attention.sliding_window_pattern", _PERIOD))
    if not window or period == 1:
        return {}
    local = [layer for layer in range(layers) if not period or layer % period < period - 1]
    base = float(read("rope.freq_base_swa", 10_000.0))
    return {"window": window, "local_layers": frozenset(local), "local_rope_base": base}


class _Reader:
    """The metadata of one architecture."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def __call__(self, key: str, default: Any = None) -> Any:
        full = f"{self._header.architecture}.{key}"
        value = self._header.metadata.get(full, default)
        if value is None:
            raise self.error(tr("{full} is missing", full=full))
        if isinstance(value, list):
            if len({*map(str, value)}) != 1:
                raise self.error(
                    tr("{full} differs from layer to layer, which is not supported", full=full)
                )
            value = value[0]
        return value

    def error(self, reason: str) -> ModelFileError:
        return ModelFileError(
            self._header.path, tr("an adapter cannot be trained: {reason}", reason=reason)
        )

    def refuse(self) -> None:
        """Raise `ModelFileError` for what is not computed here."""
        if int(self("expert_count", 0)):
            raise self.error(tr("a mixture of experts, whose routing is not supported"))
        key, value = int(self("attention.key_length", 0)), int(self("attention.value_length", 0))
        if key != value:
            raise self.error(
                tr("keys of {key} numbers and values of {value}", key=key, value=value)
            )
        for name in ("attn_logit_softcapping", "final_logit_softcapping", "logit_scale"):
            if float(self(name, 0.0)):
                raise self.error(tr("{name} is not supported", name=name))
        if self._header.architecture != "gemma3" and int(self("attention.sliding_window", 0)):
            raise self.error(tr("a sliding window, which is supported for gemma3 only"))
        if not bool(self("attention.causal", True)):
            raise self.error(tr("its attention is not causal"))

    def rope_scale(self) -> float:
        """Return the factor of positions."""
        kind = str(self("rope.scaling.type", "linear"))
        factor = float(self("rope.scaling.factor", 0.0)) or float(self("rope.scale_linear", 0.0))
        if kind == "none" or not factor:
            return 1.0
        if kind != "linear":
            raise self.error(tr("rope scaling of type {kind!r}; linear is supported", kind=kind))
        return 1.0 / factor
