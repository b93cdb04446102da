"""The page that report.py makes of the JSON of `sepal bench --device cuda:emulated`: what is calculated of GPU kernels, without times."""


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value):
    return "–" if value is None else f"{100 * value:.0f}"


def widths(mix):
    return "; ".join(f"{opcode} " + ", ".join(f"{count} × {bits}" for bits, count in sorted(by_bits.items(), key=lambda item: -int(item[0]))) for opcode, by_bits in mix["accesses_by_bits"].items())


def machine_code(kernels):
    lines = []
    for k in kernels:
        lines.append(k["kernel"])
        if not k["architectures"]:
            lines.append(["–", k["why_no_architectures"]] + ["–"] * 9)
        for a in k["architectures"]:
            hot, code = a["hot_loop"], a["code"]
            spills = "not known" if a["spill_store_bytes"] is None else f"{a['spill_store_bytes']} / {a['spill_load_bytes']}"
            lines.append([a["arch"], "" if hot else k["why_no_machine_code"] or "", a["registers"], spills, a["stack_bytes"], a["static_shared_bytes"] + k["dynamic_shared_bytes"],
                          percent(a["occupancy"]), a["limiter"], percent(hot and hot["math_share"]), percent(hot and hot["tensor_share"]), widths(code) if code else "–"])
    return ["arch", "", "registers", "spill bytes, stored / loaded", "stack bytes", "shared bytes", "occupancy, %", "limiter", "math in the hottest loop, %", "tensor, %", "accesses × bits"], lines


def counts_and_bounds(kernels):
    lines = []
    for k in kernels:
        lines.append(k["kernel"])
        c = k["counts"]
        if not c:
            continue
        loads, stores = c["global_loads"], c["global_stores"]
        for i, b in enumerate(k["bounds"]):
            lines.append([b["title"]] + [number(b["us"].get(part)) for part in ("dram", "l2", "lsu", "issue", "fma", "tensor")] + [f"{number(b[s]['us'])} {b[s]['bound']}" for s in ("cold", "warm")] +
                         ([number(loads["sectors_per_request"]), percent(loads["useful_share"]), number(stores["sectors_per_request"]), percent(stores["useful_share"]),
                           f"{number(c['shared_loads']['conflicts'])} / {number(c['shared_stores']['conflicts'])}",
                           "–" if not k["unfused_bytes"] else f"{k['fused_bytes'] / 1e6:.2f} / {k['unfused_bytes'] / 1e6:.2f}"] if i == 0 else [""] * 6))
    return ["lower bounds, us", "dram", "l2", "lsu", "issue", "fma", "tensor", "cold", "warm", "load: sectors a request", "used, %", "store: sectors a request", "used, %", "conflicts of loads / stores",
            "MB, fused / unfused"], lines


def static_sections(data, esc, table):
    """The page's sections; esc and table are those of report.py."""
    reports = data["static_reports"]
    kernels = [k for r in reports for k in r["kernels"]]
    complaints = [c for k in kernels for c in k["complaints"]]
    checks = [[r["variant"], r["problem"], r["check"] + (f": {r['check_message']}" if r["check_message"] else ""), r["emulated_problem"] if r["emulated_smaller"] else "the same"] for r in reports]
    passed = sum(r["check"] == "passed" for r in reports)
    return [f"<h1>{esc(data.get('title') or 'Static GPU report')}</h1>", f"<p>{esc(data.get('description', ''))}</p>" if data.get("description") else "",
            f"<p class=muted>{esc(data.get('date', ''))} · {passed} of {len(reports)} kernels passed their check in the emulator.</p>",
            f"<p>Made by <code>{esc(data['command'])}</code></p>" if data.get("command") else "",
            "<p><strong>Calculated, not measured on a GPU.</strong></p>",
            "<ul>" + "".join(f"<li class=bad>{esc(c)}</li>" for c in complaints) + "</ul>" if complaints else "<p>Nothing in what is known of the kernels is complained of.</p>",
            "<h2>Counts and lower bounds</h2>", table(*counts_and_bounds(kernels)), "<h2>Machine code</h2>", table(*machine_code(kernels), text_columns=(0, 1)),
            "<h2>Checks</h2>", table(["variant", "problem", "check", "what the emulator ran"], checks, text_columns=(0, 1, 2, 3)),
            f"<h2>How to read this</h2><pre>{esc(data.get('legend', ''))}</pre>"]
