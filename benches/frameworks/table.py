"""Prints what `run.sh` measured as a Markdown table: table.py RESULTS

Each line of RESULTS: SYSTEM THREADS ..., with `ms/step=` and `test_objective=` somewhere in it. A ratio is the time
of a system by the time of `sae`: above 1, `sae` is faster.
"""

import re
import statistics
import sys

NAMES = {
    "sae": ("sae", ""),
    "jax": ("JAX", ", one jitted step, donated buffers"),
    "torch-compile": ("PyTorch", ", torch.compile, fused Adam"),
    "torch-eager": ("PyTorch", ", eager, foreach Adam"),
    "tensorflow-xla": ("TensorFlow", ", XLA"),
    "tensorflow-graph": ("TensorFlow", ", graph"),
}

times, objectives, versions, counts = {}, {}, {}, []
for line in open(sys.argv[1]):
    system, threads, rest = line.strip().split(" ", 2)
    threads = int(threads)
    if threads not in counts:
        counts.append(threads)
    times.setdefault((system, threads), []).append(float(re.search(r"ms/step=(\S+)", rest)[1]))
    if found := re.search(r"test_objective=(\S+)", rest):
        objectives.setdefault(system, []).append(float(found[1]))
    if system != "sae":
        versions[system] = " ".join(rest.split(" ", 2)[:2])

medians = {key: statistics.median(values) for key, values in times.items()}
header = ["system"]
for threads in counts:
    header += [f"ms, {threads} thread{'s' if threads > 1 else ''}", "/ sae"]
print("| " + " | ".join(header + ["test objective"]) + " |")
print("| --- |" + " --- |" * len(header))
measured = any(system == "sae" for system, _ in medians)
for system, (framework, how) in NAMES.items():
    if system == "sae" and not measured:
        continue
    row = [versions.get(system, framework) + how]
    for threads in counts:
        ms, sae = medians.get((system, threads)), medians.get(("sae", threads))
        row.append(f"{ms:.3f}" if ms else "failed")
        row.append(f"{ms / sae:.2f}" if ms and sae else "-")
    row.append(f"{statistics.median(objectives[system]):.6f}" if system in objectives else "-")
    print("| " + " | ".join(row) + " |")
if not measured:
    print("\n`sae` was not measured: examples/step_time is missing, does not build or failed.")
