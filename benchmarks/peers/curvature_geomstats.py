"""Scalar curvature by geomstats and by hf_kexue in turn, in the environment that peers_curvature.py makes.

The last line of output is JSON: for each metric, seconds and values of both. GEOMSTATS_BACKEND chooses what takes the
derivatives of geomstats.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import geomstats.backend as gs
import numpy as np
import torch
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.riemannian_metric import RiemannianMetric
from metrics_by_formula import METRICS
from timing import best_seconds

from hf_kexue.numerics import scalar_curvature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", required=True, help=".npz with an array (N, n) for each metric")
    parser.add_argument("--rounds", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name, points in np.load(args.points).items():
        entries, dimension = METRICS[name]

        class Metric(RiemannianMetric):
            def metric_matrix(self, base_point: Any = None, entries: Any = entries) -> Any:
                rows = entries([base_point[..., i] for i in range(base_point.shape[-1])], gs)
                return gs.stack([gs.stack(row, axis=-1) for row in rows], axis=-2)

        plane = Euclidean(dimension, equip=False)
        plane.equip_with_metric(Metric)
        x, given = torch.from_numpy(points), gs.array(points)

        def own(p: torch.Tensor, entries: Any = entries) -> torch.Tensor:
            return torch.stack([torch.stack(row) for row in entries(list(p), torch)])

        values: dict[str, Any] = {}

        def ours(x: Any = x, own: Any = own, values: Any = values) -> None:
            values["hf_kexue"] = scalar_curvature(own, x)

        def theirs(plane: Any = plane, given: Any = given, values: Any = values) -> None:
            values["geomstats"] = plane.metric.scalar_curvature(given)

        seconds = best_seconds({"hf_kexue": ours, "geomstats": theirs}, args.rounds)
        found[name] = {
            method: {"seconds": seconds[method], "values": np.asarray(values[method]).tolist()} for method in seconds
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
