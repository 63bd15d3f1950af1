"""The OpenAPI document of a service, made of its types, and the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

import promptkit
from promptkit.serving.served import AnswerList, InputAnswer, Served, SingleAnswer
from promptkit.serving.service_limits import ServiceLimits
from promptkit.serving.systemone import SystemOneRequest, SystemOneResponse

_REF = "#/components/schemas/"

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>promptkit</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
SCRIPT = """\
SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null,
  tryItOutEnabled: true, defaultModelsExpandDepth: 0, requestSnippetsEnabled: true,
});
"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content security policy of the page: nothing comes from elsewhere."""


def assets() -> Path:
    """Return the folder of the scripts and styles of the page."""
    return Path(str(files("swagger_ui"))) / "static"


def document(served: Served, limits: ServiceLimits) -> dict[str, Any]:
    """Return the OpenAPI document of a service."""
    schemas, names = _schemas(served)
    refs = {kind: {"$ref": _REF + name} for kind, name in names.items()}
    for kind in (InputAnswer, SingleAnswer):
        properties = schemas[names[kind]]["properties"]
        properties["label"] = {
            "anyOf": [dict(served.label_schema), {"type": "null"}],
            "description": properties["label"]["description"],
        }
    schemas["Refused"] = _REFUSED
    one = refs[served.input_type]
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": limits.inputs}
    predict = _post(
        "predict",
        "Answer an input, or a list of inputs",
        {"anyOf": [one, several]},
        {"anyOf": [refs[SingleAnswer], refs[AnswerList]]},
    )
    decide = _post(
        "systemone",
        "Answer questions about a state, in the shape of decision APIs",
        refs[SystemOneRequest],
        refs[SystemOneResponse],
    )
    decide["description"] = (
        "The options of a question are the labels of the predictor, which answers "
        "the question that it was made for: its instructions do not reach the "
        "model."
    )
    name = served.info().name
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name} by promptkit",
            "version": promptkit.__version__,
            "description": f"Answers of {name}.",
        },
        "paths": {
            "/predict": {"post": predict},
            **({"/v1/systemone": {"post": decide}} if served.labels or served.options else {}),
            "/health": {"get": _get("health", "Show that the service runs, and its predictor")},
            "/metrics": {"get": _get("metrics", "Show metrics for Prometheus", "text/plain")},
        },
        "components": {"schemas": schemas},
    }


def _schemas(served: Served) -> tuple[dict[str, Any], Mapping[Any, str]]:
    """Return the schemas by name, and the names of the types."""
    read = [served.input_type, SystemOneRequest]
    written = [InputAnswer, SingleAnswer, AnswerList, SystemOneResponse]
    pairs: list[Any] = [(kind, "validation") for kind in read]
    pairs += [(kind, "serialization") for kind in written]
    refs, found = models_json_schema(pairs, ref_template=_REF + "{model}")
    names = {kind: ref["$ref"].removeprefix(_REF) for (kind, _), ref in refs.items()}
    return dict(found["$defs"]), names


def _post(name: str, summary: str, body: Any, answer: Any) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {
                "description": "Answers",
                "content": {"application/json": {"schema": answer}},
            },
            **{code: _refusal(reason) for code, reason in _REASONS.items()},
        },
    }


def _get(name: str, summary: str, kind: str = "application/json") -> dict[str, Any]:
    found = {"200": {"description": summary, "content": {kind: {}}}}
    return {"operationId": name, "summary": summary, "responses": found}


def _refusal(reason: str) -> dict[str, Any]:
    schema = {"$ref": f"{_REF}Refused"}
    return {"description": reason, "content": {"application/json": {"schema": schema}}}


_REASONS = {
    "400": "The body is not JSON",
    "408": "The body came too slowly",
    "413": "The body, or the list of inputs, is too long",
    "422": "An input does not fit: its fields and the reasons",
    "429": "Too many requests of this client; Retry-After says when to try again",
    "503": "Too many requests wait, or the answer took too long",
}
_REFUSED = {
    "type": "object",
    "description": "Reason why a request is not answered.",
    "properties": {
        "detail": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "loc": {
                                "type": "array",
                                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                            },
                            "msg": {"type": "string"},
                            "type": {"type": "string"},
                            "input": {"type": "string"},
                        },
                    },
                },
            ]
        }
    },
}
