import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources.fcs_data import Channel, Layout

LITTLE, BIG = (1, 2, 3, 4), (4, 3, 2, 1)


def whole(*bits: int) -> tuple[Channel, ...]:
    return tuple(Channel("I", each, 2.0**each) for each in bits)


@given(
    st.lists(st.sampled_from([8, 10, 16, 24, 32, 40, 48]), min_size=1, max_size=5),
    st.sampled_from([LITTLE, BIG]),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_whole_numbers_of_any_widths_are_those_of_their_bytes(bits, order, events, random):
    rows = [[random.randrange(2**each) for each in bits] for _ in range(events)]
    name = "little" if order is LITTLE else "big"
    data = b"".join(value.to_bytes(-(-each // 8), name) for row in rows for value, each in zip(row, bits, strict=True))
    layout = Layout(whole(*bits), order)
    assert layout.size(events) == len(data)
    assert layout.decode(data, events).tolist() == rows


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.sampled_from([LITTLE, BIG]),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_packed_numbers_follow_one_another_bit_by_bit(bits, order, events, random):
    rows = [[random.randrange(2**each) for each in bits] for _ in range(events)]
    texts = [format(value, f"0{each}b") for row in rows for value, each in zip(row, bits, strict=True)]
    layout = Layout(whole(*bits), order, is_packed=True)
    if order is BIG:  # the first number has the highest bits
        stream = "".join(texts).ljust(8 * layout.size(events), "0")
        data = int(stream, 2).to_bytes(layout.size(events), "big")
    else:
        data = int("".join(reversed(texts)), 2).to_bytes(layout.size(events), "little")
    assert layout.decode(data, events).tolist() == rows


@pytest.mark.parametrize("order", [LITTLE, BIG])
@pytest.mark.parametrize(("datatype", "bits", "dtype"), [("F", 32, "f4"), ("D", 64, "f8")])
@pytest.mark.parametrize("mixed", [False, True])
def test_floating_point_numbers_are_those_of_their_bytes(order, datatype, bits, dtype, mixed):
    values = np.array([[1.5, -np.inf], [np.nan, 2.25], [1e30, -0.0]])
    mark = "<" if order is LITTLE else ">"
    channels = (Channel(datatype, bits, 1.0), Channel("D", 64, 1.0) if mixed else Channel(datatype, bits, 1.0))
    record = np.rec.fromarrays([*values.T], dtype=[("a", mark + dtype), ("b", mark + ("f8" if mixed else dtype))])
    found = Layout(channels, order).decode(record.tobytes(), 3)
    np.testing.assert_array_equal(found, np.column_stack([record.a, record.b]).astype(float))


@pytest.mark.parametrize("widths", [(16, 16), (16, 24)])
def test_bits_above_the_range_are_masked(widths):
    channels = (Channel("I", widths[0], 1024), Channel("I", widths[1], 1000))
    data = b"".join(value.to_bytes(bits // 8, "little") for value, bits in zip((0xFFFF, 0xF7FF), widths, strict=True))
    assert Layout(channels, LITTLE).decode(data, 1).tolist() == [[1023, 1023]]


def test_an_order_of_bytes_that_is_neither_up_nor_down():
    assert Layout(whole(32), (3, 4, 1, 2)).decode(bytes([0x33, 0x44, 0x11, 0x22]), 1).tolist() == [[0x44332211]]
    with pytest.raises(ValueError, match="is not one of 2 bytes"):
        Layout(whole(16), (3, 4, 1, 2)).decode(bytes(2), 1)


def test_too_few_bytes_are_refused():
    with pytest.raises(ValueError, match="3 bytes were given for 4"):
        Layout(whole(16, 16), LITTLE).decode(bytes(3), 1)
