import base64
import random

import numpy as np
import pytest

from spawnpool.histogram import BadHistogram, decode
from spawnpool.testing import encode_histogram

# Written by HdrHistogram_c from 1 to 3,600,000,000 with 3 digits: 10,000 times the value 1000 and
# once 100,000,000, plain and corrected for coordinated omission with an interval of 10,000. From
# the interoperability test of HdrHistogram_py, with the percentiles stated there.
PLAIN = "HISTFAAAACl4nJNpmSzMwMBgyAABzFCaEURcm7yEwf4DROA8/4I5jNM7mJgAlWkH9g=="
CORRECTED = (
    "HISTFAAAAP94nJNpmSzMwCByigECmKE0I4i4NnkJg/0HiMB5/gVzGD8aM/3lZ7rPyTSbjektC9N7Fqa"
    "HzEzbmZi2whCEvZKRaSYj02wwiYng4tFM3lDoC2dhhwh5UyZlJlUMjClCmgpMEUUmQSZ+IBZEojFFCM"
    "vQRwUxenmZ2MGQFUqz4+CTo4I2pg4dFdQylZWJkYkZCaPyMEUIydPLjMHrssFixuB12XD0HRAwMsFJg"
    "kwilZHJHHKmjzp41MFDOjhYmFiQEUEmMWqGsvKBd8Fwd/Co/waTC9jYOMAIiSJRhLbKh5x9Q87Bo/YN"
    "bfsoM4CPhw+IIJAkxnDXN+QcTIpyAPnGh6k="
)


def test_reads_what_the_c_library_wrote() -> None:
    histogram = decode(PLAIN)
    assert histogram.total == 10_001
    assert histogram.counts.tolist() == [10_000, 1]
    # Values of 2048 and more share a bucket with their neighbours: 65,536 wide at 10^8.
    assert histogram.highest.tolist() == [1000, 100_007_935]
    assert histogram.quantiles([0.3, 0.99, 0.9999, 0.99999]).tolist() == [
        1000,
        1000,
        1000,
        100_007_935,
    ]


def test_reads_runs_of_zeros_and_wide_ranges() -> None:
    histogram = decode(CORRECTED)
    assert histogram.total == 20_000
    stated = {0.3: 1000, 0.5: 1000, 0.75: 5e7, 0.9: 8e7, 0.99: 9.8e7, 0.99999: 1e8, 1.0: 1e8}
    assert histogram.quantiles(list(stated)) == pytest.approx(list(stated.values()), rel=0.001)


def test_quantiles_are_nearest_ranks() -> None:
    draw = random.Random(11)
    latencies = [draw.randrange(0, 2048) for _ in range(999)]
    histogram = decode(encode_histogram(latencies))
    ordered = sorted(latencies)
    shares = np.array([0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0])
    ranks = [max(1, int(np.ceil(share * 999 - 1e-9))) for share in shares]
    assert histogram.quantiles(shares).tolist() == [ordered[rank - 1] for rank in ranks]


def test_counts_may_be_large() -> None:
    histogram = decode(encode_histogram([5] * 100_000 + [7]))
    assert histogram.counts.tolist() == [100_000, 1]


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "no base64"),
        ("not base64!", "no base64"),
        ("ünïcode", "no base64"),
        (PLAIN[:-8], "no base64 of a compressed histogram"),
        (base64.b64encode(b"\x1c\x84\x93\x03" + bytes(40)).decode(), "cookie 0x1c849303"),
        (encode_histogram([3])[:12], "no base64 of a compressed histogram"),
    ],
)
def test_anything_else_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadHistogram, match=what):
        decode(text)


def test_an_empty_histogram_is_refused() -> None:
    # (1, 3600000000, 3) with nothing recorded.
    import struct
    import zlib

    content = zlib.compress(struct.pack(">iiiiqqd", 0x1C849313, 0, 0, 3, 1, 3_600_000_000, 1.0))
    text = base64.b64encode(struct.pack(">ii", 0x1C849314, len(content)) + content).decode()
    with pytest.raises(BadHistogram, match="records nothing"):
        decode(text)
