"""Pictures of the results, for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Results = Sequence[Mapping[str, Any]]


def draw(results: Results, folder: Path) -> None:
    """Rewrites the pictures for which there are results."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dipronn"
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {entry["name"]: entry for entry in results}
    _per_packet(by_name, folder / "per_packet.svg")
    _rates(by_name, folder / "rates.svg")


def draw_distribution(values: Sequence[float], label: str, path: Path) -> None:
    """The share of values up to each."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3))
    axes.ecdf(values)
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.set_ylabel(f"share of {len(values)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(figure, path)
    pyplot.close(figure)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def _per_packet(by_name: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    from matplotlib import pyplot

    counts = [count for count in ("1", "64k", "1M") if f"hit_ns_{count}" in by_name]
    if not counts:
        return
    series: dict[str, list[float]] = {}
    for count in counts:
        for peer, value in by_name[f"hit_ns_{count}"]["peers"].items():
            series.setdefault(peer, []).append(value)
    for name, label in {"hit": "exact flow", "wild": "wild flow", "hash": "spread by hash"}.items():
        series[f"steering: {label}"] = [by_name[f"{name}_ns_{count}"]["value"] for count in counts]
    figure, axes = pyplot.subplots(figsize=(8, 4))
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        bars = axes.bar([x + i * width for x in range(len(counts))], values, width, label=name)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(counts))], [f"{count} flows" for count in counts])
    axes.set_ylabel("ns per packet, net")
    axes.set_title("BPF_PROG_RUN, a fresh packet each time")
    axes.legend(fontsize=7)
    _save(figure, path)
    pyplot.close(figure)


def _rates(by_name: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    from matplotlib import pyplot

    found = next((entry for name, entry in by_name.items() if name.startswith("forwarding_mpps")), None)
    if found is None:
        return
    bars = {"DiProNN's XDP": found["value"], **found["peers"]}
    figure, axes = pyplot.subplots(figsize=(8, 3))
    drawn = axes.barh(list(bars), list(bars.values()))
    axes.bar_label(drawn, fmt="%.2f", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("Mpps, 64 B frames over veth, one core with the generator")
    _save(figure, path)
    pyplot.close(figure)
