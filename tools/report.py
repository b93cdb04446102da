#!/usr/bin/env python3
"""report.py RESULTS.json OUT.html [TUNING.jsonl ...]: the JSON of `sepal bench` as one self-contained HTML page with plots; with the
progress of the tuning sessions whose records the other files hold.

Exit status 2, with one sentence on stderr, when the input is unusable or the output cannot be written."""

import html
import json
import math
import os
import sys

sys.dont_write_bytecode = True  # this folder is part of the sources
from files import BadInput, write_file
from report_peers import is_own, is_peer, peers_plot, read_tuning, tuning_section, verdict
from report_plots import bars, best, fused_plot, label, number, problems, roofline_plot, sweep_plot, timed
from report_static import static_sections

REQUIRED = {"suite": str, "problem": str, "variant": str, "provider": str, "threads": int, "cache": str, "check": str}
NUMBERS = ("median_ms", "min_ms", "spread_pct", "gflops", "gbps", "pct_fma_peak", "pct_roofline", "packed_bytes", "pack_ms")

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff;
  max-width: 1180px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; border-bottom: 1px solid #ddd; padding-bottom: .25rem; }
p { max-width: 78ch; margin: .5rem 0; } .muted { color: #555; } figure { margin: 1rem 0; } figcaption { color: #444; max-width: 78ch; font-size: .93rem; }
svg { max-width: 100%; height: auto; } code { font: .87em ui-monospace, "DejaVu Sans Mono", Menlo, monospace; background: #f4f4f4; padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .84rem; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; background: #f4f6f8; vertical-align: bottom; } td { text-align: right; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #e4e4e4; white-space: nowrap; } .text { text-align: left; } .wrap { white-space: normal; overflow-wrap: anywhere; display: inline-block; max-width: 26rem; }
tr.sub td { text-align: left; border-bottom: none; padding-top: .5rem; white-space: normal; }
tr.group td { background: #fafbfc; font-weight: 600; text-align: left; border-top: 2px solid #bbb; } .ok { color: #0a6b3d; } .bad { color: #b00020; font-weight: 600; } .skip { color: #555; }
dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0 0 0 1.2rem; max-width: 78ch; } li { margin: .25rem 0; } summary { cursor: pointer; }
"""


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e.strerror}")
    except ValueError as e:
        raise BadInput(f"{path}: is not valid JSON: {e}")
    if isinstance(data, dict) and isinstance(data.get("static_reports"), list):
        if not all(isinstance(r, dict) and isinstance(r.get("kernels"), list) for r in data["static_reports"]):
            raise BadInput(f'{path}: field "static_reports" is not a list of objects with a list "kernels" each')
        return data
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
def percent(v):
    return "–" if v is None else f"{v:.1f}"


def esc(v):
    return html.escape(str(v))


# ---- sections ----
def table(head, lines, text_columns=(0,)):
    """Cells are escaped here unless they are (html,) tuples; a line that is a text is a group's heading, one that is an (html,) tuple a lesser one."""
    def cell(tag, i, v):
        css = ' class="text"' if i in text_columns else ""
        return f"<{tag}{css}>{v[0] if isinstance(v, tuple) else esc(v)}</{tag}>"
    out = "<div class=scroll><table><thead><tr>" + "".join(cell("th", i, h) for i, h in enumerate(head)) + "</tr></thead><tbody>"
    for line in lines:
        if isinstance(line, (str, tuple)):
            css, text = ("group", esc(line)) if isinstance(line, str) else ("sub", line[0])
            out += f"<tr class={css}><td colspan={len(head)}>{text}</td></tr>"
        else:
            out += "<tr>" + "".join(cell("td", i, v) for i, v in enumerate(line)) + "</tr>"
    return out + "</tbody></table></div>"


def figure(content, caption):
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>" if content else ""


def gpu_section(gpu):
    facts = [f"compute capability {gpu['compute_capability'] / 10:.1f}" if gpu.get("compute_capability") else "",
             f"{gpu['multiprocessors']} {'multiprocessors' if gpu.get('backend') == 'cuda' else 'compute units'}" if gpu.get("multiprocessors") else "",
             f"up to {gpu['clock_ghz']:.2f} GHz" if gpu.get("clock_ghz") else "", f"{gpu['l2_bytes'] / 2**20:.4g} MiB of {'L2' if gpu.get('backend') == 'cuda' else 'cache'}" if gpu.get("l2_bytes") else "",
             f"{gpu['memory_bytes'] / 2**30:.4g} GiB" if gpu.get("memory_bytes") else ""]
    out = f"<p><strong>{esc(gpu.get('name', 'unknown GPU'))}</strong> (<code>--device {esc(gpu.get('device', '?'))}</code>)" + "".join(f", {fact}" for fact in facts if fact) + ".</p>"
    peaks = gpu.get("peaks")
    if not isinstance(peaks, dict):
        return out + f"<p>There are no peaks to compare with: {esc(gpu.get('why_no_peaks'))}.</p>"
    names = {"f32_gflops": "f32, GFLOP/s", "f16_gflops": "f16, GFLOP/s", "tensor_f16_gflops": "tensor cores, f16 with sums in f32, GFLOP/s", "dram_gbs": "memory, copy, GB/s", "l2_read_gbs": "L2, read, GB/s"}
    return out + table(["measured peak", ""], [[text, number(peaks.get(key))] for key, text in names.items()])


def machine_section(machine):
    if isinstance(machine.get("gpu"), dict):
        return gpu_section(machine["gpu"])
    out = f"<p><strong>{esc(machine.get('cpu', 'unknown CPU'))}</strong>, {machine.get('logical_cpus', '?')} CPUs, best ISA {esc(machine.get('isa', '?'))}"
    if machine.get("clock_ghz"):
        out += f", {machine['clock_ghz']:.2f} GHz (measured)"
    out += ". All peaks below were measured on it; each is the median of repetitions, with their interquartile range in percent.</p>"
    out += table(["FMA peak, f32", "threads", "GFLOP/s", "spread %"], [[p["isa"], p["threads"], number(p["gflops"]), percent(p.get("spread_pct"))] for p in machine.get("fma", [])])
    kinds = ["read", "write", "copy", "write_streaming", "copy_streaming"]
    lines = [[b["level"] if b["level"] != "dram" else "DRAM", b["threads"], f"{b.get('working_set_bytes', 0) / 1024:,.0f}"] +
             [number(b[k]["gbps"]) + f" ({b[k].get('spread_pct', 0):.1f})" if isinstance(b.get(k), dict) else "–" for k in kinds] for b in machine.get("bandwidth", [])]
    return out + table(["bandwidth, GB/s", "threads", "working set, KiB", "read (spread %)", "write", "copy, both ways", "streaming write", "streaming copy"], lines)


def headline(rows):
    peers = any(is_peer(r) for r in rows)
    lines = []
    for problem in problems(rows):
        row = best(rows, problem, accept=is_own)
        if row is None:
            why = next(r["check"] for r in rows if r["problem"] == problem)
            lines.append([problem, (f'<span class="skip wrap">{esc(why)}</span>',)] + ["–"] * (9 if peers else 6))
            continue
        lines.append([problem, label(row), number(row["median_ms"]), number(row.get("images_per_s")), number(row["gflops"]), percent(row["pct_fma_peak"]),
                      percent(row["pct_roofline"]) + (f" ({row['bound']})" if row.get("bound") else ""), number(row.get("times_copy"), 3)])
        if peers:
            peer = best(rows, problem, accept=is_peer)
            lines[-1] += [label(peer), number(peer["median_ms"]), f"{peer['median_ms'] / row['median_ms']:.2f}"] if peer else ["–"] * 3
    head = ["problem", "Sepal's fastest kernel", "median ms", "images/s", "GFLOP/s", "% FMA peak", "% roofline (bound)", "× plain copy"]
    return table(head + (["fastest peer", "its median ms", "peer / Sepal"] if peers else []), lines, (0, 1, 8))


def network_section(totals):
    if not isinstance(totals, list) or not totals:
        return ""
    lines = [[f"{t['choice']} kernel of each problem", t["cache"], number(t["ms"]), number(t["gflops"]), percent(t["pct_fma_peak"]), percent(t["pct_roofline"]), t["layers"]] for t in totals]
    missing = totals[0].get("missing")
    return ("<h2>The network</h2>" + table(["each problem as often as it occurs", "cache", "ms", "GFLOP/s", "% FMA peak", "% roofline", "convolutions"], lines, (0, 1)) +
            (f"<p class=muted>Not in the total, since no kernel was timed: {esc(', '.join(missing))}.</p>" if missing else ""))


def published_section(rows):
    lines = []
    sources = []
    for problem in problems(rows):
        figures = next((r["published"] for r in rows if r["problem"] == problem and isinstance(r.get("published"), list)), [])
        if not figures:
            continue
        lines.append(problem)
        row = best(rows, problem, accept=is_own)
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
    head = ["cache", "median ms", "min ms", "spread %", "problems/s", "GFLOP/s", "GB/s", "% FMA peak", "% own ISA's", "% roofline", "bound", "× copy", "speed-up", "check"]
    lines = []
    for problem in problems(rows):
        group = [r for r in rows if r["problem"] == problem]
        lines.append(f"{problem}: {group[0].get('key', '')}")
        for i, r in enumerate(group):
            if i == 0 or (r["provider"], r["variant"]) != (group[i - 1]["provider"], group[i - 1]["variant"]):
                names = [r["variant"]] if len(r.get("kernels") or []) < 2 else [r["variant"] + ":"] + r["kernels"]
                latency = f", latency {number(1e3 * r['latency_ms'], 3)} µs" if r.get("latency_ms") else ""
                note = latency + ("" if r.get("in_graph") is not False or not latency else ", not in a graph")
                note += f", compiled in process in {number(r['compile_seconds'], 2)} s" if r.get("compile_seconds") else ""
                if not is_peer(r) and r.get("winograd"):
                    note += f", by Winograd's algorithm, relative error {r['relative_error'] or 0:.1e}"
                if r.get("filter_layout") and r["packed_bytes"] is not None:
                    note += f"; filter as <code>{esc(r['filter_layout'])}</code>: {number(r['packed_bytes'] / 1e6, 3)} MB, packed in {number(r['pack_ms'], 3)} ms"
                if is_peer(r):
                    details = [r[key] for key in ("peer_version", "peer_configuration") if r.get(key)]
                    if r.get("winograd"):
                        details.append("Winograd allowed" + (f", relative error {r['relative_error']:.1e}" if r.get("relative_error") else ""))
                    lines.append((f"<strong>{esc(r['provider'])}</strong> " + esc("; ".join(details)),))
                else:
                    lines.append((" ".join(f"<code>{esc(n)}</code>" for n in names) + note,))
            css = {"passed": "ok", "failed": "bad"}.get(r["check"], "skip")
            verdict = r["check"] + (f": {r['check_message']}" if r.get("check_message") else "")
            if not timed(r) and r["cache"] == "cold":
                continue  # the warm line has told why
            lines.append([r["cache"], number(r["median_ms"]), number(r["min_ms"]), percent(r["spread_pct"]), number(r.get("problems_per_s")), number(r["gflops"]), number(r["gbps"]),
                          percent(r["pct_fma_peak"]), percent(r.get("pct_isa_peak")), percent(r["pct_roofline"]), r.get("bound") or "–", number(r.get("times_copy"), 3),
                          number(r.get("speedup"), 3), (f'<span class="{css} wrap">{esc(verdict)}</span>',)])
    return table(head, lines, (0, 13))


def page(data, tuning=((), ())):
    machine, rows = data["machine"], data["results"]
    for r in rows:
        for key in NUMBERS:
            r.setdefault(key, None)
    threads = rows[0]["threads"]
    warm = [r for r in rows if r["cache"] == "warm" and timed(r)]
    checks = [r["check"] for r in rows if r["cache"] == "warm"]
    counted = f"{sum(c == 'passed' for c in checks)} kernels passed their check and were timed, {sum(c == 'failed' for c in checks)} failed, {sum(c.startswith('skipped') for c in checks)} were skipped"
    gpu = machine.get("gpu") if isinstance(machine.get("gpu"), dict) else None
    where = esc(gpu.get("name", "")) if gpu else f"{esc(machine.get('cpu', ''))} · {threads} thread{'s' if threads != 1 else ''}"
    conventions = data.get("conventions", {})
    title = data.get("title") or rows[0]["suite"]
    out = [f"<h1>{esc(title)}</h1>", f"<p>{esc(data.get('description', ''))}</p>" if data.get("description") else "",
           f"<p class=muted>{esc(data.get('date', ''))} · {where} · {counted}.</p>",
           f"<p>Made by <code>{esc(data['command'])}</code></p>" if data.get("command") else "",
           verdict(rows), "<h2>The fastest kernel for each problem</h2>", headline(rows),
           "<p class=muted>Warm caches. 100 % of the roofline means: as fast as this machine's measured peaks allow for this arithmetic and this compulsory traffic; "
           "the bound says which of the two roofs it is, arithmetic (fma) or a level of memory.</p>",
           network_section(data.get("network")), "<h2>The machine</h2>", machine_section(machine)]
    beside = peers_plot(rows)
    if beside:
        out.insert(out.index("<h2>The machine</h2>"), "<h2>Sepal against each library</h2>" + figure(beside, "Every library's median time over that of Sepal's fastest kernel for the "
                   "same problem, on the same cores, in turns, each in its own best configuration with filters packed beforehand; the fastest has a dark rim, squares may compute "
                   "by Winograd's method."))
    roof = roofline_plot(machine, rows, threads)
    if roof:
        out += ["<h2>Roofline</h2>", figure(roof, "A point is a kernel: filled with warm caches, hollow with cold ones; a × is another library. The further up, the faster; nothing should lie above the horizontal line "
                "(arithmetic) or above the slanted line of the memory its data come from. The lines are measured, not data-sheet figures.")]
    if warm:
        with_roof, with_peak = [r for r in warm if r["pct_roofline"] is not None], [r for r in warm if r["pct_fma_peak"] is not None]
        out += ["<h2>Share of the machine's peaks</h2>" if with_peak or with_roof else "",
                figure(bars(with_peak, lambda r: r["pct_fma_peak"], f"% of the measured {'peak of its arithmetic' if gpu else 'FMA peak'}, warm", 100, 100) if with_peak else "",
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
    out += [tuning_section(*tuning), published_section(rows), "<h2>All results</h2>", all_rows(rows), "<h2>How to read and repeat this</h2><dl>",
            f"<dt>FLOPs</dt><dd>{esc(conventions.get('flops', 'not stated by the results file'))}</dd>", f"<dt>Bytes</dt><dd>{esc(conventions.get('bytes', 'not stated by the results file'))}</dd>",
            "<dt>warm, cold</dt><dd>" + ("Warm: runs in a row, replayed from a CUDA graph where that can be. Cold: one run after L2 was overwritten, with what the device takes from its event before "
                                         "the run to the one behind it. By the device's clock; on OpenCL by the host's." if gpu else
                                         "Warm: the run before was the same kernel's. Cold: tensors and filters were evicted from all caches before each run.") + "</dd>",
            "<dt>median, spread</dt><dd>Of samples taken in turns with all other kernels of the problem, in one process; the spread is the interquartile range in percent of the median.</dd>",
            "<dt>% FMA peak</dt><dd>" + ("Of the device's measured peak: of f32 problems that of FMAs in f32, of f16 ones that of the tensor cores." if gpu else
                                         "Of the peak of the best ISA with as many threads, probed between the samples of the same run.") + "</dd>",
            "<dt>% roofline</dt><dd>Attainable time / median. Attainable is the longer of FLOPs at the FMA peak and compulsory bytes at the highest measured bandwidth of the memory that holds them: "
            "the smallest cache that does when warm, DRAM when cold.</dd>",
            "<dt>latency</dt><dd>Of one run, from the call until the host knows that it is done.</dd>" if gpu else
            "<dt>× copy</dt><dd>Median / time of a plain copy that moves the problem's compulsory bytes (half read, half written), in the same cache state and run.</dd>",
            "<dt>speed-up</dt><dd>Over the first timed kernel of the problem in the same cache state.</dd>",
            "<dt>other libraries</dt><dd>Each runs in a process of its own, suspended outside its turn; its time is taken there around runs on the same memory, after a warm-up, and "
            "includes the call from Python. Warm caches only. A library that may use Winograd's method is compared within a tolerance and its largest relative error is told; all "
            "others must equal the reference." "</dd>" if any(is_peer(r) for r in rows) else "",
            "<dt>check</dt><dd>Every kernel's output was compared with a double-precision reference before it was timed.</dd></dl>"]
    commands = list(dict.fromkeys(r["reproduce"] for r in rows if isinstance(r.get("reproduce"), str) and r["reproduce"]))
    if commands:
        out += [f"<details><summary>The {len(commands)} commands that measure each line again</summary><ul>"] + [f"<li><code>{esc(c)}</code></li>" for c in commands] + ["</ul></details>"]
    return whole(title, out)


def whole(title, sections):
    return f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{esc(title)}</title><style>{STYLE}</style></head><body>' + "\n".join(sections) + "</body></html>\n"


def main(arguments):
    if len(arguments) < 2:
        raise BadInput(f"usage: report.py RESULTS.json OUT.html [TUNING.jsonl ...]; {len(arguments)} arguments were given")
    data = load(arguments[0])
    try:
        tuning = read_tuning(arguments[2:])
    except OSError as e:
        raise BadInput(f"{e.filename}: cannot be read: {e.strerror}")
    try:
        import matplotlib
    except ImportError:
        raise BadInput("this Python has no matplotlib; it is among the packages of requirements.txt")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sepal", "font.family": "sans-serif", "font.size": 10, "axes.edgecolor": "#888"})
    if "static_reports" in data:
        return write_file(arguments[1], whole(data.get("title") or "Static GPU report", static_sections(data, esc, table)))
    write_file(arguments[1], page(data, tuning))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as e:
        print(f"report.py: {e}", file=sys.stderr)
        sys.exit(2)
