"""The parts of report.py about other libraries beside Sepal, and about tuning sessions."""

import html
import json
import math
import statistics

from report_plots import PROBLEM_COLOURS, best, colour_of, number, problems, svg, tidy, timed


def is_peer(row):
    return row["provider"] != "sepal"


def is_own(row):
    return row["provider"] == "sepal"


def is_direct_peer(row):
    return is_peer(row) and not row.get("winograd")


def pairs(rows, accept=is_peer):
    """[(problem, Sepal's fastest kernel, the fastest peer of those accepted)], warm, of problems that have both."""
    found = [(p, best(rows, p, accept=is_own), best(rows, p, accept=accept)) for p in problems(rows)]
    return [pair for pair in found if pair[1] and pair[2]]


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def method(row):
    if not row.get("winograd"):
        return ""
    error = f", relative error {row['relative_error']:.1e}" if row.get("relative_error") else ""
    return f" (may compute by Winograd's method: fewer multiplications, larger rounding errors{error})"


def verdict(rows):
    """What a reader has to know first: where a peer wins; then where Sepal does. HTML; empty without peers."""
    if not any(is_peer(r) for r in rows):
        return ""
    both, direct = pairs(rows), pairs(rows, is_direct_peer)
    if not both:
        return "<h2>Beside other libraries</h2><p>No peer could be measured; the last section tells why.</p>"
    lost = [(p, own, peer) for p, own, peer in both if peer["median_ms"] < own["median_ms"]]
    lost += [(p, own, peer) for p, own, peer in direct if peer["median_ms"] < own["median_ms"] and (p, peer["provider"]) not in [(q, r["provider"]) for q, _, r in lost]]
    lost.sort(key=lambda item: item[2]["median_ms"] / item[1]["median_ms"])
    if lost:
        out = f"<h2>Where another library is faster</h2><p>On {len({p for p, _, _ in lost})} of {len(both)} problems:</p><ul>"
        for problem, own, peer in lost:
            out += (f"<li><strong>{html.escape(problem)}</strong>: {html.escape(peer['provider'])} takes {number(peer['median_ms'])} ms, Sepal's fastest kernel "
                    f"{number(own['median_ms'])} ms: {own['median_ms'] / peer['median_ms']:.2f} times as fast as Sepal{html.escape(method(peer))}.</li>")
        out += "</ul>"
    else:
        out = f"<h2>Beside other libraries</h2><p>On none of the {len(both)} problems is another library faster than Sepal's fastest kernel.</p>"
    won = [peer["median_ms"] / own["median_ms"] for _, own, peer in direct]
    if won:
        out += (f"<p>Against the fastest library that computes directly, Sepal's fastest kernel is {geometric_mean(won):.2f} times as fast on the geometric mean of "
                f"{len(won)} problems (least {min(won):.2f}, most {max(won):.2f}).</p>")
    return out


def peers_plot(rows):
    """Each peer's time over that of Sepal's fastest kernel, log scale."""
    import matplotlib.pyplot as plt
    shown = [(p, own, [r for r in rows if r["problem"] == p and r["cache"] == "warm" and is_peer(r) and timed(r)]) for p, own, _ in pairs(rows)]
    if not shown:
        return ""
    figure, axes = plt.subplots(figsize=(10, 0.34 * len(shown) + 1.6))
    ratios, seen = [], set()
    for i, (_, own, peers) in enumerate(shown):
        fastest = min(peers, key=lambda r: r["median_ms"])
        for row in peers:
            ratio = row["median_ms"] / own["median_ms"]
            ratios.append(ratio)
            axes.scatter(ratio, i, s=60 if row is fastest else 26, color=colour_of(row), marker="s" if row.get("winograd") else "o", zorder=3,
                         edgecolors="#222" if row is fastest else "none", label=row["provider"] if row["provider"] not in seen else None)
            seen.add(row["provider"])
    axes.axvline(1, color="#222", linewidth=1)
    axes.set_xscale("log", base=2)
    low, high = min([1] + ratios) / 1.15, max([1] + ratios) * 1.15
    ticks = [t for t in (0.125, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 8, 16, 32, 64, 128) if low <= t <= high]
    if high / low > 8:
        ticks = [t for t in ticks if math.log2(t).is_integer()]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(shown)), [s[0] for s in shown], fontsize=9)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("time of the peer / time of Sepal's fastest kernel, warm (left of 1: the peer is faster)")
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8.5)
    return svg(figure, "Plot: time of each peer over the time of Sepal's fastest kernel, by problem, on a log scale")


# ---- tuning sessions ----
def read_tuning(paths):
    """({label: [(trial, best ms so far)]}, complaints). Lines that are no record are named and left out. Raises OSError."""
    sessions, complaints = {}, []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as file:
            for count, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    problem, samples = record["problem"], [float(s) for s in record.get("samples_ms", [])]
                    shape = json.dumps({k: v for k, v in problem.items() if k != "name"}, sort_keys=True)
                    key = (shape, str(record.get("isa", "")), int(record.get("threads", 1)))
                    trial, ok = int(record["trial"]), record.get("verdict", "ok") == "ok" and samples
                except (ValueError, KeyError, TypeError, AttributeError) as e:
                    complaints.append(f"{path}:{count}: is no tuning record ({type(e).__name__}: {e})")
                    continue
                label = problem.get("name") or " ".join(str(problem.get(k, "")) for k in ("op", "h", "w", "c", "k"))
                entry = sessions.setdefault(key, (f"{label}, {key[1]}" + (f", {key[2]} threads" if key[2] != 1 else ""), []))
                if ok:
                    entry[1].append((trial, statistics.median(samples)))
    curves = {}
    for label, trials in sessions.values():
        least, points = math.inf, []
        for trial, ms in sorted(trials):
            least = min(least, ms)
            points.append((trial, least))
        if points:
            curves[label if label not in curves else f"{label} #{len(curves)}"] = points
    return curves, complaints


def tuning_plot(curves):
    """Best so far over the first trial's time, by trial."""
    import matplotlib.pyplot as plt
    if not curves:
        return ""
    figure, axes = plt.subplots(figsize=(10, 4.6))
    for i, (label, points) in enumerate(curves.items()):
        first = points[0][1]
        axes.step([t for t, _ in points], [ms / first for _, ms in points], where="post", color=PROBLEM_COLOURS[i % len(PROBLEM_COLOURS)],
                  linestyle=("-", "--", ":")[i // len(PROBLEM_COLOURS) % 3], label=f"{label}: {number(first)} to {number(points[-1][1])} ms")
    axes.axhline(1, color="#222", linewidth=1)
    axes.set(xlabel="trial", ylabel="best so far / first trial")
    tidy(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8.5)
    return svg(figure, "Plot: the best time found so far over the first trial's, by trial")


def tuning_section(curves, complaints):
    if not curves and not complaints:
        return ""
    out = "<h2>Tuning sessions</h2>"
    plot = tuning_plot(curves)
    if plot:
        out += (f"<figure>{plot}<figcaption>The least median time so far, in terms of the session's first trial (the hand schedule). "
                "Trials that failed count but do not lower it.</figcaption></figure>")
    if complaints:
        out += f"<p>{len(complaints)} lines were skipped:</p><ul>" + "".join(f"<li>{html.escape(c)}</li>" for c in complaints[:20]) + "</ul>"
    return out
