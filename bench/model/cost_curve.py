"""Draws what a matrix costs as trials grow: runs phase2a once for each number of trials and writes an SVG.

    python bench/model/cost_curve.py [--phase2a build/release/bin/phase2a] [--trials 1 2 5 10 20 50 100 200 500 1000]
                                     [--output cost_curve.svg] -- [phase2a's own arguments, as --model and --device]
"""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

WIDTH, HEIGHT, MARGIN = 640, 400, 60


def seconds_of(program: str, arguments: list[str], trials: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "run"
        subprocess.run([program, *arguments, "--trials", str(trials), "--temperature", "1", "--output", str(output)],
                       check=True, stdout=subprocess.DEVNULL)
        return json.loads((output / "phase2a_transfer_results.json").read_text())["program"]["seconds"]


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten around a range."""
    return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def drawing(points: list[tuple[int, float]], title: str) -> str:
    """Both axes logarithmic; the dashed line is what so many runs of one trial would take."""
    across = ticks(points[0][0], points[-1][0])
    up = ticks(min(s for _, s in points), max(points[0][1] * points[-1][0], points[-1][1]))

    def place(trials: float, seconds: float) -> tuple[float, float]:
        x = math.log10(trials / across[0]) / math.log10(across[-1] / across[0])
        y = math.log10(seconds / up[0]) / math.log10(up[-1] / up[0])
        return MARGIN + x * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN)

    def line(ends: list[tuple[float, float]], style: str) -> str:
        return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in ends)}" fill="none" {style}/>'

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [text(WIDTH / 2, 24, title), text(WIDTH / 2, HEIGHT - 12, "trials of each cell"), text(8, 44, "seconds", "start")]
    for trials in across:
        x, bottom = place(trials, up[0])
        parts += [line([(x, bottom), place(trials, up[-1])], 'stroke="#ddd"'), text(x, bottom + 18, f"{trials:g}")]
    for seconds in up:
        left, y = place(across[0], seconds)
        parts += [line([(left, y), place(across[-1], seconds)], 'stroke="#ddd"'), text(left - 6, y + 4, f"{seconds:g}", "end")]
    one = points[0][1] / points[0][0]
    parts.append(line([place(t, one * t) for t, _ in points], 'stroke="#999" stroke-dasharray="4 4"'))
    parts.append(line([place(t, s) for t, s in points], 'stroke="#06c" stroke-width="2"'))
    for trials, seconds in points:
        x, y = place(trials, seconds)
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>', text(x, y - 8, f"{seconds:.3g}")]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phase2a", default="build/release/bin/phase2a")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("cost_curve.svg"))
    parser.add_argument("--title", default="What a matrix costs as trials grow")
    parser.add_argument("arguments", nargs="*", help="phase2a's, behind --")
    args = parser.parse_args()
    points = []
    for trials in sorted(args.trials):
        points.append((trials, seconds_of(args.phase2a, args.arguments, trials)))
        print(f"{trials:5d} trials: {points[-1][1]:8.2f} s, {points[-1][1] / points[0][1]:6.2f} times the first", flush=True)
    args.output.write_text(drawing(points, args.title))


if __name__ == "__main__":
    main()
