"""Writes fixtures/expected.txt: what scipy and statsmodels make of made-up data.

    python tests/experiment/statistics/make_fixtures.py      (needs numpy, scipy, statsmodels)

A line is a name and numbers: `name key=value,value... key=...`. Only what no library has is computed here, and then from
the paper's formula in another form than the C++ code's: McNemar's mid-p as a sum over outcomes, Newcombe's correlation
through the phi coefficient of the table's expanded rows.
"""

import math
import pathlib
import warnings

import numpy as np
import scipy.stats as st
import statsmodels.api as sm
from scipy.linalg import fractional_matrix_power
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

lines = []


def write(name, **fields):
    def text(value):
        return ",".join(repr(float(v)) for v in np.atleast_1d(np.asarray(value, dtype=float)).ravel())

    lines.append(" ".join([name] + [f"{key}={text(value)}" for key, value in fields.items()]))


def newcombe(both, only_a, only_b, neither, confidence):
    n = both + only_a + only_b + neither
    rows = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [both, only_a, only_b, neither], axis=0)
    a, b = rows.mean(axis=0)
    spread = rows.std(axis=0)
    covariance = np.mean(rows[:, 0] * rows[:, 1]) - a * b
    if spread.min() == 0:
        correlation = 0.0
    else:
        # numerator / n² is the covariance, so the continuity correction n/2 becomes 1 / 2n
        corrected = max(covariance - 1 / (2 * n), 0) if covariance > 0 else covariance
        correlation = corrected / spread.prod()
    a_low, a_high = proportion_confint(both + only_a, n, 1 - confidence, "wilson")
    b_low, b_high = proportion_confint(both + only_b, n, 1 - confidence, "wilson")
    below = np.array([a - a_low, b_high - b])
    above = np.array([a_high - a, b - b_low])
    shape = np.array([[1, -correlation], [-correlation, 1]])
    return a - b - math.sqrt(below @ shape @ below), a - b + math.sqrt(above @ shape @ above)


for successes, trials in [(7, 20), (0, 5), (5, 5), (1, 29), (81, 263), (399, 400)]:
    for confidence in (0.9, 0.95, 0.99):
        write("proportion", counts=[successes, trials], confidence=confidence,
              wilson=proportion_confint(successes, trials, 1 - confidence, "wilson"),
              clopper_pearson=proportion_confint(successes, trials, 1 - confidence, "beta"))

for table in [(36, 12, 2, 0), (10, 10, 2, 5), (0, 5, 0, 0), (3, 4, 4, 9), (380, 9, 3, 8), (0, 7, 9, 0), (200, 40, 90, 70), (50, 0, 0, 30)]:
    both, only_a, only_b, neither = table
    discordant = only_a + only_b
    exact = mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
    weights = st.binom.pmf(np.arange(discordant + 1), discordant, 0.5)
    further = np.abs(np.arange(discordant + 1) - discordant / 2) - abs(only_a - discordant / 2)
    mid = weights[further > 1e-9].sum() + weights[np.abs(further) <= 1e-9].sum() / 2
    if only_a == only_b:
        exact = mid = 1.0  # by definition
    fields = dict(counts=table, exact=exact, mid=mid)
    for confidence in (0.9, 0.95):
        fields[f"newcombe_{round(100 * confidence)}"] = newcombe(*table, confidence)
    n = sum(table)
    if (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither) == 0:
        # Uncorrelated, the paired interval is that of independent samples, which statsmodels has.
        fields["independent_95"] = confint_proportions_2indep(both + only_a, n, both + only_b, n, method="newcomb")
    write("table", **fields)

random = np.random.default_rng(15)
def cr2(values, cluster):
    """Bell and McCaffrey's estimate through whole matrices: residuals times (I - H)^(-1/2), block by block, and the
    degrees of freedom from the eigenvalues of the estimator's quadratic form under prompts that equal their template's."""
    n = len(values)
    hat = np.full((n, n), 1 / n)
    blocks = [np.flatnonzero(cluster == c) for c in np.unique(cluster)]
    forms = []
    for block in blocks:
        inner = np.eye(len(block)) - hat[np.ix_(block, block)]
        root = fractional_matrix_power(inner, -0.5).real
        forms.append((np.ones(len(block)) / n) @ root @ (np.eye(n) - hat)[block])
    forms = np.array(forms)
    variance = np.sum((forms @ values) ** 2)
    shared = (cluster[:, None] == cluster[None, :]).astype(float)
    eigenvalues = np.linalg.eigvalsh(forms @ shared @ forms.T)
    return math.sqrt(variance), eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


for n, clusters, even in [(12, 4, True), (40, 8, False), (200, 20, True), (200, 20, False)]:
    for binary in (False, True):
        cluster = np.arange(n) // (n // clusters) if even else np.sort((clusters * random.random(n) ** 2).astype(int))
        if binary:
            values = random.choice([-1.0, 0.0, 1.0], n, p=[0.1, 0.5, 0.4])
        else:
            values = 0.2 + random.normal(size=clusters)[cluster] * 0.5 + random.normal(size=n)
        fit = sm.OLS(values, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
        plain = DescrStatsW(values)
        margin = 1.0
        low_tost = plain.ttost_mean(-margin, margin)[0]
        fields = dict(values=values, clusters=cluster, plain_se=plain.std_mean, plain_p=plain.ttest_mean(0)[1],
                      plain_range=plain.tconfint_mean(0.05), margin=margin, tost_p=low_tost,
                      cr2=cr2(values, cluster))
        if even:
            fields |= dict(clustered_se=fit.bse, clustered_p=fit.pvalues, clustered_range=fit.conf_int(0.05))
        if n == 12:
            flips = st.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=2**n)
            fields["sign_flip_p"] = flips.pvalue
        write("differences", **fields)

for p_values in [(0.01, 0.04, 0.03, 0.005), (0.2,), (0.5, 0.5, 0.9, 1.0, 0.0), (0.0125, 0.0125, 0.06, 0.02, 0.3, 0.001)]:
    write("holm", p=p_values, adjusted=multipletests(p_values, method="holm")[1])

# A 2^3 crossing: effects are twice the coefficients of ±1 coded columns in a least-squares fit of each prompt.
prompts, names = 30, 3
cells = random.normal(size=(8, prompts)) + np.arange(8)[:, None] * 0.05
levels = np.array([[1 if cell >> j & 1 else -1 for j in range(names)] for cell in range(8)])
pairs = [(0, 1), (0, 2), (1, 2)]
design = np.column_stack([np.ones(8), levels] + [levels[:, i] * levels[:, j] for i, j in pairs] + [levels.prod(axis=1)])
coefficients = np.linalg.lstsq(design, cells, rcond=None)[0]
effects = 2 * coefficients[1:7]
tests = [st.ttest_1samp(effect, 0) for effect in effects]
write("factorial", cells=cells, means=effects.mean(axis=1), p=[test.pvalue for test in tests],
      holm=multipletests([test.pvalue for test in tests], method="holm")[1])

for n in (60, 200):
    other = random.normal(1.0, 0.5, n)
    oracle = other + random.gamma(2.0, 0.5, n)
    current = other + 0.6 * (oracle - other) + random.normal(0, 0.3, n)

    def ratio(c, d, axis=-1):
        return c.mean(axis=axis) / d.mean(axis=axis)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = st.bootstrap((current - other, oracle - other), ratio, paired=True, method="BCa", n_resamples=200000,
                                vectorized=True, rng=np.random.default_rng(1), batch=2000).confidence_interval
    write("recovery", other=other, current=current, oracle=oracle, share=ratio(current - other, oracle - other),
          range=[interval.low, interval.high])

# Power of McNemar's mid-p test, summed over every outcome of small tables.
for n, only_a, only_b in [(40, 0.3, 0.05), (60, 0.2, 0.02), (25, 0.4, 0.1)]:
    power = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            mid = 2 * st.binom.cdf(b, a + b, 0.5) - st.binom.pmf(b, a + b, 0.5) if a > b else 1.0
            if mid <= 0.05:
                power += st.multinomial.pmf([a, b, n - a - b], n, [only_a, only_b, 1 - only_a - only_b])
    write("power", n=n, only_a=only_a, only_b=only_b, power=power)

path = pathlib.Path(__file__).parent / "fixtures" / "expected.txt"
path.parent.mkdir(exist_ok=True)
path.write_text("\n".join(lines) + "\n")
