#!/usr/bin/env python3
"""Draws from which length on a cache is migrated faster than its text is read again, from training.json files.

    examples/train_projector/draw_cost.py cost.svg results/projectors/ridge_smollm2/training.json …

Prints the same numbers as a table. Needs Python 3.9 and nothing else.
"""

import json
import math
import pathlib
import sys

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 420, 300, 64, 34, 14, 44
LINES = [("receiver_reads_seconds", "the receiver reads the text", "#b3541e"), ("projecting_seconds", "its cache is projected", "#1e5fb3")]


def migrations(path):
    """Name, size, device and the measured lengths of one projector."""
    summary = json.loads(pathlib.Path(path).read_text())
    cost = summary["cost_of_use"]
    name = pathlib.Path(path).stem if pathlib.Path(path).stem != "training" else pathlib.Path(path).parent.name
    return {"name": name, **cost, "training_seconds": summary["seconds"], "training_tokens": summary["tokens"]}


def table(all_costs):
    rows = []
    for cost in all_costs:
        rows.append(f"{cost['name']}: {cost['parameters']} parameters, {cost['bytes']} bytes, made in {cost['training_seconds']:.1f} s from "
                    f"{cost['training_tokens']} tokens; on {cost['device']}, cheaper from {cost['faster_from_tokens'] or 'no length measured'} tokens on")
        rows.append(f"{'tokens':>8} {'receiver reads':>15} {'projecting':>11}  ms")
        for row in cost["migration"]:
            rows.append(f"{row['tokens']:>8} {1e3 * row['receiver_reads_seconds']:>15.2f} {1e3 * row['projecting_seconds']:>11.2f}")
    return "\n".join(rows)


def decades(low, high):
    return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def panel(cost, left):
    """One projector's lines, both axes logarithmic."""
    rows = cost["migration"]
    times = [row[key] for row in rows for key, _, _ in LINES]
    first, last = rows[0]["tokens"], max(rows[-1]["tokens"], rows[0]["tokens"] + 1)
    low, high = decades(min(times), max(times))[0], decades(min(times), max(times))[-1]
    across = lambda tokens: left + LEFT + (WIDTH - LEFT - RIGHT) * math.log(tokens / first) / math.log(last / first)
    up = lambda seconds: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(seconds / low) / math.log(high / low)
    parts = [f'<text x="{left + LEFT}" y="20" font-weight="bold">{cost["name"]}, {cost["device"]}</text>']
    for decade in decades(min(times), max(times)):
        parts.append(f'<path d="M{left + LEFT} {up(decade):.1f}H{left + WIDTH - RIGHT}" stroke="#ddd"/>'
                     f'<text x="{left + LEFT - 6}" y="{up(decade) + 4:.1f}" text-anchor="end">{1e3 * decade:g} ms</text>')
    for row in rows:
        parts.append(f'<text x="{across(row["tokens"]):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{row["tokens"]}</text>')
    parts.append(f'<text x="{left + (WIDTH + LEFT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens</text>')
    for key, label, colour in LINES:
        points = " ".join(f"{across(row['tokens']):.1f},{up(row[key]):.1f}" for row in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"><title>{label}</title></polyline>')
    for i, (_, label, colour) in enumerate(LINES):
        parts.append(f'<text x="{left + LEFT + 8}" y="{TOP + 14 + 15 * i}" fill="{colour}">{label}</text>')
    return "".join(parts)


def draw(paths, svg):
    costs = [migrations(path) for path in paths]
    print(table(costs))
    panels = "".join(panel(cost, i * WIDTH) for i, cost in enumerate(costs))
    pathlib.Path(svg).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(costs)} {HEIGHT}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{panels}</svg>\n')


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    draw(sys.argv[2:], sys.argv[1])
