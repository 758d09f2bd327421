"""The benchmark of the distilled model: means over seeds, and network calls of an image counted at the network."""

import pytest

from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel

benchmark = pytest.importorskip("distillation", reason="benchmarks/ belongs to the repository, not to the package")


def row(seed, distance, share, model="student", steps=4):
    return {"model": model, "steps": steps, "seed": seed, "calls_per_image": 4, "kid_efflite0": distance,
            "recognised": share}  # fmt: skip


def test_means_have_their_standard_error():
    rows = [row(0, 0.04, 0.7), row(1, 0.06, None), row(2, 0.08, 0.8), row(0, 0.5, None, "gan", 1)]
    student, gan = benchmark.summary(rows, [{"row": "gan:1", "images_per_second": 9.0}])
    assert student["kid_efflite0"] == pytest.approx(0.06)
    assert student["kid_efflite0_standard_error"] == pytest.approx(0.02 / 3**0.5, abs=1e-4)
    assert student["recognised"] == pytest.approx(0.75)
    assert (student["seeds"], student["images_per_second"]) == (3, None)
    assert (gan["kid_efflite0_standard_error"], gan["recognised"], gan["images_per_second"]) == (None, None, 9.0)


def unet(**options):
    return SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=16, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=2, **options,
    )  # fmt: skip


@pytest.mark.parametrize("weaker", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("embedded", [False, True])
def test_calls_are_those_that_networks_have(weaker, scale, embedded):
    if embedded and weaker is not None:
        return
    guide = None if weaker is None else unet()
    pipeline = SimpleDiffusionPipeline(
        unet(guidance_embedding=embedded), ShiftedCosineScheduler(sample_size=16), guidance_unet=guide,
        guidance_scale=scale, guidance_unet_share=1.0 if weaker is None else weaker,
    )  # fmt: skip
    images = []
    for network in (pipeline.unet, guide):
        if network is not None:
            network.register_forward_pre_hook(lambda _, given: images.append(len(given[0])))
    pipeline(class_labels=[0, 1, 1], num_inference_steps=2, output_type="pt")
    assert sum(images) == 3 * benchmark.calls_per_image(pipeline, "student", 2)
