"""Draw results as SVG: ratios as bars, growth as curves.

Imported by bench.py for --plot; as a program it draws a file of results:

    python benchmarks/plot.py .cache/bench/results.json docs/performance

Needs matplotlib, and is the one module here that does.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.ticker import ScalarFormatter
from results import C, Measurement, Results, ratio
from targets import OURS, asyncio_cases, parse_case

# The same results give the same files.
mpl.rcParams["svg.hashsalt"] = "mood_event"
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.family"] = "sans-serif"
METADATA = {"Date": None}


class Line(NamedTuple):
    """A library on an interpreter, and how it is drawn everywhere."""

    library: str
    interpreter: str
    label: str
    color: str
    style: str = "-"


LINES = (
    Line(C, "C", "libev", "#444444"),
    Line(OURS, "CPython 3.10", "mood_event, CPython 3.10", "#0b5fa5"),
    Line(OURS, "CPython 3.13", "mood_event, CPython 3.13", "#3f9be0"),
    Line(OURS, "PyPy", "mood_event, PyPy", "#12b5a5"),
    Line("mood_event_1", "CPython 3.10", "mood.event 1.1.1, 3.10", "#d1495b", "--"),
    Line("gevent_cython", "CPython 3.13", "gevent (Cython), 3.13", "#e08e1b", "--"),
    Line("gevent_cffi", "CPython 3.13", "gevent (cffi), 3.13", "#9a7b4f", "--"),
    Line("gevent_cffi", "PyPy", "gevent (cffi), PyPy", "#c9b37e", "--"),
    Line("uvloop", "CPython 3.13", "uvloop, 3.13", "#8a4fb0", ":"),
    Line("asyncio", "CPython 3.13", "asyncio, 3.13", "#b9a0cf", ":"),
)

# asyncio on these, next to asyncio on its own selector: that is 1.
ON_ASYNCIO = (
    *LINES[1:4],
    Line("uvloop", "CPython 3.10", "uvloop, 3.10", "#b48ed0", ":"),
    Line("uvloop", "CPython 3.13", "uvloop, 3.13", "#8a4fb0", ":"),
)

# A file for each row of bars: what costs as much as libev is 1.
BARS = {
    "dispatch": ("W1 callback n=1000", "W1 iteration n=1", "W1 mixed"),
    "pipes": (
        "W2 event n=1000 active=100",
        "W2 event + timer reset n=1000",
        "W2 registration n=1000",
    ),
    "timers": (
        "W3 create + start + stop n=100000",
        "W3 reset n=10000",
        "W3 memory n=100000",
    ),
    "server": (
        "W4 cpu connections=1 size=64",
        "W4 cpu connections=50 size=64",
        "W4 cpu connections=500 size=4096",
    ),
    "wake": ("W5 median", "W5 p99", "W6 Loop()"),
}

CURVES = (
    ("W1 callback", "ns per callback"),
    ("W2 event active=10", "ns per event"),
    ("W3 create + start + stop", "ns per timer"),
    ("W3 reset", "ns per reset"),
)


def draw(results: Results, directory: Path) -> None:
    """Draw all there is into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, cases in BARS.items():
        _save(_bars(results, cases), directory / f"{name}.svg")
    _save(_on_asyncio(results), directory / "asyncio.svg")
    _save(_curves(results), directory / "growth.svg")


def _save(figure: Any, path: Path) -> None:
    if figure is None:
        return
    figure.savefig(path, metadata=METADATA)
    plt.close(figure)
    # matplotlib leaves blanks at the ends of lines.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def _bars(results: Results, cases: "Iterable[str]") -> Optional[Any]:
    rows = _rows(results, cases, LINES[1:], lambda line: LINES[0])
    if not rows:
        return None
    lines = max(len(ratios) for _, ratios in rows)
    figure, axes = plt.subplots(
        1, len(rows), figsize=(4.6 * len(rows), 0.9 + 0.32 * lines), squeeze=False
    )
    for (case, ratios), axis in zip(rows, axes[0]):
        _draw_bars(axis, case.replace("cpu", "CPU per request,"), ratios)
    figure.supxlabel("times what libev takes in C; shorter is better", fontsize=9)
    figure.tight_layout()
    return figure


def _draw_bars(axis: Any, title: str, ratios: "list[tuple[Line, float]]") -> None:
    labels = [line.label for line, _ in ratios]
    values = [value for _, value in ratios]
    bars = axis.barh(labels, values, color=[line.color for line, _ in ratios])
    axis.bar_label(bars, labels=[f"{value:.3g}" for value in values], padding=3)
    axis.set_title(title, fontsize=10)
    axis.set_xlim(0, 1.15 * max(1, *values))
    axis.axvline(1, color=LINES[0].color, linewidth=0.8)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _on_asyncio(results: Results) -> Optional[Any]:
    rows = _rows(
        results,
        asyncio_cases(),
        ON_ASYNCIO,
        lambda line: line._replace(library="asyncio"),
    )
    if not rows:
        return None
    lines = max(len(ratios) for _, ratios in rows)
    columns = 3
    height = -(-len(rows) // columns)
    figure, axes = plt.subplots(
        height,
        columns,
        figsize=(4.6 * columns, 0.5 + (0.6 + 0.24 * lines) * height),
        squeeze=False,
    )
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for (case, ratios), axis in zip(rows, axes.flat):
        _draw_bars(axis, case.partition(" ")[2], ratios)
    figure.supxlabel(
        "times what asyncio takes on its own selector, on the same interpreter; "
        "shorter is better",
        fontsize=9,
    )
    figure.tight_layout()
    return figure


def _rows(
    results: Results,
    cases: "Iterable[str]",
    lines: "Iterable[Line]",
    peer_of: "Callable[[Line], Line]",
) -> "list[tuple[str, list[tuple[Line, float]]]]":
    """The cases that were measured, with the ratios of the lines to their peers."""
    rows = []
    for case in cases:
        ratios = []
        for line in lines:
            peer = _find(results, peer_of(line), case)
            value = ratio(_find(results, line, case), peer)
            if value is not None:
                ratios.append((line, value))
        if ratios:
            rows.append((case, ratios))
    return rows


def _find(results: Results, line: Line, what: str) -> Optional[Measurement]:
    workload, case, params = parse_case(what)
    return results.find(line.library, line.interpreter, workload, case, **params)


def _curves(results: Results) -> Optional[Any]:
    figure, axes = plt.subplots(2, 2, figsize=(11, 8))
    drawn: dict[str, Any] = {}
    for (what, unit), axis in zip(CURVES, axes.flat):
        for line in LINES:
            points = _points(results, line, what)
            # One is no curve: the library was not measured for growth.
            if len(points) > 1:
                (curve,) = axis.plot(
                    [n for n, _ in points],
                    [value for _, value in points],
                    line.style,
                    color=line.color,
                    marker="o",
                    markersize=3,
                )
                drawn[line.label] = curve
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.set_title(what, fontsize=10)
        axis.set_xlabel("watchers", fontsize=9)
        axis.set_ylabel(unit, fontsize=9)
        axis.grid(alpha=0.3)
    if not drawn:
        plt.close(figure)
        return None
    figure.legend(drawn.values(), drawn.keys(), loc="lower center", ncols=4, fontsize=8)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return figure


def _points(results: Results, line: Line, what: str) -> "list[tuple[int, float]]":
    workload, case, params = parse_case(what)
    return sorted(
        (one.params["n"], one.median)
        for one in results
        if (one.workload, one.case, one.library) == (workload, case, line.library)
        and one.interpreter.startswith(line.interpreter)
        and one.params.items() >= params.items()
    )


if __name__ == "__main__":
    draw(Results.load(Path(sys.argv[1])), Path(sys.argv[2]))
