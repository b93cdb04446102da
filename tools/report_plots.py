"""The plots of report.py, each as the text of an SVG; and what plots and tables both need to know of a result."""

import html
import io
import math
import re

# Okabe and Ito's palette: told apart with every kind of colour vision.
COLOURS = {"hand": "#0072B2", "hand, any shape": "#56B4E9", "unfused": "#E69F00", "adams2019": "#009E73", "mullapudi2016": "#CC79A7",
           "li2018": "#D55E00", "reference": "#999999", "tuned": "#000000"}
PEER_COLOURS = {"oneDNN": "#0072B2", "XNNPACK": "#D55E00", "ONNXRuntime": "#009E73", "OpenVINO": "#CC79A7", "PyTorch": "#E69F00", "TensorFlow": "#8C564B",
                "ncnn": "#56B4E9", "MNN": "#6A3D9A"}
PROBLEM_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A", "#8C564B", "#444444", "#B2B200"]


def number(v, digits=4):
    """`digits` significant digits, never in exponent form; a dash for nothing."""
    if v is None:
        return "–"
    if v == 0:
        return "0"
    after = max(0, digits - 1 - math.floor(math.log10(abs(v))))
    return f"{v:.{min(after, 6)}f}"


def kind(row):
    """What sort of kernel a row is: the colour and the short name in plots."""
    if row["provider"] != "sepal":
        return row["provider"]
    if row["variant"] == "unfused":
        return "unfused"
    if row.get("scheduler") == "hand" and row.get("specialised") is False:
        return "hand, any shape"
    return row.get("scheduler") or row["variant"]


def label(row):
    """A short name that tells apart what stands in one plot."""
    text = kind(row)
    if row["provider"] != "sepal":
        return row["provider"] + (" (Winograd)" if row.get("winograd") else "")
    return text + (f", {row['isa']}" if row.get("isa") and text != "unfused" else "")


def colour_of(row):
    return COLOURS.get(kind(row), "#777") if row["provider"] == "sepal" else PEER_COLOURS.get(row["provider"], "#777")


def timed(row):
    return row.get("median_ms") is not None and row["check"] == "passed"


def problems(rows):
    return list(dict.fromkeys(r["problem"] for r in rows))


def best(rows, problem, cache="warm", accept=lambda r: True):
    found = [r for r in rows if r["problem"] == problem and r["cache"] == cache and timed(r) and accept(r)]
    return min(found, key=lambda r: r["median_ms"], default=None)


def svg(figure, description):
    import matplotlib.pyplot as plt
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight")
    plt.close(figure)
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.S)
    text = text[text.index("<svg"):]
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(description)}"', 1)


def tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def roofline_plot(machine, rows, threads):
    import matplotlib.pyplot as plt
    shown = [r for r in rows if timed(r) and r.get("intensity") and r.get("gflops")]
    peaks = {p["isa"]: p["gflops"] for p in machine.get("fma", []) if p["threads"] == threads}
    levels = {b["level"]: max(v["gbps"] for v in b.values() if isinstance(v, dict)) for b in machine.get("bandwidth", []) if b["threads"] == threads}
    if not shown or not peaks or not levels:
        return ""
    top = max(peaks.values())
    x = [r["intensity"] for r in shown]
    left, right = min(x + [top / max(levels.values())]) / 2.5, max(x + [top / min(levels.values())]) * 2.5
    bottom = min(r["gflops"] for r in shown) / 2
    figure, axes = plt.subplots(figsize=(10, 5.6))
    for i, (level, gbps) in enumerate(sorted(levels.items(), key=lambda item: -item[1])):
        ridge = top / gbps
        start = max(left, bottom / gbps)
        if start >= ridge:
            continue
        axes.plot([start, ridge], [start * gbps, top], color="#666", linewidth=1.2, linestyle=("-", "--", "-.", ":")[i % 4], zorder=1,
                  label=f"{level if level != 'dram' else 'DRAM'} {number(gbps, 3)} GB/s")
    for isa, gflops in sorted(peaks.items(), key=lambda item: -item[1]):
        axes.plot([left, right], [gflops, gflops], color="#222" if gflops == top else "#b0b0b0", linewidth=1.8 if gflops == top else 1.0, zorder=1,
                  label=f"FMA peak {isa}, {number(gflops, 3)} GFLOP/s")
    names = problems(shown)
    for i, problem in enumerate(names):
        colour = PROBLEM_COLOURS[i % len(PROBLEM_COLOURS)]
        peers = [r for r in shown if r["problem"] == problem and r["provider"] != "sepal"]
        axes.scatter([r["intensity"] for r in peers], [r["gflops"] for r in peers], s=26, marker="x", zorder=2, color=colour, linewidths=1.1)
        for cache in ("warm", "cold"):
            points = [r for r in shown if r["problem"] == problem and r["cache"] == cache and r["provider"] == "sepal"]
            axes.scatter([r["intensity"] for r in points], [r["gflops"] for r in points], s=34, marker="o" if i < len(PROBLEM_COLOURS) else "s", zorder=3,
                         facecolors=colour if cache == "warm" else "white", edgecolors=colour, linewidths=1.3, label=problem if cache == "warm" else None)
    if any(r["provider"] != "sepal" for r in shown):
        axes.scatter([], [], s=26, marker="x", color="#444", label="×: other libraries, warm")
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, top * 1.7), xlabel="FLOP per compulsory byte", ylabel="GFLOP/s")
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8.5)
    return svg(figure, "Roofline plot: GFLOP/s of each kernel against its FLOP per byte, under the measured peaks")


def bars(rows, value, xlabel, limit=None, mark=None):
    """Horizontal bars, one group for each problem."""
    import matplotlib.pyplot as plt
    groups = [(p, [r for r in rows if r["problem"] == p]) for p in problems(rows)]
    count = sum(len(g) for _, g in groups) + 1.1 * len(groups)
    figure, axes = plt.subplots(figsize=(10, max(1.6, 0.225 * count + 0.7)))
    y, ticks, names = 0.0, [], []
    for problem, group in groups:
        axes.text(0, y - 0.85, problem, fontweight="bold", fontsize=9, va="center")
        for row in group:
            v = value(row)
            axes.barh(y, v, height=0.78, color=colour_of(row), hatch=None if row["provider"] == "sepal" else "////", edgecolor="white", linewidth=0)
            axes.text(v, y, " " + number(v, 3), va="center", fontsize=8.5)
            ticks.append(y)
            names.append(label(row))
            y += 1
        y += 1.1
    axes.set_yticks(ticks, names, fontsize=8.5)
    axes.set_ylim(y - 1.5, -1.4)
    axes.set_xlabel(xlabel)
    axes.set_xlim(0, max([limit or 0] + [1.12 * value(r) for r in rows]))
    if mark is not None:
        axes.axvline(mark, color="#222", linewidth=1)
    tidy(axes)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return svg(figure, f"Bar chart: {xlabel}")


def sweep_points(rows, accept):
    """{op: [(channels, row)]} of problems named <op>.c<number>, the fastest of the rows accepted for each."""
    lines = {}
    for problem in problems(rows):
        match = re.fullmatch(r"(.+)\.c(\d+)", problem)
        row = best(rows, problem, accept=accept) if match else None
        if row:
            lines.setdefault(match[1], []).append((int(match[2]), row))
    return {op: sorted(points, key=lambda p: p[0]) for op, points in lines.items() if len(points) > 1}


def sweep_plot(rows):
    import matplotlib.pyplot as plt
    lines = sweep_points(rows, lambda r: r["provider"] == "sepal" and r["variant"] != "unfused")
    if not lines:
        return ""
    peers = sweep_points(rows, lambda r: r["provider"] != "sepal" and not r.get("winograd"))
    figure, (rate, share) = plt.subplots(1, 2, figsize=(11, 4.2), gridspec_kw={"wspace": 0.28})
    for i, (op, points) in enumerate(lines.items()):
        c = [p[0] for p in points]
        style = {"color": PROBLEM_COLOURS[i], "marker": "os^D"[i % 4], "label": op}
        rate.plot(c, [p[1]["median_ms"] for p in points], **style)
        share.plot(c, [p[1]["pct_fma_peak"] for p in points], **style)
        if op in peers:
            style = {"color": PROBLEM_COLOURS[i], "marker": "x", "linestyle": "--", "linewidth": 1, "label": f"{op}, best direct peer"}
            rate.plot([p[0] for p in peers[op]], [p[1]["median_ms"] for p in peers[op]], **style)
            share.plot([p[0] for p in peers[op]], [p[1]["pct_fma_peak"] for p in peers[op]], **style)
    for axes, ylabel in ((rate, "median ms, warm"), (share, "% of FMA peak")):
        axes.set_xscale("log", base=2)
        channels = sorted({p[0] for points in lines.values() for p in points})
        axes.set_xticks(channels, [str(c) for c in channels], fontsize=8.5)
        axes.minorticks_off()
        axes.set(xlabel="channels C = K", ylabel=ylabel)
        tidy(axes)
        axes.legend(frameon=False)
    rate.set_yscale("log")
    share.set_ylim(0, max(100, *share.get_ylim()))
    return svg(figure, "Time and share of the FMA peak against the number of channels")


def fused_rows(rows):
    pairs = []
    for problem in problems(rows):
        for cache in ("warm", "cold"):
            pair = best(rows, problem, cache, lambda r: r["variant"] == "unfused")
            fused = best(rows, problem, cache, lambda r: r["variant"] != "unfused" and r["provider"] == "sepal")
            if pair and fused:
                pairs.append({**fused, "problem": problem, "ratio": pair["median_ms"] / fused["median_ms"], "variant": f"{cache}: {label(fused)}"})
    return pairs


def fused_plot(rows):
    pairs = fused_rows(rows)
    if not pairs:
        return ""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(10, 0.42 * len(pairs) + 0.9))
    for i, p in enumerate(pairs):
        axes.barh(i, p["ratio"], height=0.7, color="#0072B2" if p["cache"] == "warm" else "#9ecae1")
        axes.text(p["ratio"], i, f" {p['ratio']:.2f}×", va="center", fontsize=9)
    axes.set_yticks(range(len(pairs)), [f"{p['problem']}, {p['cache']}" for p in pairs], fontsize=9)
    axes.invert_yaxis()
    axes.axvline(1, color="#222", linewidth=1)
    axes.set_xlim(0, 1.15 * max([1] + [p["ratio"] for p in pairs]))
    axes.set_xlabel("time of depthwise, then pointwise / time of the fused kernel")
    tidy(axes)
    axes.grid(False, axis="y")
    return svg(figure, "Bar chart: speed-up of the fused kernel over depthwise then pointwise")
