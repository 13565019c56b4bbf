#!/usr/bin/env python3
"""The difference of two conditions' successes on the same tests, with Newcombe's interval: what a page doesn't compare by itself.

    examples/train_projector/paired_difference.py results/cross_model_there/records.jsonl CONDITION OTHER_CONDITION
    examples/train_projector/paired_difference.py training.json

The second takes the counts of a training's held-out questions: projected less another source's, and the share of what the text itself would give.

Source: R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
Stat. Med. 17 (1998), method 10, as the library's own comparisons have it. Needs Python 3.9 and nothing else.
"""

import json
import math
import pathlib
import sys

Z = 1.959963984540054  # confidence 0.95


def wilson(successes, n):
    """The interval of one proportion."""
    centre = (successes + Z * Z / 2) / (n + Z * Z)
    half = Z / (n + Z * Z) * math.sqrt(successes * (n - successes) / n + Z * Z / 4)
    return centre - half, centre + half


def newcombe(both, only_a, only_b, neither):
    """Difference and interval of a paired table."""
    n = both + only_a + only_b + neither
    a, b = (both + only_a) / n, (both + only_b) / n
    (low_a, high_a), (low_b, high_b) = wilson(both + only_a, n), wilson(both + only_b, n)
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    association = both * neither - only_a * only_b
    if association > n / 2:
        association -= n / 2
    elif association >= 0:
        association = 0
    phi = association / math.sqrt(margins) if margins else 0
    down = math.sqrt(max(0, (a - low_a) ** 2 - 2 * phi * (a - low_a) * (high_b - b) + (high_b - b) ** 2))
    up = math.sqrt(max(0, (b - low_b) ** 2 - 2 * phi * (b - low_b) * (high_a - a) + (high_a - a) ** 2))
    return a - b, a - b - down, a - b + up


def successes(records, condition):
    """Whether each test succeeded in a condition's first trial."""
    found = {}
    for line in pathlib.Path(records).read_text().splitlines():
        record = json.loads(line)
        if record.get("condition") == condition and record["trial"] == 0:
            found[record["test"]] = record["success"]
    return found


def difference(records, a, b):
    of_a, of_b = successes(records, a), successes(records, b)
    if not of_a or of_a.keys() != of_b.keys():
        sys.exit(f"{records}: expected both conditions for the same tests, got {len(of_a)} of {a} and {len(of_b)} of {b}")
    table = {"both": 0, "only_a": 0, "only_b": 0, "neither": 0}
    for test, success in of_a.items():
        table["both" if success and of_b[test] else "only_a" if success else "only_b" if of_b[test] else "neither"] += 1
    value, low, high = newcombe(*table.values())
    return {"a": a, "b": b, "metric": "success", "n": len(of_a), **table, "difference": value, "low": low, "high": high}


def of_training(path):
    """Content and recovered share of a training's own questions, whose pairs are known where another source never gave an answer."""
    scores = {score["condition"]: score for score in json.loads(pathlib.Path(path).read_text())["held_out"]}
    right, n = scores["projected"]["right"], scores["projected"]["cases"]
    if scores["other"]["right"]:
        sys.exit(f"{path}: expected no answer from another source, got {scores['other']['right']}: the pairs are not known")
    value, low, high = newcombe(0, right, 0, n - right)
    possible = scores["oracle"]["right"] / n
    return {"n": n, "right": right, "content": value, "low": low, "high": high, "possible": possible, "share": value / possible}


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    print(json.dumps(difference(*sys.argv[1:]) if len(sys.argv) == 4 else of_training(sys.argv[1]), indent=2))
