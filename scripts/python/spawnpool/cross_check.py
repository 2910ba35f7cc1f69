"""Two other methods on the pairs of a verdict, for the reader to set beside it: they decide nothing."""
import math
import warnings
from dataclasses import dataclass

import numpy

from spawnpool.statistics import MINIMUM_PAIRS, Pairs

RESAMPLES = 1999
LEVEL = 0.95


@dataclass(frozen=True)
class CrossCheck:
    """`bootstrap_interval`: that of 95 % of the median ratio, by percentiles of resampled pairs (B. Efron,
    Ann. Statist. 7, 1979); of few pairs it is too narrow. `wilcoxon_p`: the two-sided p-value of the
    signed-rank test against "the pairs lie symmetrically about a ratio of 1" (F. Wilcoxon, Biometrics
    Bull. 1, 1945); one-sided spikes break that. Both take pairs for independent and know nothing of the
    other metrics or looks of the run."""

    bootstrap_interval: tuple[float, float]
    wilcoxon_p: float


def cross_check(sample: Pairs) -> CrossCheck | None:
    """Of one sample, the same each time; None with fewer pairs than the sign test's interval needs."""
    logs = sample.logs
    if sample.n < MINIMUM_PAIRS:
        return None
    from scipy.stats import bootstrap, wilcoxon  # takes half a second, and tables do without

    drawn = bootstrap(
        (logs,),
        numpy.median,
        n_resamples=RESAMPLES,
        batch=max(1, 10**6 // sample.n),  # memory, not the result
        confidence_level=LEVEL,
        method="percentile",
        random_state=numpy.random.default_rng(1),
    ).confidence_interval
    with warnings.catch_warnings():  # that it takes the normal approximation where there are zeros
        warnings.simplefilter("ignore", UserWarning)
        p = float(wilcoxon(logs, zero_method="zsplit").pvalue) if logs.any() else 1.0
    return CrossCheck((math.exp(float(drawn.low)), math.exp(float(drawn.high))), p)
