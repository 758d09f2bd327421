"""Pictures from folders, parquet files and streams, with all that goes wrong in real collections of photographs."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature

from hf_kexue.data.images import (
    BrokenImages,
    ImageDataset,
    ImageSource,
    StreamedImageDataset,
    collate_images,
    image_loader,
    image_to_pixels,
    image_to_tensor,
    load_images,
)

CLASSES = ["boots", "hat"]


def picture(value: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Left half of one colour, right half of another, so that a flip shows; the value names the picture."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = (value, 0, 255)
    pixels[:, size[0] // 2 :] = (value, 255, 0)
    return Image.fromarray(pixels)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def value_of(pixels: torch.Tensor) -> int:
    return round((float(pixels[0, 0, 0]) + 1) * 127.5)


def is_flipped(pixels: torch.Tensor) -> bool:
    return bool(pixels[1, 0, 0] > 0)


def table_source(records: list[dict], label_column: str | None = None):
    """An `ImageSource` over rows in memory."""
    features = {"image": ImageFeature(decode=False)}
    if label_column:
        features[label_column] = ClassLabel(names=CLASSES)
    rows = Dataset.from_list(records, features=Features(features))
    return ImageSource(rows, "image", label_column, CLASSES if label_column else [])


@pytest.fixture
def numbered():
    """Forty pictures whose red channel is their number."""
    return table_source([{"image": {"bytes": png(picture(n)), "path": f"{n}.png"}} for n in range(40)])


@pytest.fixture
def class_folders(tmp_path):
    """Two splits of class folders, three pictures a class; the value tells class and number."""
    root = tmp_path / "photographs"
    for split in ("train", "validation"):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for n in range(3):
                picture(100 * label + n).save(folder / f"{n}.png")
    return root


def write_parquet(file, values, *, labels=True, columns=("image",), broken=()):
    """A parquet file as the Hub writes it: picture bytes, class labels, and the features in the metadata."""
    records = {
        column: [
            {"bytes": b"no picture" if v in broken else png(picture(v)), "path": f"photo-{v}.png"} for v in values
        ]
        for column in columns
    }
    features = {column: ImageFeature() for column in columns}
    if labels:
        records["label"] = [v % 2 for v in values]
        features["label"] = ClassLabel(names=CLASSES)
    features["caption"], records["caption"] = Value("string"), [f"photograph {v}" for v in values]
    dataset = Dataset.from_dict(records, features=Features(features))
    table = pa.Table.from_batches(dataset.with_format("arrow")[:].to_batches())
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(dataset.features.arrow_schema.metadata), file)


# ---- one picture


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("L", (60, 60, 60)),
        ("LA", (60, 60, 60)),
        ("1", (255, 255, 255)),
        ("P", (200, 30, 90)),
        ("RGBA", (200, 30, 90)),
        ("CMYK", (200, 30, 90)),
    ],
)
def test_every_mode_becomes_rgb(mode, expected):
    colour = (200, 30, 90) if mode in ("P", "RGBA", "CMYK") else (60, 60, 60)
    image = Image.new("RGB", (8, 8), colour if mode != "1" else (255, 255, 255)).convert(mode)
    pixels = image_to_tensor(image, 8)
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == torch.float32
    # A palette of 256 colours may miss the colour by a few levels.
    tolerance = 30 / 127.5 if mode == "P" else 1e-6
    torch.testing.assert_close(pixels[:, 4, 4], torch.tensor(expected) / 127.5 - 1, atol=tolerance, rtol=0)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
@pytest.mark.parametrize(("background", "ground"), [("white", (255, 255, 255)), ("#204060", (0x20, 0x40, 0x60))])
def test_transparent_pictures_are_laid_over_a_ground(mode, background, ground):
    """An opaque square on a transparent ground, with rubbish below it."""
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 4)).astype(np.uint8)
    pixels[..., 3] = 0
    pixels[4:12, 4:12] = (60, 60, 60, 255)
    image = Image.fromarray(pixels)
    if mode in ("P", "RGB"):  # one palette entry or colour is the transparent one
        image = Image.new(mode, (16, 16), (255, 0, 0) if mode == "RGB" else 0)
        if mode == "P":
            image.putpalette([255, 0, 0, 60, 60, 60])
        image.paste(1 if mode == "P" else (60, 60, 60), (4, 4, 12, 12))
        buffer = io.BytesIO()
        image.save(buffer, "png", transparency=0 if mode == "P" else (255, 0, 0))
        image = Image.open(buffer)
    elif mode == "LA":
        image = image.convert("LA")
    found = image_to_pixels(image, 16, background)
    assert (found[:, 0, :] == torch.tensor(ground, dtype=torch.uint8)[:, None]).all()
    assert (found[:, 6, 6] == 60).all()


def test_a_half_transparent_pixel_is_the_mean():
    image = Image.new("RGBA", (8, 8), (200, 0, 100, 128))
    expected = torch.tensor([200, 0, 100]) * 128 / 255 + 255 * 127 / 255
    torch.testing.assert_close(image_to_pixels(image, 8)[:, 4, 4].double(), expected.double(), atol=1, rtol=0)


def test_a_wrong_background_is_refused_before_the_first_picture(class_folders):
    with pytest.raises(ValueError, match="octarine"):
        load_images(str(class_folders), background="octarine")


@pytest.mark.parametrize(("levels", "dtype"), [(4095, np.uint16), (65535, np.uint16), (1.0, np.float32)])
def test_grey_of_more_than_eight_bits_spans_black_to_white(levels, dtype):
    """12 bits in a 16-bit file, 16 bits, and floats up to 1: a ramp comes out as a ramp."""
    ramp = np.linspace(0, levels, 64).astype(dtype).reshape(8, 8)
    found = image_to_pixels(Image.fromarray(ramp), 8)[0].double()
    torch.testing.assert_close(found, torch.from_numpy(ramp.astype(np.float64) / levels * 255), atol=0.51, rtol=0)


@pytest.mark.parametrize("level", [0.25, 0.75])
def test_sixteen_bit_grey_keeps_its_levels(level):
    """Scientific and medical PNGs: 16 bits a pixel, so that 65535 is white, not everything above 255."""
    image = Image.open(io.BytesIO(png(Image.fromarray(np.full((8, 8), round(level * 65535), np.uint16)))))
    assert image.mode.startswith("I")
    pixels = image_to_tensor(image, 8)
    # One level of 255 is 2/255.
    torch.testing.assert_close(pixels, torch.full((3, 8, 8), 2 * level - 1), atol=2 / 255, rtol=0)


@pytest.mark.parametrize("size", [(30, 12), (12, 30), (9, 8), (8, 8), (5, 3), (1, 40)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_any_shape_becomes_a_square(size):
    pixels = image_to_tensor(Image.new("RGB", size, "white"), 8)
    torch.testing.assert_close(pixels, torch.ones(3, 8, 8))  # no black border, whatever the rounding


def test_the_centre_is_kept():
    stripes = np.zeros((8, 24, 3), np.uint8)
    stripes[:, 8:16] = 255
    torch.testing.assert_close(image_to_tensor(Image.fromarray(stripes), 8), torch.ones(3, 8, 8))


def test_range_and_layout():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = torch.from_numpy(pixels).permute(2, 0, 1).double() / 127.5 - 1
    torch.testing.assert_close(image_to_tensor(Image.fromarray(pixels), 8).double(), expected, atol=1e-6, rtol=0)
    assert float(image_to_tensor(Image.new("RGB", (8, 8)), 8).min()) == -1
    flipped = image_to_tensor(Image.fromarray(pixels), 8, flip=True)
    torch.testing.assert_close(flipped.double(), expected.flip(2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_stand_upright(orientation):
    """A telephone writes the sensor's rows and, in EXIF, how to turn them."""
    upright = Image.new("RGB", (8, 8), "black")
    upright.paste("white", (0, 0, 8, 2))  # sky
    turned = {1: None, 3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}[orientation]
    stored = upright.transpose(Image.Transpose[turned]) if turned else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "png", exif=exif)
    torch.testing.assert_close(image_to_tensor(Image.open(buffer), 8), image_to_tensor(upright, 8))


# ---- flips


def test_flips_depend_on_seed_epoch_and_index_alone(numbered):
    def flips(seed, epoch, order=range(40)):
        dataset = ImageDataset(numbered, 8, random_flip=True, seed=seed)
        dataset.set_epoch(epoch)
        found = {index: is_flipped(dataset[index]["pixel_values"]) for index in order}
        return [found[index] for index in range(40)]

    assert flips(0, 0) == flips(0, 0, order=reversed(range(40)))
    assert flips(0, 0) != flips(0, 1)
    assert flips(0, 0) != flips(1, 0)


def test_about_half_is_flipped(numbered):
    dataset = ImageDataset(numbered, 8, random_flip=True, seed=0)
    count = 0
    for epoch in range(10):
        dataset.set_epoch(epoch)
        count += sum(is_flipped(dataset[index]["pixel_values"]) for index in range(40))
    assert abs(count - 200) < 40  # four standard deviations of a fair coin thrown 400 times


def test_without_flips_the_picture_is_as_it_is(numbered):
    dataset = ImageDataset(numbered, 8)
    for index in (0, 7, 39):
        torch.testing.assert_close(dataset[index]["pixel_values"], image_to_tensor(picture(index), 8))


# ---- batches and broken pictures


def mixed_source(labels):
    valid, broken = png(picture(3)), png(picture(4))[:40]  # truncated
    records = [{"image": {"bytes": b, "path": f"{n}.png"}} for n, b in enumerate([valid, broken, valid, b""])]
    if labels:
        records = [record | {"label": 1} for record in records]
    return table_source(records, "label" if labels else None)


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "no labels"])
def test_a_broken_picture_is_named_and_left_out(labels):
    dataset = ImageDataset(mixed_source(labels), 8)
    batch = collate_images([dataset[index] for index in range(4)])
    assert batch["pixel_values"].shape == (2, 3, 8, 8)
    assert len(batch["broken"]) == 2
    assert batch["broken"][0].startswith("1.png")
    assert batch["broken"][1].startswith("3.png")
    assert ("class_labels" in batch) == labels
    if labels:
        torch.testing.assert_close(batch["class_labels"], torch.tensor([1, 1]))


@pytest.mark.parametrize("labels", [True, False], ids=["labels", "no labels"])
def test_a_batch_from_memory_is_the_batch_of_its_pictures(labels):
    source = mixed_source(labels)
    kept, fresh = (
        ImageDataset(source, 8, random_flip=True, seed=1, memory=size) for size in (4 * 3 * 64, 4 * 3 * 64 - 1)
    )
    assert fresh.decoded is None  # a byte too little
    for epoch in range(3):  # from the second on nothing is decoded
        for dataset in (kept, fresh):
            dataset.set_epoch(epoch)
        for indices in ([2, 0, 1], [3, 1], [0, 2, 2]):
            batch, expected = (collate_images(dataset.__getitems__(indices)) for dataset in (kept, fresh))
            assert batch.keys() == expected.keys()
            assert batch["broken"] == expected["broken"]
            for key in batch.keys() - {"broken"}:
                torch.testing.assert_close(batch[key], expected[key], rtol=0, atol=0)
        kept.decode.pixels = None  # no more decoding


def test_a_row_without_a_picture_is_named_by_its_number():
    dataset = ImageDataset(table_source([{"image": {"bytes": png(picture(1)), "path": None}}, {"image": None}]), 8)
    assert "pixel_values" in dataset[0]
    assert dataset[1]["broken"].startswith("row 1")


def test_a_batch_of_broken_pictures_is_empty():
    batch = collate_images([{"broken": "a.png"}, {"broken": "b.png"}])
    assert len(batch["pixel_values"]) == 0
    assert batch["broken"] == ["a.png", "b.png"]
    assert "class_labels" not in batch


def batch_of(valid, broken=()):
    return {"pixel_values": torch.zeros(valid, 3, 8, 8), "broken": list(broken)}


@pytest.mark.parametrize(("total", "allowed"), [(500, 5), (499, 4), (400, 4), (200, 3), (60, 3), (4, 3)])
def test_more_than_one_percent_of_the_data_stops(total, allowed):
    """But three broken pictures never do."""
    names = [f"{number}.png" for number in range(allowed + 1)]
    counter = BrokenImages(total=total)
    counter.update(batch_of(0, names[:allowed]))  # all that is allowed, however early they come
    counter.update(batch_of(total - allowed, names[:allowed]))  # and again
    with pytest.raises(RuntimeError, match=rf"{allowed + 1} of the {total} images.*{', '.join(names[:4])}"):
        counter.update(batch_of(0, names[allowed:]))


def test_three_broken_pictures_never_stop():
    counter = BrokenImages(total=20)
    for _ in range(200):
        counter.update(batch_of(17, ["a.png", "b.png", "c.png"]))
    with pytest.raises(RuntimeError, match="4 of the 20"):
        counter.update(batch_of(0, ["d.png"]))


@pytest.mark.parametrize(("share", "stops"), [(0.005, False), (0.01, False), (0.03, True), (1.0, True)])
def test_a_stream_stops_when_its_share_is_certainly_too_high(share, stops):
    """Whatever the order: at the limit none of fifty orders of 10,000 pictures stops, at three times it all do."""
    ended = 0
    for seed in range(50):
        broken = np.random.default_rng(seed).permutation(np.arange(10_000) < share * 10_000)
        counter = BrokenImages()
        try:
            for start in range(0, 10_000, 32):
                names = [f"{start + place}.png" for place in np.flatnonzero(broken[start : start + 32])]
                counter.update(batch_of(len(broken[start : start + 32]) - len(names), names))
        except RuntimeError:
            ended += 1
    assert ended == (50 if stops else 0)


@pytest.mark.parametrize("seen", [20, 100, 1000, 20_000])
def test_the_bound_on_a_stream_holds_against_the_exact_binomial_tail(seen):
    stats = pytest.importorskip("scipy.stats")

    def stops(failures):
        counter = BrokenImages()
        try:
            counter.update({"pixel_values": torch.empty(seen - failures, 1), "broken": ["x.png"] * failures})
        except RuntimeError:
            return True
        return False

    first = next(failures for failures in range(1, seen + 1) if stops(failures))
    assert stats.binom.sf(first - 1, seen, 0.01) < 1e-6
    # Chernoff's bound loses a factor, not orders of failures.
    assert stats.binom.sf(first - 1 - max(3, first // 5), seen, 0.01) > 1e-7


def test_a_picture_broken_in_every_epoch_is_one_broken_picture():
    counter = BrokenImages()
    for _ in range(5):
        counter.update(batch_of(199, ["a.png"]))
    assert counter.failures == 5
    assert counter.summary() == "1 broken image(s) skipped: a.png."


def test_summary_counts_all_and_names_twenty():
    counter = BrokenImages(total=10**6)
    assert counter.summary() == "All images could be decoded."
    counter.update(batch_of(0, [f"{n:03}.png" for n in range(50)]))
    assert counter.summary().startswith("50 broken image(s)")
    assert "019.png and 30 more" in counter.summary()
    assert "020.png" not in counter.summary()


# ---- where pictures come from


def test_class_folders_become_labels(class_folders, tmp_path):
    source = load_images(str(class_folders), label_column="auto", cache_dir=str(tmp_path / "cache"))
    assert source.label_names == CLASSES
    assert len(source.rows) == 6
    examples = [ImageDataset(source, 8)[index] for index in range(6)]
    assert sorted((e["class_labels"], value_of(e["pixel_values"])) for e in examples) == [
        (0, 0), (0, 1), (0, 2), (1, 100), (1, 101), (1, 102)
    ]  # fmt: skip


def test_labels_only_where_asked(class_folders, tmp_path):
    source = load_images(str(class_folders), split="validation", cache_dir=str(tmp_path / "cache"))
    assert (source.label_column, source.label_names) == (None, [])
    assert "class_labels" not in ImageDataset(source, 8)[0]


def test_a_folder_of_pictures_without_classes(tmp_path):
    (tmp_path / "flat").mkdir()
    for n in range(3):
        picture(n).save(tmp_path / "flat" / f"{n}.png")
    source = load_images(str(tmp_path / "flat"), label_column="auto", cache_dir=str(tmp_path / "cache"))
    assert source.label_names == []
    assert sorted(value_of(ImageDataset(source, 8)[n]["pixel_values"]) for n in range(3)) == [0, 1, 2]


@pytest.mark.parametrize("streaming", [False, True], ids=["random access", "stream"])
def test_parquet(tmp_path, streaming):
    write_parquet(tmp_path / "set" / "data" / "train-00000-of-00001.parquet", range(5), broken={3})
    write_parquet(tmp_path / "set" / "data" / "validation-00000-of-00001.parquet", range(50, 52))
    source = load_images(
        str(tmp_path / "set"), label_column="label", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert source.label_names == CLASSES
    examples = StreamedImageDataset(source, 8, shuffle_buffer=0) if streaming else ImageDataset(source, 8)
    batch = collate_images(list(examples) if streaming else [examples[n] for n in range(len(examples))])
    assert [value_of(pixels) for pixels in batch["pixel_values"]] == [0, 1, 2, 4]
    torch.testing.assert_close(batch["class_labels"], torch.tensor([0, 1, 0, 0]))
    assert len(batch["broken"]) == 1
    assert "photo-3.png" in batch["broken"][0]


def test_a_broken_file_of_a_folder_is_named(class_folders, tmp_path):
    (class_folders / "train" / "hat" / "1.png").write_bytes(b"this is no picture")
    source = load_images(str(class_folders), label_column="label", cache_dir=str(tmp_path / "cache"))
    loader = image_loader(source, 8, batch_size=6, train=False)
    (batch,) = loader
    assert len(batch["pixel_values"]) == 5
    (name,) = batch["broken"]
    assert re.search(r"hat.1\.png \(UnidentifiedImageError\)$", name)


# ---- errors


def test_a_missing_folder_raises(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        load_images(str(tmp_path / "nowhere"))


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, OSError), match=r"empty"):
        load_images(str(tmp_path / "empty"), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("streaming", [False, True], ids=["random access", "stream"])
def test_a_missing_split_names_the_splits(class_folders, tmp_path, streaming):
    with pytest.raises(ValueError, match=r"'test'.*\['train', 'validation'\]"):
        load_images(str(class_folders), split="test", streaming=streaming, cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        (("image",), {"image_column": "picture"}, r"image column .*\['caption', 'image', 'label'\]"),
        (("front", "back"), {}, r"images in \['front', 'back'\]"),
        (("image",), {"label_column": "kind"}, r"'kind' .*\['label'\].*\['caption'\]"),
        (("image",), {"label_column": "caption"}, r"'caption' .* 2 .* 2 rows"),
    ],
    ids=["unknown image column", "two image columns", "unknown label column", "text is no label"],
)
def test_wrong_columns_raise(tmp_path, columns, arguments, message):
    write_parquet(tmp_path / "set" / "train.parquet", range(2), columns=columns)
    with pytest.raises(ValueError, match=message):
        load_images(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"), **arguments)


def test_one_of_two_image_columns(tmp_path):
    write_parquet(tmp_path / "set" / "train.parquet", range(2), columns=("front", "back"))
    source = load_images(str(tmp_path / "set"), image_column="back", cache_dir=str(tmp_path / "cache"))
    assert value_of(ImageDataset(source, 8)[1]["pixel_values"]) == 1


# ---- streams


@pytest.fixture
def shards(tmp_path):
    """Twelve pictures in four files."""
    for shard in range(4):
        write_parquet(
            tmp_path / "set" / "data" / f"train-{shard:05}-of-00004.parquet", range(3 * shard, 3 * shard + 3)
        )
    return str(tmp_path / "set")


def test_a_stream_gives_the_same_examples(shards, tmp_path):
    options = {"label_column": "label", "cache_dir": str(tmp_path / "cache")}
    known = ImageDataset(load_images(shards, **options), 8)
    streamed = list(StreamedImageDataset(load_images(shards, streaming=True, **options), 8, shuffle_buffer=0))
    assert len(streamed) == len(known) == 12
    for index, example in enumerate(streamed):
        torch.testing.assert_close(example, known[index])


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [2, 3, 4], ids=lambda n: f"{n} processes")
def test_ranks_share_a_stream_without_overlap(shards, world_size):
    source = load_images(shards, streaming=True)
    parts = [
        [
            value_of(e["pixel_values"])
            for e in StreamedImageDataset(source, 8, shuffle_buffer=16, rank=r, world_size=world_size)
        ]
        for r in range(world_size)
    ]
    assert sorted(value for part in parts for value in part) == list(range(12))
    assert {len(part) for part in parts} == {12 // world_size}


@pytest.mark.slow  # datasets waits five seconds at the end of a stream
def test_a_stream_is_shuffled_anew_in_each_epoch(shards):
    def order(epoch, seed=0):
        stream = StreamedImageDataset(load_images(shards, streaming=True), 8, seed=seed, shuffle_buffer=16)
        stream.set_epoch(epoch)
        return [value_of(e["pixel_values"]) for e in stream]

    assert sorted(order(0)) == list(range(12))
    assert order(1) == order(1)
    assert len({tuple(order(0)), tuple(order(1)), tuple(order(0, seed=1))}) == 3


# ---- loaders


def test_a_training_loader_is_shuffled_by_its_own_generator(numbered):
    def epoch(seed):
        loader = image_loader(numbered, 8, batch_size=16, train=True, seed=seed)
        return [value_of(pixels) for batch in loader for pixels in batch["pixel_values"]]

    state = torch.random.get_rng_state()
    first, again, other = epoch(0), epoch(0), epoch(1)
    assert first == again != other
    assert len(first) == 32  # the short last batch is left out
    assert len(set(first)) == 32
    torch.testing.assert_close(torch.random.get_rng_state(), state)  # dropout masks do not depend on the loader


def test_a_stream_loader_leaves_the_global_generator_alone(shards):
    """Otherwise the extra loader of a resumed run would shift its dropout masks."""
    state = torch.random.get_rng_state()
    loader = image_loader(load_images(shards, streaming=True), 8, batch_size=4, train=True)
    assert sum(len(batch["pixel_values"]) for batch in loader) == 12
    torch.testing.assert_close(torch.random.get_rng_state(), state)


def test_a_validation_loader_keeps_order_and_rest(numbered):
    loader = image_loader(numbered, 8, batch_size=16, train=False)
    assert [value_of(pixels) for batch in loader for pixels in batch["pixel_values"]] == list(range(40))
    assert [len(batch["pixel_values"]) for batch in loader] == [16, 16, 8]


@pytest.mark.parametrize("memory", [2**20, 0])
def test_worker_processes_give_the_same_pictures(numbered, memory):
    """Of each epoch, whose number reaches workers that outlive the one before; what fits is decoded for all."""
    options = {"batch_size": 16, "train": False, "random_flip": True, "seed": 3, "memory": memory}
    alone, shared = (image_loader(numbered, 8, num_workers=number, **options) for number in (0, 2))
    for epoch in range(3):
        for loader in (alone, shared):
            loader.dataset.set_epoch(epoch)
        for first, second in zip(alone, shared, strict=True):
            torch.testing.assert_close(first["pixel_values"], second["pixel_values"], rtol=0, atol=0)
        if memory:
            known = [loader.dataset.decoded.known for loader in (alone, shared)]
            assert torch.equal(*known)
            assert known[0].all()
