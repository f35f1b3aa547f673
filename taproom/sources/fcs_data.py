"""The DATA segment of an FCS file: bytes become numbers as the instrument stored them.

`Layout` is what the keywords say of an event: for each channel its type, bits and range, and the order of bytes. From
it follow how many bytes the events take, and the numbers themselves. What happens to these afterwards (logarithms,
gains, time steps, compensation) belongs to `taproom.sources.fcs_scale` and `taproom.sources.fcs_spillover`.

Source: Spidlen et al. (2010, 2021), FCS 3.1 and 3.2, section 3.3 on the DATA segment, $PnB, $PnR, $BYTEORD, $DATATYPE
and $PnDATATYPE.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

DataType = Literal["I", "F", "D"]

FLOAT_BITS: dict[DataType, int] = {"F": 32, "D": 64}
MAX_BITS = 64


def is_monotonic(byte_order: Sequence[int]) -> bool:
    """Whether the bytes of a number go from the lowest to the highest or back, so that the order holds for any width.

    >>> is_monotonic((1, 2, 3, 4)), is_monotonic((4, 3, 2, 1)), is_monotonic((3, 4, 1, 2))
    (True, True, False)
    """
    return list(byte_order) in (sorted(byte_order), sorted(byte_order, reverse=True))


@dataclass(frozen=True)
class Channel:
    """One number of an event.

    Attributes:
        datatype: I (whole number, unsigned), F or D (floating point, single or double).
        bits: that it takes.
        range: $PnR, one more than the largest whole number; 0 where it is none.
    """

    datatype: DataType
    bits: int
    range: float

    @property
    def mask(self) -> int:
        """The bits of a whole number that are the measurement's: as many as the range needs.

        >>> hex(Channel("I", 16, 1024).mask), hex(Channel("I", 16, 1000).mask), hex(Channel("I", 16, 1e6).mask)
        ('0x3ff', '0x3ff', '0xffff')
        """
        used = math.ceil(math.log2(self.range)) if self.range > 1 else self.bits
        return 2 ** min(used, self.bits) - 1


@dataclass(frozen=True)
class Layout:
    """How an event is stored.

    Attributes:
        channels: in their order.
        byte_order: $BYTEORD: the significance of each byte of a number, from 1.
        is_packed: whether bits follow one another without regard to bytes, as the standard has it. Otherwise each
            number begins with a byte.
    """

    channels: tuple[Channel, ...]
    byte_order: tuple[int, ...]
    is_packed: bool = False

    def size(self, events: int) -> int:
        """The bytes that so many events take.

        >>> layout = Layout((Channel("I", 10, 1024),) * 4, (1, 2, 3, 4))
        >>> layout.size(100), Layout(layout.channels, layout.byte_order, is_packed=True).size(100)
        (800, 500)
        """
        if self.is_packed:
            return -(-events * sum(channel.bits for channel in self.channels) // 8)
        return events * sum(self._widths)

    def decode(self, data: bytes, events: int) -> np.ndarray:
        """The numbers of `data`, which begins with the first event: float64, shape (events, channels).

        Whole numbers lose the bits above their range, which instruments use for other purposes. Those of more than 53
        bits are rounded.

        Raises:
            ValueError: `data` is shorter than the events, or the byte order is not one of these numbers'.
        """
        if len(data) < self.size(events):
            raise ValueError(f"{len(data):,} bytes were given for {self.size(events):,}")
        values = np.empty((events, len(self.channels)))
        with np.errstate(invalid="ignore"):  # signalling NaN become quiet ones
            if self.is_packed:
                self._unpack(data, values)
            else:
                self._decode_bytes(data, values)
        return values

    @property
    def _widths(self) -> list[int]:
        return [-(-channel.bits // 8) for channel in self.channels]

    def _decode_bytes(self, data: bytes, values: np.ndarray) -> None:
        kinds = {(channel.datatype, channel.bits) for channel in self.channels}
        if len(kinds) == 1 and (dtype := self._dtype(*kinds.pop())):  # five times as fast as channel by channel
            numbers = np.frombuffer(data, dtype, values.size).reshape(values.shape)
            masks = np.array([channel.mask for channel in self.channels], np.uint64)
            values[:] = numbers & masks.astype(dtype) if dtype.kind == "u" else numbers
            return
        raw = np.frombuffer(data, np.uint8, self.size(len(values)))
        raw = raw.reshape(len(values), sum(self._widths))
        begin = 0
        for place, (channel, width) in enumerate(zip(self.channels, self._widths, strict=True)):
            numbers = self._numbers(raw[:, begin : begin + width], channel)
            values[:, place] = numbers & np.uint64(channel.mask) if channel.datatype == "I" else numbers
            begin += width

    def _dtype(self, datatype: DataType, bits: int) -> np.dtype | None:
        """NumPy's type of such numbers, where it has one."""
        if not is_monotonic(self.byte_order) or bits not in (8, 16, 32, 64):
            return None
        return np.dtype(f"{'<' if self.byte_order[0] == 1 else '>'}{'u' if datatype == 'I' else 'f'}{bits // 8}")

    def _numbers(self, raw: np.ndarray, channel: Channel) -> np.ndarray:
        """One channel's bytes (events, width) as uint64, or as floating point."""
        width = raw.shape[1]
        little = np.zeros((len(raw), 8 if channel.datatype == "I" else width), np.uint8)
        little[:, self._significances(width)] = raw
        return little.view({"I": "<u8", "F": "<f4", "D": "<f8"}[channel.datatype])[:, 0]

    def _significances(self, width: int) -> Sequence[int]:
        """For each of the bytes of a number, in the order of the file, its significance from 0."""
        if is_monotonic(self.byte_order):
            return range(width) if self.byte_order[0] == 1 else range(width)[::-1]
        if len(self.byte_order) == width:
            return [place - 1 for place in self.byte_order]
        raise ValueError(f"the byte order {self.byte_order} is not one of {width} bytes")

    def _unpack(self, data: bytes, values: np.ndarray) -> None:
        """Whole numbers of any number of bits; the first are the lowest bits where the lowest byte comes first."""
        is_little = self.byte_order[0] == 1
        event_bits = sum(channel.bits for channel in self.channels)
        raw = np.frombuffer(data, np.uint8, self.size(len(values)))
        bits = np.unpackbits(raw, count=len(values) * event_bits, bitorder="little" if is_little else "big")
        by_event = bits.reshape(len(values), event_bits)
        begin = 0
        for place, channel in enumerate(self.channels):
            own = by_event[:, begin : begin + channel.bits]
            numbers = np.zeros(len(values), np.uint64)
            for bit in (own if is_little else own[:, ::-1]).T[::-1]:
                numbers = numbers << np.uint64(1) | bit
            values[:, place] = numbers & np.uint64(channel.mask)
            begin += channel.bits
