"""A tiny state dict with the names and shapes of JiT's released definition, seeded, with its fixed positions."""

import math

import numpy as np
import torch

SIZE, PATCH, HIDDEN, DEPTH, HEADS, BOTTLENECK, CLASSES, CONTEXT, START = 16, 4, 32, 3, 2, 6, 3, 2, 1
INNER = 85  # of the SwiGLU: two thirds of 4 * 32


def jit_shapes():
    """Names and shapes as the released definition has them at these sizes."""
    shapes = {
        "pos_embed": (1, (SIZE // PATCH) ** 2, HIDDEN),
        "in_context_posemb": (1, CONTEXT, HIDDEN),
        "t_embedder.mlp.0.weight": (HIDDEN, 256),
        "t_embedder.mlp.0.bias": (HIDDEN,),
        "t_embedder.mlp.2.weight": (HIDDEN, HIDDEN),
        "t_embedder.mlp.2.bias": (HIDDEN,),
        "y_embedder.embedding_table.weight": (CLASSES + 1, HIDDEN),
        "x_embedder.proj1.weight": (BOTTLENECK, 3, PATCH, PATCH),
        "x_embedder.proj2.weight": (HIDDEN, BOTTLENECK, 1, 1),
        "x_embedder.proj2.bias": (HIDDEN,),
        "final_layer.norm_final.weight": (HIDDEN,),
        "final_layer.linear.weight": (3 * PATCH**2, HIDDEN),
        "final_layer.linear.bias": (3 * PATCH**2,),
        "final_layer.adaLN_modulation.1.weight": (2 * HIDDEN, HIDDEN),
        "final_layer.adaLN_modulation.1.bias": (2 * HIDDEN,),
    }
    for i in range(DEPTH):
        shapes |= {
            f"blocks.{i}.norm1.weight": (HIDDEN,),
            f"blocks.{i}.attn.q_norm.weight": (HIDDEN // HEADS,),
            f"blocks.{i}.attn.k_norm.weight": (HIDDEN // HEADS,),
            f"blocks.{i}.attn.qkv.weight": (3 * HIDDEN, HIDDEN),
            f"blocks.{i}.attn.qkv.bias": (3 * HIDDEN,),
            f"blocks.{i}.attn.proj.weight": (HIDDEN, HIDDEN),
            f"blocks.{i}.attn.proj.bias": (HIDDEN,),
            f"blocks.{i}.norm2.weight": (HIDDEN,),
            f"blocks.{i}.mlp.w12.weight": (2 * INNER, HIDDEN),
            f"blocks.{i}.mlp.w12.bias": (2 * INNER,),
            f"blocks.{i}.mlp.w3.weight": (HIDDEN, INNER),
            f"blocks.{i}.mlp.w3.bias": (HIDDEN,),
            f"blocks.{i}.adaLN_modulation.1.weight": (6 * HIDDEN, HIDDEN),
            f"blocks.{i}.adaLN_modulation.1.bias": (6 * HIDDEN,),
        }
    return shapes


def position_table():
    """Sines and cosines of the column, then of the row, number by number."""
    side, quarter = SIZE // PATCH, HIDDEN // 4
    rows = []
    for row in range(side):
        for column in range(side):
            values = []
            for place in (column, row):
                angles = [place / 10000 ** (i / quarter) for i in range(quarter)]
                values += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            rows.append(values)
    return torch.tensor(rows, dtype=torch.float32)[None]


def jit_state():
    """The same numbers on every machine: those of numpy's PCG64, in the order of the names."""
    draw, state = np.random.default_rng(0), {}
    for name, shape in sorted(jit_shapes().items()):
        values = draw.standard_normal(shape) * (0.5 if len(shape) < 2 else shape[-1] ** -0.5)
        state[name] = torch.from_numpy(values + ("norm" in name)).float()
    return state | {"pos_embed": position_table()}


def jit_inputs():
    """Images, noise, t of JiT and classes."""
    draw = np.random.default_rng(1)
    images, noise = (torch.from_numpy(draw.standard_normal((4, 3, SIZE, SIZE))).float() for _ in range(2))
    return images, noise, torch.tensor([0.05, 0.4, 0.75, 0.97]), torch.arange(4)
