#!/usr/bin/env python3
"""report.py RESULTS.json OUT.html: the JSON of `sepal bench` as one self-contained HTML page with plots.

Exit status 2, with one sentence on stderr, when the input is unusable or the output cannot be written."""

import html
import io
import json
import math
import os
import re
import sys
import tempfile

REQUIRED = {"suite": str, "problem": str, "variant": str, "provider": str, "threads": int, "cache": str, "check": str}
NUMBERS = ("median_ms", "min_ms", "spread_pct", "gflops", "gbps", "pct_fma_peak", "pct_roofline")

# Okabe and Ito's palette: told apart with every kind of colour vision.
COLOURS = {"hand": "#0072B2", "hand, any shape": "#56B4E9", "unfused": "#E69F00", "adams2019": "#009E73", "mullapudi2016": "#CC79A7",
           "li2018": "#D55E00", "reference": "#999999"}
PROBLEM_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6A3D9A", "#8C564B", "#444444", "#B2B200"]

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff;
  max-width: 1120px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; border-bottom: 1px solid #ddd; padding-bottom: .25rem; }
p { max-width: 78ch; margin: .5rem 0; } .muted { color: #555; } figure { margin: 1rem 0; } figcaption { color: #444; max-width: 78ch; font-size: .93rem; }
svg { max-width: 100%; height: auto; } code { font: .87em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; background: #f4f4f4; padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; background: #f4f6f8; vertical-align: bottom; } td { text-align: right; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e4e4e4; white-space: nowrap; } .text { text-align: left; } .wrap { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
tr.group td { background: #fafbfc; font-weight: 600; text-align: left; border-top: 2px solid #bbb; } .ok { color: #0a6b3d; } .bad { color: #b00020; font-weight: 600; } .skip { color: #555; }
dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0 0 0 1.2rem; max-width: 78ch; } li { margin: .25rem 0; } summary { cursor: pointer; }
"""


class BadInput(Exception):
    pass


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e.strerror}")
    except ValueError as e:
        raise BadInput(f"{path}: is not valid JSON: {e}")
    if not isinstance(data, dict) or not isinstance(data.get("machine"), dict) or not isinstance(data.get("results"), list):
        raise BadInput(f'{path}: is not a result of `sepal bench --json`: it needs an object "machine" and a list "results"')
    if not data["results"]:
        raise BadInput(f'{path}: field "results" is empty; there is nothing to report')
    for key in ("fma", "bandwidth"):
        entries = data["machine"].get(key, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise BadInput(f'{path}: field "machine.{key}" is not a list of objects')
    for i, row in enumerate(data["results"]):
        if not isinstance(row, dict):
            raise BadInput(f"{path}: results[{i}] is not an object")
        for key, kind in REQUIRED.items():
            if not isinstance(row.get(key), kind) or isinstance(row.get(key), bool):
                raise BadInput(f'{path}: field "results[{i}].{key}" is {json.dumps(row.get(key))}; allowed: {"an integer" if kind is int else "a text"}')
        if row["cache"] not in ("warm", "cold"):
            raise BadInput(f'{path}: field "results[{i}].cache" is "{row["cache"]}"; allowed: warm, cold')
        for key in NUMBERS:
            value = row.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)):
                raise BadInput(f'{path}: field "results[{i}].{key}" is {json.dumps(value)}; allowed: a finite number or null')
    return data


# ---- words ----
def number(v, digits=4):
    """`digits` significant digits, never in exponent form; a dash for nothing."""
    if v is None:
        return "–"
    if v == 0:
        return "0"
    after = max(0, digits - 1 - math.floor(math.log10(abs(v))))
    return f"{v:.{min(after, 6)}f}"


def percent(v):
    return "–" if v is None else f"{v:.1f}"


def esc(v):
    return html.escape(str(v))


def kind(row):
    """What sort of kernel a row is: the colour and the short name in plots."""
    if row["variant"] == "unfused":
        return "unfused"
    if row.get("scheduler") == "hand" and row.get("specialised") is False:
        return "hand, any shape"
    return row.get("scheduler") or row["variant"]


def label(row):
    """A short name that tells apart what stands in one plot."""
    text = kind(row)
    if row["provider"] != "sepal":
        return f"{row['provider']} {row['variant']}"
    return text + (f", {row['isa']}" if row.get("isa") and text != "unfused" else "")


def timed(row):
    return row.get("median_ms") is not None and row["check"] == "passed"


def problems(rows):
    return list(dict.fromkeys(r["problem"] for r in rows))


def best(rows, problem, cache="warm", accept=lambda r: True):
    found = [r for r in rows if r["problem"] == problem and r["cache"] == cache and timed(r) and accept(r)]
    return min(found, key=lambda r: r["median_ms"], default=None)


# ---- plots ----
def svg(figure, description):
    import matplotlib.pyplot as plt
    out = io.StringIO()
    figure.savefig(out, format="svg", bbox_inches="tight")
    plt.close(figure)
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue(), flags=re.S)
    text = text[text.index("<svg"):]
    return text.replace("<svg", f'<svg role="img" aria-label="{esc(description)}"', 1)


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
        axes.plot([left, right], [gflops, gflops], color="#222" if gflops == top else "#aaa", linewidth=1.4 if gflops == top else 0.9, zorder=1)
        if gflops == top or gflops < 0.9 * top:
            axes.annotate(f"FMA peak {isa} {number(gflops, 3)} GFLOP/s", (right, gflops), xytext=(-2, 3), textcoords="offset points", ha="right", fontsize=8.5, color="#333")
    names = problems(shown)
    for i, problem in enumerate(names):
        colour = PROBLEM_COLOURS[i % len(PROBLEM_COLOURS)]
        for cache in ("warm", "cold"):
            points = [r for r in shown if r["problem"] == problem and r["cache"] == cache]
            axes.scatter([r["intensity"] for r in points], [r["gflops"] for r in points], s=34, marker="o" if i < len(PROBLEM_COLOURS) else "s", zorder=3,
                         facecolors=colour if cache == "warm" else "white", edgecolors=colour, linewidths=1.3, label=problem if cache == "warm" else None)
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, top * 1.7), xlabel="FLOP per compulsory byte", ylabel="GFLOP/s")
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8.5)
    return svg(figure, "Roofline plot: GFLOP/s of each kernel against its FLOP per byte, under the measured peaks")


def bars(rows, value, xlabel, limit=None, mark=None):
    """Horizontal bars, one group for each problem."""
    import matplotlib.pyplot as plt
    groups = [(p, [r for r in rows if r["problem"] == p]) for p in problems(rows)]
    count = sum(len(g) for _, g in groups) + 0.7 * len(groups)
    figure, axes = plt.subplots(figsize=(10, max(1.6, 0.235 * count + 0.7)))
    y, ticks, names = 0.0, [], []
    for problem, group in groups:
        axes.text(0, y - 0.72, problem, fontweight="bold", fontsize=9, va="center")
        for row in group:
            v = value(row)
            y += 0.0
            axes.barh(y, v, height=0.78, color=COLOURS.get(kind(row), "#777"))
            axes.text(v, y, " " + number(v, 3), va="center", fontsize=8.5)
            ticks.append(y)
            names.append(label(row))
            y += 1
        y += 0.9
    axes.set_yticks(ticks, names, fontsize=8.5)
    axes.set_ylim(y - 1.2, -1.2)
    axes.set_xlabel(xlabel)
    axes.set_xlim(0, max([limit or 0] + [1.12 * value(r) for r in rows]))
    if mark is not None:
        axes.axvline(mark, color="#222", linewidth=1)
    tidy(axes)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return svg(figure, f"Bar chart: {xlabel}")


def sweep_points(rows):
    """{op: [(channels, row)]} of problems named <op>.c<number>, the fastest kernel of each."""
    lines = {}
    for problem in problems(rows):
        match = re.fullmatch(r"(.+)\.c(\d+)", problem)
        row = best(rows, problem, accept=lambda r: r["variant"] != "unfused") if match else None
        if row:
            lines.setdefault(match[1], []).append((int(match[2]), row))
    return {op: sorted(points, key=lambda p: p[0]) for op, points in lines.items() if len(points) > 1}


def sweep_plot(rows):
    import matplotlib.pyplot as plt
    lines = sweep_points(rows)
    if not lines:
        return ""
    figure, (rate, share) = plt.subplots(1, 2, figsize=(11, 4.2), gridspec_kw={"wspace": 0.28})
    for i, (op, points) in enumerate(lines.items()):
        c = [p[0] for p in points]
        style = {"color": PROBLEM_COLOURS[i], "marker": "os^D"[i % 4], "label": op}
        rate.plot(c, [p[1]["median_ms"] for p in points], **style)
        share.plot(c, [p[1]["pct_fma_peak"] for p in points], **style)
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


# ---- sections ----
def table(head, lines, text_columns=(0,)):
    """Cells are escaped here unless they are (html,) tuples; a line that is a text is a group's heading."""
    def cell(tag, i, v):
        css = ' class="text"' if i in text_columns else ""
        return f"<{tag}{css}>{v[0] if isinstance(v, tuple) else esc(v)}</{tag}>"
    out = "<div class=scroll><table><thead><tr>" + "".join(cell("th", i, h) for i, h in enumerate(head)) + "</tr></thead><tbody>"
    for line in lines:
        out += f'<tr class=group><td colspan={len(head)}>{esc(line)}</td></tr>' if isinstance(line, str) else "<tr>" + "".join(cell("td", i, v) for i, v in enumerate(line)) + "</tr>"
    return out + "</tbody></table></div>"


def figure(content, caption):
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>" if content else ""


def machine_section(machine):
    out = f"<p><strong>{esc(machine.get('cpu', 'unknown CPU'))}</strong>, {machine.get('logical_cpus', '?')} CPUs, best ISA {esc(machine.get('isa', '?'))}"
    if machine.get("clock_ghz"):
        out += f", {machine['clock_ghz']:.2f} GHz (measured)"
    out += ". All peaks below were measured on it; each is the median of repetitions, with their interquartile range in percent.</p>"
    out += table(["FMA peak, f32", "threads", "GFLOP/s", "spread %"], [[p["isa"], p["threads"], number(p["gflops"]), percent(p.get("spread_pct"))] for p in machine.get("fma", [])])
    kinds = ["read", "write", "copy", "write_streaming", "copy_streaming"]
    lines = [[b["level"] if b["level"] != "dram" else "DRAM", b["threads"], f"{b.get('working_set_bytes', 0) / 1024:,.0f}"] +
             [number(b[k]["gbps"]) + f" (±{b[k].get('spread_pct', 0):.0f} %)" if isinstance(b.get(k), dict) else "–" for k in kinds] for b in machine.get("bandwidth", [])]
    return out + table(["bandwidth, GB/s", "threads", "working set, KiB", "read", "write", "copy, both ways", "streaming write", "streaming copy"], lines)


def headline(rows):
    lines = []
    for problem in problems(rows):
        row = best(rows, problem)
        if row is None:
            why = next(r["check"] for r in rows if r["problem"] == problem)
            lines.append([problem, (f'<span class="skip">{esc(why)}</span>',)] + ["–"] * 6)
            continue
        lines.append([problem, label(row), number(row["median_ms"]), number(row.get("images_per_s")), number(row["gflops"]), percent(row["pct_fma_peak"]),
                      percent(row["pct_roofline"]) + (f" ({row['bound']})" if row.get("bound") else ""), number(row.get("times_copy"), 3)])
    return table(["problem", "fastest kernel", "median ms", "images/s", "GFLOP/s", "% FMA peak", "% roofline (bound)", "× plain copy"], lines, (0, 1))


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


def published_section(rows):
    lines = []
    sources = []
    for problem in problems(rows):
        figures = next((r["published"] for r in rows if r["problem"] == problem and isinstance(r.get("published"), list)), [])
        if not figures:
            continue
        lines.append(problem)
        row = best(rows, problem)
        if row:
            lines.append(["measured here: " + label(row), row.get("dtype", "f32"), number(row.get("images_per_s")), number(row["gflops"] / 1000, 3), "FLOPs", percent(row["pct_fma_peak"]), ""])
        for f in (f for f in figures if isinstance(f, dict)):
            source = str(f.get("source", ""))
            if source and source not in sources:
                sources.append(source)
            rest = ", ".join(f"{k} {v}" for k, v in f.items() if k not in ("source", "machine", "dtype", "per_second", "tflops", "tflops_counts", "pct_of_peak"))
            lines.append([f"{f.get('machine', '?')} [{sources.index(source) + 1 if source else '?'}]", f.get("dtype", ""), f.get("per_second", "–"), f.get("tflops", "–"),
                          f.get("tflops_counts", "as published") if "tflops" in f else "–", f.get("pct_of_peak", "–"), rest])
    if not lines:
        return ""
    return ("<h2>Published figures beside</h2><p>As their sources give them, on other machines and partly in other precisions: for orientation, not for comparison of kernels. "
            "Where a source's TFLOPS count multiply-adds, twice the figure compares with ours.</p>" +
            table(["machine", "dtype", "images/s", "TFLOPS", "which count", "% of its peak", "also given"], lines, (0, 1, 4, 6)) +
            "<ol>" + "".join(f"<li>{esc(s)}</li>" for s in sources) + "</ol>")


def all_rows(rows):
    head = ["variant", "cache", "median ms", "min ms", "spread %", "problems/s", "GFLOP/s", "GB/s", "% FMA peak", "% own ISA's", "% roofline", "bound", "× copy", "speed-up", "check"]
    lines = []
    for problem in problems(rows):
        group = [r for r in rows if r["problem"] == problem]
        lines.append(f"{problem}: {group[0].get('key', '')}")
        for r in group:
            css = {"passed": "ok", "failed": "bad"}.get(r["check"], "skip")
            verdict = r["check"] + (f": {r['check_message']}" if r.get("check_message") else "")
            lines.append([(f"<code>{esc(r['variant'])}</code>",), r["cache"], number(r["median_ms"]), number(r["min_ms"]), percent(r["spread_pct"]), number(r.get("problems_per_s")),
                          number(r["gflops"]), number(r["gbps"]), percent(r["pct_fma_peak"]), percent(r.get("pct_isa_peak")), percent(r["pct_roofline"]), r.get("bound") or "–",
                          number(r.get("times_copy"), 3), number(r.get("speedup"), 3), (f'<span class="{css}">{esc(verdict)}</span>',)])
    return table(head, lines, (0, 1, 14))


def page(data):
    machine, rows = data["machine"], data["results"]
    for r in rows:
        for key in NUMBERS:
            r.setdefault(key, None)
    threads = rows[0]["threads"]
    warm = [r for r in rows if r["cache"] == "warm" and timed(r)]
    checks = [r["check"] for r in rows if r["cache"] == "warm"]
    counted = f"{sum(c == 'passed' for c in checks)} kernels passed their check and were timed, {sum(c == 'failed' for c in checks)} failed, {sum(c.startswith('skipped') for c in checks)} were skipped"
    conventions = data.get("conventions", {})
    title = data.get("title") or rows[0]["suite"]
    out = [f"<h1>{esc(title)}</h1>", f"<p>{esc(data.get('description', ''))}</p>" if data.get("description") else "",
           f"<p class=muted>{esc(data.get('date', ''))} · {esc(machine.get('cpu', ''))} · {threads} thread{'s' if threads != 1 else ''} · {counted}.</p>",
           f"<p>Made by <code>{esc(data['command'])}</code></p>" if data.get("command") else "",
           "<h2>The fastest kernel for each problem</h2>", headline(rows),
           "<p class=muted>Warm caches. 100 % of the roofline means: as fast as this machine's measured peaks allow for this arithmetic and this compulsory traffic; "
           "the bound says which of the two roofs it is, arithmetic (fma) or a level of memory.</p>",
           "<h2>The machine</h2>", machine_section(machine)]
    roof = roofline_plot(machine, rows, threads)
    if roof:
        out += ["<h2>Roofline</h2>", figure(roof, "A point is a kernel: filled with warm caches, hollow with cold ones. The further up, the faster; nothing should lie above the horizontal line "
                "(arithmetic) or above the slanted line of the memory its data come from. The lines are measured, not data-sheet figures.")]
    if warm:
        with_roof = [r for r in warm if r["pct_roofline"] is not None]
        out += ["<h2>Share of the machine's peaks</h2>", figure(bars([r for r in warm if r["pct_fma_peak"] is not None], lambda r: r["pct_fma_peak"], "% of the measured FMA peak, warm", 100, 100),
                "How much of the arithmetic peak each kernel reaches. Depthwise kernels are bound by memory and cannot come near it: see the next chart."),
                figure(bars(with_roof, lambda r: r["pct_roofline"], "% of the roofline, warm", 100, 100) if with_roof else "",
                       "How close each kernel is to what this machine allows for it, be it arithmetic or memory.")]
    fused = fused_plot(rows)
    if fused:
        out += ["<h2>Fused against unfused</h2>", figure(fused, "Depthwise separable convolution as one kernel against the best hand-written depthwise kernel followed by the best hand-written "
                "pointwise kernel through memory. Right of the line: the fused kernel is faster.")]
    sweep = sweep_plot(rows)
    if sweep:
        out += ["<h2>Channel sweep</h2>", figure(sweep, "The fastest kernel at each number of channels.")]
    out += [published_section(rows), "<h2>All results</h2>", all_rows(rows), "<h2>How to read and repeat this</h2><dl>",
            f"<dt>FLOPs</dt><dd>{esc(conventions.get('flops', 'not stated by the results file'))}</dd>", f"<dt>Bytes</dt><dd>{esc(conventions.get('bytes', 'not stated by the results file'))}</dd>",
            "<dt>warm, cold</dt><dd>Warm: the run before was the same kernel's. Cold: tensors and filters were evicted from all caches before each run.</dd>",
            "<dt>median, spread</dt><dd>Of samples taken in turns with all other kernels of the problem, in one process; the spread is the interquartile range in percent of the median.</dd>",
            "<dt>% FMA peak</dt><dd>Of the peak of the best ISA with as many threads, probed between the samples of the same run.</dd>",
            "<dt>% roofline</dt><dd>Attainable time / median. Attainable is the longer of FLOPs at the FMA peak and compulsory bytes at the highest measured bandwidth of the memory that holds them: "
            "the smallest cache that does when warm, DRAM when cold.</dd>",
            "<dt>× copy</dt><dd>Median / time of a plain copy that moves the problem's compulsory bytes (half read, half written), in the same cache state and run.</dd>",
            "<dt>speed-up</dt><dd>Over the first timed kernel of the problem in the same cache state.</dd>",
            "<dt>check</dt><dd>Every kernel's output was compared with a double-precision reference before it was timed.</dd></dl>"]
    commands = list(dict.fromkeys(r["reproduce"] for r in rows if isinstance(r.get("reproduce"), str) and r["reproduce"]))
    if commands:
        out += [f"<details><summary>The {len(commands)} commands that measure each line again</summary><ul>"] + [f"<li><code>{esc(c)}</code></li>" for c in commands] + ["</ul></details>"]
    return f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{esc(title)}</title><style>{STYLE}</style></head><body>' + "\n".join(out) + "</body></html>\n"


def write(path, text):
    temporary = None
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(path) or ".", delete=False) as file:
            temporary = file.name
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as e:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise BadInput(f"{path}: cannot be written: {e.strerror}")


def main(arguments):
    if len(arguments) != 2:
        raise BadInput(f"usage: report.py RESULTS.json OUT.html; {len(arguments)} arguments were given")
    data = load(arguments[0])
    try:
        import matplotlib
    except ImportError:
        raise BadInput("this Python has no matplotlib; it is among the packages of requirements.txt")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sepal", "font.family": "sans-serif", "font.size": 10, "axes.edgecolor": "#888"})
    write(arguments[1], page(data))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as e:
        print(f"report.py: {e}", file=sys.stderr)
        sys.exit(2)
