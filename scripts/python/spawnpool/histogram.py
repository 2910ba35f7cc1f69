"""Decodes latency histograms: HdrHistogram V2, compressed, base64.

Format (http://hdrhistogram.org, "V2 encoding"): cookie, length, then a zlib stream of a header
(cookie, payload length, normalizing index offset, significant digits, lowest and highest trackable
value, conversion ratio; big-endian) and the counts as ZigZag LEB128 of at most 9 bytes, where a
negative number stands for a run of zero counts.
"""
import base64
import binascii
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COMPRESSED_COOKIE = 0x1C849304
_COOKIE = 0x1C849303
_COOKIE_BASE = ~0xF0  # the rest of a cookie is the word size, which V2 does not use
_HEADER = struct.Struct(">iiiiqqd")


class BadHistogram(Exception):
    """Text that is no histogram; says what is wrong with it."""


@dataclass(frozen=True)
class Histogram:
    """Recorded values in rising order: `counts[i]` requests took at most `highest[i]`, the highest
    value that the histogram does not tell from the recorded ones."""

    highest: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def quantiles(self, shares: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        """The least recorded value that at least each share (0..1) of the requests did not exceed."""
        cumulative = np.cumsum(self.counts)
        ranks = np.clip(np.ceil(np.asarray(shares) * self.total - 1e-9), 1, self.total)
        found: NDArray[np.int64] = self.highest[np.searchsorted(cumulative, ranks)]
        return found.astype(np.float64)


def decode(text: str) -> Histogram:
    """Raises BadHistogram when the text is none or records nothing."""
    try:
        wrapped = base64.b64decode(text, validate=True)
        cookie, length = struct.unpack_from(">ii", wrapped)
        if cookie & _COOKIE_BASE != _COMPRESSED_COOKIE:
            raise BadHistogram(f"cookie {cookie:#x} is not that of a compressed V2 histogram")
        content = zlib.decompress(wrapped[8 : 8 + length])
        header = _HEADER.unpack_from(content)
    except (binascii.Error, ValueError, struct.error, zlib.error) as error:
        raise BadHistogram(f"no base64 of a compressed histogram: {error}") from error
    # The payload length is not looked at: some writers count the header in, and zlib's checksum
    # has told already that nothing is missing.
    cookie, _, offset, digits, lowest, _, _ = header
    payload = content[_HEADER.size :]
    if cookie & _COOKIE_BASE != _COOKIE:
        raise BadHistogram("the compressed content is no V2 histogram")
    if offset != 0 or not 0 <= digits <= 5 or lowest < 1:
        raise BadHistogram("the histogram's header is out of range")

    # Values double from bucket to bucket; each has `half` sub-buckets of equal width, the first
    # bucket twice as many. Source: AbstractHistogram.java of HdrHistogram.
    unit = lowest.bit_length() - 1
    half_magnitude = max(math.ceil(math.log2(2 * 10**digits)), 1) - 1
    half = 1 << half_magnitude
    highest, counts = [], []
    index = 0
    for count in _zigzag_numbers(payload):
        if count < 0:
            index -= count
            continue
        if count > 0:
            bucket = max((index >> half_magnitude) - 1, 0)
            sub_bucket = index if index < half else (index & (half - 1)) + half
            highest.append(((sub_bucket + 1) << (bucket + unit)) - 1)
            counts.append(count)
        index += 1
    if not counts:
        raise BadHistogram("the histogram records nothing")
    try:
        return Histogram(np.array(highest, dtype=np.int64), np.array(counts, dtype=np.int64))
    except OverflowError as error:
        raise BadHistogram("the histogram holds more than 64 bits can say") from error


def _zigzag_numbers(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        if shift == 56:  # the ninth byte carries eight bits
            value |= byte << shift
        else:
            value |= (byte & 0x7F) << shift
            if byte & 0x80:
                shift += 7
                continue
        yield (value >> 1) ^ -(value & 1)
        value = shift = 0
    if shift:
        raise BadHistogram("the counts end within a number")
