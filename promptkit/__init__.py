"""Compare few-shot prompts on a local model, across numbers of shots.

Importing this package loads no runtime, prints nothing and touches no network: each public name
is imported from its module when it is first used. `__init__.pyi` lists them, once, for type
checkers and for the code below.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"


def _read_stub() -> dict[str, str]:
    """Return the module of each public name."""
    with open(f"{__path__[0]}/__init__.pyi", encoding="utf-8") as stub:
        imports = [line.split() for line in stub if line.startswith("from ")]
    return {name: module for _, module, _, name, *_ in imports}


_MODULES = _read_stub()

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'promptkit' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
