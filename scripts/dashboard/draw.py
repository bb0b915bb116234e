"""Draws manifests/components/monitoring/dashboard.json with what a Prometheus answers to its queries."""

import datetime
import json
import pathlib
import re
import sys
import textwrap
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
from matplotlib import dates, pyplot, ticker  # noqa: E402

DASHBOARD = pathlib.Path(__file__).parents[2] / "manifests/components/monitoring/dashboard.json"
BACKGROUND, PANEL, TEXT, GRID = "#111217", "#181b1f", "#d8d9da", "#2c3235"
COLOURS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#5794f2", "#ffa6b0", "#96d98d", "#c0d8ff"]
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}


def ask(prometheus, query, minutes, step):
    """The series of a query over the last minutes: labels, and pairs of time and value."""
    now = time.time()
    query = query.replace("$__rate_interval", "1m").replace('"$namespace"', '".*"')
    parameters = urllib.parse.urlencode({"query": query, "start": now - 60 * minutes, "end": now, "step": step})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{parameters}", timeout=30) as answer:
        data = json.load(answer)
    assert data["status"] == "success", data
    series = []
    for result in data["data"]["result"]:
        points = [(float(t), float(v)) for t, v in result["values"] if v != "NaN"]
        if points:
            series.append((result["metric"], points))
    return series


def legend(template, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), template)


def written(value, unit):
    """A value as Grafana writes it, roughly."""
    if unit == "s":
        for size, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return "0 s"
    if unit == "bytes":
        for size, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.0f} B"
    suffix = {"reqps": " req/s", "ops": " /s"}.get(unit, "")
    return f"{value:.3g}{suffix}"


def colour(value, defaults):
    chosen = "green"
    for step in defaults.get("thresholds", {}).get("steps", []):
        if step["value"] is None or value >= step["value"]:
            chosen = step["color"]
    return NAMED.get(chosen, NAMED["green"])


def stat(axes, panel, series):
    unit, defaults = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"]
    axes.set_axis_off()
    if not series:
        axes.text(0.5, 0.45, "no data", color=TEXT, ha="center", va="center", fontsize=11)
        return
    for index, (name, points) in enumerate(series):
        value = points[-1][1]
        at = (index + 0.5) / len(series)
        axes.text(at, 0.5, written(value, unit), color=colour(value, defaults), ha="center", va="center", fontsize=20, transform=axes.transAxes)
        if len(series) > 1 or "{{" in panel["targets"][0]["legendFormat"]:
            axes.text(at, 0.12, name, color=TEXT, ha="center", va="center", fontsize=8, transform=axes.transAxes)


def lines(axes, panel, series, minutes):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    moment = lambda t: dates.date2num(datetime.datetime.fromtimestamp(t, datetime.timezone.utc))
    # What is zero all the time would only fill the legend.
    shown = [entry for entry in series if any(value for _, value in entry[1])] or series[:1]
    if stacked and shown:
        times = sorted({t for _, points in shown for t, _ in points})
        values = [[dict(points).get(t, 0) for t in times] for _, points in shown]
        axes.stackplot([moment(t) for t in times], values, colors=COLOURS, alpha=0.75, labels=[name for name, _ in shown], linewidth=0)
    else:
        for index, (name, points) in enumerate(shown):
            line = COLOURS[index % len(COLOURS)]
            axes.plot([moment(t) for t, _ in points], [v for _, v in points], color=line, linewidth=1.2, label=name)
            axes.fill_between([moment(t) for t, _ in points], [v for _, v in points], color=line, alpha=0.07)
    axes.set_ylim(bottom=0)
    if not any(value for _, points in shown for _, value in points):
        axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: written(value, unit)))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
    now = time.time()
    axes.set_xlim(moment(now - 60 * minutes), moment(now))
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=7))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.set_axisbelow(True)
    axes.tick_params(colors=TEXT, labelsize=7, length=0)
    axes.grid(color=GRID, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if shown:
        many = len(shown) > 6
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.12), ncols=3 if many else 4, fontsize=6.5, frameon=False, labelcolor=TEXT, handlelength=1.2, columnspacing=1.2)


def draw(prometheus, minutes, file):
    """Draws all panels where the dashboard has them."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(16, 0.42 * height + 0.5), facecolor=BACKGROUND)
    top = 1 - 0.5 / (0.42 * height + 0.5)
    figure.text(0.012, (1 + top) / 2, dashboard["title"], color=TEXT, fontsize=14, va="center")
    step = max(5, int(60 * minutes / 240))
    for panel in panels:
        at = panel["gridPos"]
        x, w = at["x"] / 24, at["w"] / 24
        y, h = top * (1 - (at["y"] + at["h"]) / height), top * at["h"] / height
        gap_x, gap_y = 0.004, 0.004
        figure.add_artist(pyplot.Rectangle((x + gap_x, y + gap_y), w - 2 * gap_x, h - 2 * gap_y, color=PANEL, zorder=-1, transform=figure.transFigure))
        figure.text(x + 0.009, y + h - 0.007, textwrap.shorten(panel["title"], 60), color=TEXT, fontsize=9, va="top")
        series = []
        for target in panel["targets"]:
            for labels, points in ask(prometheus, target["expr"], minutes, step):
                series.append((legend(target["legendFormat"], labels), points))
        if panel["type"] == "stat":
            stat(figure.add_axes([x + 0.01, y + 0.005, w - 0.02, h - 0.02], facecolor=PANEL), panel, series)
        else:
            legend_height = 0.026 if len([s for s in series if any(v for _, v in s[1])]) <= 4 else 0.036
            lines(figure.add_axes([x + 0.042, y + legend_height + 0.012, w - 0.054, h - legend_height - 0.037], facecolor=PANEL), panel, series, minutes)
    figure.savefig(file, dpi=90, facecolor=BACKGROUND)


if __name__ == "__main__":
    draw(sys.argv[1], float(sys.argv[2]), sys.argv[3])
