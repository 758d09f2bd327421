"""Import time of the package and of its dependencies, and startup time of the command line.

    python benchmarks/import_time.py

Every figure is the run time of a fresh process. The processes alternate, so that other load on the machine affects all
of them equally; the median over the rounds is reported. Writes benchmarks/results/import_time.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from results import write_results

DATA: dict[str, str] = {}  # needs none from outside the checkout
LIBRARIES = "import transformers, diffusers"
ALL_NAMES = f"{LIBRARIES}, hf_kexue\nfor name in hf_kexue.__all__: getattr(hf_kexue, name)"
PROCESSES = {
    "python": ["-c", ""],
    "libraries": ["-c", LIBRARIES],
    "libraries_and_package": ["-c", f"{LIBRARIES}, hf_kexue"],
    "libraries_and_all_public_names": ["-c", ALL_NAMES],
    "package": ["-c", "import hf_kexue"],
    "help": ["-m", "hf_kexue", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Run time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    for arguments in PROCESSES.values():  # the first time files come from the disk
        seconds(arguments)
    taken: dict[str, list[float]] = {name: [] for name in PROCESSES}
    for _ in range(args.rounds):
        for name, arguments in PROCESSES.items():
            taken[name].append(seconds(arguments))
    medians = {name: round(statistics.median(values), 3) for name, values in taken.items()}
    ratio = medians["libraries_and_package"] / medians["libraries"]
    print(medians, f"package over libraries: {ratio:.2f}")
    write_results(
        "import_time", {"rounds": args.rounds, "seconds": medians, "package_over_libraries": round(ratio, 2)}
    )


if __name__ == "__main__":
    main()
