"""Arrays as they travel to the browser: bytes, a dtype and a shape.

The mirror of this file is widgets/src/lib/arrays.js.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

DTYPES = (
    "float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32",
)  # fmt: skip


class EncodedArray(TypedDict):
    """An array on its way: little-endian bytes in row-major order."""

    data: bytes
    dtype: str
    shape: list[int]


def as_array(given: Any) -> np.ndarray:
    """The numbers of an array, a table, lists, or torch tensors of any device and dtype.

    Raises ValueError for lists of unequal lengths.
    """
    # No import of torch: its tensors say what they are.
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        # numpy has neither bfloat16 nor the eight-bit floats.
        half_or_double = str(given.dtype) in ("torch.float16", "torch.float64")
        return (
            given.float() if given.is_floating_point() and not half_or_double else given
        ).numpy()
    try:
        if isinstance(given, (list, tuple)) and any(hasattr(each, "detach") for each in given):
            return np.stack([as_array(each) for each in given])
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(f"lists and tensors that are stacked have one shape: {error}") from error


def encode(array: np.ndarray) -> EncodedArray:
    """The array as bytes, dtype and shape.

    Raises TypeError for a dtype that JavaScript's typed arrays lack (64-bit integers, booleans).
    """
    array = np.asarray(array)
    if array.dtype.name not in DTYPES:
        raise TypeError(
            f"arrays travel to the browser as one of {', '.join(DTYPES)}; this one is "
            f"{array.dtype.name}: convert it first, integers with narrow()"
        )
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"data": little.tobytes(), "dtype": array.dtype.name, "shape": list(array.shape)}


def decode(payload: EncodedArray) -> np.ndarray:
    """The array of a payload, read-only, without a copy.

    Raises ValueError where the bytes do not fill the shape, TypeError for an unknown dtype.
    """
    if payload["dtype"] not in DTYPES:
        raise TypeError(f"arrays travel as one of {', '.join(DTYPES)}, not {payload['dtype']}")
    flat = np.frombuffer(payload["data"], dtype=np.dtype(payload["dtype"]).newbyteorder("<"))
    count = int(np.prod(payload["shape"], dtype=np.int64))
    if flat.size != count:
        raise ValueError(
            f"an array of shape {payload['shape']} has {count} values; its bytes hold {flat.size}"
        )
    return flat.reshape(payload["shape"])


def narrow(array: np.ndarray) -> np.ndarray:
    """The integers in the smallest unsigned dtype (8, 16 or 32 bits) that holds them all.

    Raises TypeError where they are not integers, ValueError where one is negative or needs more.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids and ranks are integers; these are {array.dtype.name}")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint32).max):
        raise ValueError(
            f"ids and ranks run from 0 to 2^32 - 1; these run from {array.min()} to {array.max()}"
        )
    largest = int(array.max()) if array.size else 0
    for dtype in (np.uint8, np.uint16):
        if largest <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.uint32)
