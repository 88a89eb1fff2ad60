import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.widgets.arrays import DTYPES, decode, encode, narrow


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
    )
)
def test_every_array_comes_back_bit_for_bit(array):
    payload = encode(array)
    assert len(payload["data"]) == array.nbytes
    back = decode(payload)
    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_bytes_are_little_endian_and_in_row_major_order():
    columns_first = np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=">u2"))
    payload = encode(columns_first)
    assert payload == {
        "data": bytes([1, 0, 2, 0, 3, 0, 4, 0]),
        "dtype": "uint16",
        "shape": [2, 2],
    }


@pytest.mark.parametrize("dtype", ["int64", "uint64", "bool", "complex64", "U3"])
def test_a_dtype_that_javascript_lacks_is_refused_with_the_way_out(dtype):
    with pytest.raises(TypeError, match=r"arrays travel to the browser as one of .*narrow\(\)"):
        encode(np.zeros(2, dtype=dtype))


def test_bytes_that_do_not_fill_the_shape_are_refused():
    payload = encode(np.zeros(3, dtype=np.float32))
    payload["shape"] = [2, 2]
    with pytest.raises(ValueError, match=r"shape \[2, 2\] has 4 values; its bytes hold 3"):
        decode(payload)
    payload["dtype"] = "object"
    with pytest.raises(TypeError, match="not object"):
        decode(payload)


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(0, "uint8"), (255, "uint8"), (256, "uint16"), (65535, "uint16"), (65536, "uint32")],
)
def test_ids_travel_in_the_smallest_dtype_that_holds_them(largest, dtype):
    small = narrow(np.array([0, largest]))
    assert small.dtype.name == dtype
    assert small.tolist() == [0, largest]


def test_negative_too_large_and_fractional_ids_are_refused():
    with pytest.raises(ValueError, match=r"from 0 to 2\^32 - 1; these run from -1 to 5"):
        narrow(np.array([-1, 5]))
    with pytest.raises(ValueError, match="these run from 0 to 4294967296"):
        narrow(np.array([0, 2**32]))
    with pytest.raises(TypeError, match="integers; these are float64"):
        narrow(np.array([0.5]))


def test_no_ids_at_all_are_an_empty_array():
    assert narrow(np.array([], dtype=np.int64)).shape == (0,)
