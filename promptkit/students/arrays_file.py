"""Arrays in one file without pickle, read within bounds."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.files.zip_parts import parts_of
from promptkit.translation import tr

Arrays = Mapping[str, NDArray[Any]]

_KINDS = ("float32", "float16", "int32", "uint8")
"""Types of numbers that a file may hold."""


def packed(arrays: Arrays) -> bytes:
    """Return arrays as a file of NumPy's format npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(raw: bytes, most: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file.

    Args:
        raw: The file.
        most: Number of bytes that they may take together.

    Raises:
        ValueError: It is damaged or too large, or holds other types or what is not finite.
    """
    return {
        name.removesuffix(".npy"): _array(name, data) for name, data in parts_of(raw, most).items()
    }


def _array(name: str, data: bytes) -> NDArray[Any]:
    """Return an array of NumPy's format npy, whose header may say anything. Raises ValueError."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
        if read is None:
            raise ValueError(tr("version {version} of the format", version=version))
        shape, columns_first, kind = read(file)
    except (SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(
            tr("{name}: {kind} in its header", name=name, kind=type(error).__name__)
        ) from None
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if kind.name not in _KINDS or columns_first or any(size < 0 for size in shape):
        raise ValueError(
            tr("{name}: numbers of the type {kind}, or in another order", name=name, kind=kind)
        )
    content = data[file.tell() :]
    if math.prod(shape) * kind.itemsize != len(content):
        raise ValueError(
            tr(
                "{name}: {count:,} bytes are not {shape} numbers",
                name=name,
                count=len(content),
                shape=shape,
            )
        )
    found: NDArray[Any] = np.frombuffer(content, kind).reshape(shape)
    if not np.isfinite(found).all():
        raise ValueError(tr("{name}: a number that is not finite", name=name))
    return found
