"""What a server says of its model, and what its model writes: by both a change is noticed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptkit.errors import ModelError, shorten
from promptkit.models.remote.client import Client, NoAnswerError
from promptkit.translation import tr

_STEADY = ("id", "root", "owned_by", "max_model_len", "meta", "digest")
"""What of a listed model does not change while it is served."""


_TYPE = re.compile(r"(?<![A-Za-z0-9])(?:I?Q[1-8]_[A-Z0-9_]+|BF16|F16|F32)(?![A-Za-z0-9])", re.I)


@dataclass(frozen=True)
class Reported:
    """What a server says of its model."""

    model: str | None
    """The name of the model there."""
    facts: Mapping[str, Any]
    """Everything that stays the same while the model does."""
    runtime: str
    """The program, and its version where it says so."""
    weights: str
    digest: str | None
    """A digest of the model's bytes, where the server says one."""
    context: int | None
    slots: int | None
    """The requests that the server works on at once."""
    chat_template: str | None
    bos: str
    eos: str

    @property
    def sha256(self) -> str:
        """A digest of the facts."""
        text = json.dumps([self.model, self.facts], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read_report(client: Client, model: str | None) -> Reported:
    """Return what a server says of its model.

    Args:
        client: The server.
        model: The model's name there; None for the only one.

    Raises:
        ModelError: Nobody answers, a key is missing, or several models are there and none is named.
    """
    listed = _get(client, "/v1/models", must_answer=True)
    entries = listed.get("data") or []
    entries = [
        one for one in entries if isinstance(one, Mapping) and isinstance(one.get("id"), str)
    ]
    model = model or _only(client, [one["id"] for one in entries])
    own: Mapping[str, Any] = next((one for one in entries if one["id"] == model), {})
    props = _get(client.trying_once(), "/props")
    tags = _get(client.trying_once(), "/api/tags").get("models") or []
    tag: Mapping[str, Any] = next((one for one in tags if one.get("name") == model), {})
    settings = props.get("default_generation_settings") or {}
    facts = {name: own[name] for name in _STEADY if name in own}
    facts |= {n: props[n] for n in ("model_path", "build_info", "chat_template") if n in props}
    facts |= {name: tag[name] for name in ("digest", "details") if name in tag}
    return Reported(
        model=model,
        facts=facts,
        runtime=_runtime(client, own, props),
        weights=_weights(own, tag),
        digest=tag.get("digest"),
        context=_count(settings.get("n_ctx") or own.get("max_model_len")),
        slots=_count(props.get("total_slots")),
        chat_template=props.get("chat_template") or None,
        bos=str(props.get("bos_token") or ""),
        eos=str(props.get("eos_token") or ""),
    )


def _only(client: Client, names: list[str]) -> str | None:
    if len(names) > 1:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise ModelError(
            tr(
                "{root}: the server has {count} models; name one after #, as in "
                "{root}#{name}: {shown}",
                root=client.address.root,
                count=len(names),
                name=names[0],
                shown=shown,
            )
        )
    return names[0] if names else None


def _runtime(client: Client, own: Mapping[str, Any], props: Mapping[str, Any]) -> str:
    """Return the name of the program, with its version where it says one."""
    if "build_info" in props:
        return f"llama.cpp server {props['build_info']}"
    owner = str(own.get("owned_by") or "")
    once = client.trying_once()
    version = _get(once, "/version").get("version") or _get(once, "/api/version").get("version")
    names = {"me": "llama-cpp-python server", "library": "Ollama", "vllm": "vLLM"}
    return f"{names.get(owner, owner or 'server')} {version or ''}".strip()


def _get(client: Client, path: str, *, must_answer: bool = False) -> Mapping[str, Any]:
    try:
        said = client.get(path)
    except NoAnswerError as error:
        if must_answer and error.status not in (404, 405, 501):
            raise
        return {}
    return said if isinstance(said, Mapping) else {}


def _weights(own: Mapping[str, Any], tag: Mapping[str, Any]) -> str:
    """Return the type of the weights, as the server says it or its model is called."""
    said = (own.get("meta") or {}).get("ftype") or (tag.get("details") or {}).get(
        "quantization_level"
    )
    found = _TYPE.search(str(said or own.get("id") or ""))
    return found[0].upper() if found else "unknown"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def check_same(before: Reported, now: Reported, root: str) -> None:
    """Raise `ModelError` where a server says something else of its model than before."""
    for name in {*before.facts, *now.facts}:
        old, new = before.facts.get(name), now.facts.get(name)
        if old != new:
            raise ModelError(
                tr(
                    "{root}: the server changed while it was asked: its {name} was {old} and "
                    "is {new}; answers of both may be mixed, so ask again with a new --store",
                    root=root,
                    name=name,
                    old=shorten(old),
                    new=shorten(new),
                )
            )
