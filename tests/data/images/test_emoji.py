"""The command that builds the emoji, on packages of two drawings, and the part of them that is embedded."""

import importlib.util
import io
import json
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from hf_kexue.data.images import CaptionColumns, load_images

FOLDER = Path(__file__).resolve().parents[3] / "training" / "data" / "emoji"
if not (FOLDER / "build_emoji.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

SQUARE = '<path fill="#ff0000" d="M0 0h20v10H0z"/>'


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_emoji", FOLDER / "build_emoji.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def modules(tmp_path, build):
    """Packages with an emoji, one by an alias, a part of others, and one without a drawing."""

    def write(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    for style in build.STYLES.values():
        folder = tmp_path / "@iconify-json" / style.package
        icons = {
            "icons": {"apple": {"body": SQUARE, "width": 20, "height": 10}},
            "aliases": {"pear": {"parent": "apple"}},
        }
        write(folder / "icons.json", icons)
        names = {"1f34e": "apple", "1f350-fe0f": "pear", "1f3fb": "apple", "1f9ff": "missing"}
        write(folder / "chars.json", names)
    rows = [("1F34E", "red apple", "苹果", 0), ("1F350", "pear", "梨", 0), ("1F3FB", "skin", "肤色", 2)]
    for language, place in (("en", 1), ("zh", 2)):
        table = [{"hexcode": row[0], "label": row[place], "tags": ["fruit"], "group": row[3]} for row in rows]
        write(tmp_path / "emojibase-data" / language / "data.json", table)
    write(tmp_path / "emojibase-data" / "en" / "messages.json", {"groups": [{"order": 0, "message": "food"}]})
    return tmp_path


def test_drawings_and_words_are_joined_by_code_points(build, modules):
    words = build.read_words(modules)
    assert words.keys() == {"1F34E", "1F350"}
    assert (words["1F34E"]["name_zh"], words["1F350"]["group"]) == ("苹果", "food")
    found = dict(build.drawings(modules, build.STYLES["noto"], set(words)))
    assert found.keys() == {"1F34E", "1F350"}
    assert 'viewBox="0 0 20 10"' in found["1F350"]


def test_a_set_is_rendered_and_scaled_from_parquet(build, modules, tmp_path):
    pytest.importorskip("resvg_py", reason="the extra hf-kexue[emoji] is not installed")
    build.main(["--modules", str(modules), "--size", "32", "--output", str(tmp_path / "large")])
    build.main(["--parquet", str(tmp_path / "large"), "--size", "16", "--output", str(tmp_path / "small")])
    for name, size in (("large", 32), ("small", 16)):
        source = load_images(str(tmp_path / name), captions=CaptionColumns(("name_en",), "style"))
        image = Image.open(io.BytesIO(source.rows[0]["image"]["bytes"]))
        assert image.size == (size, size)
        assert image.getpixel((size // 2, size // 2))[0] > 200
        assert min(image.getpixel((size // 2, 1))) > 230  # padded above


def test_splits_are_those_of_the_hashes(build):
    """Numbers that the embedded files hold were decided by the same function."""
    import pyarrow.parquet as pq

    shares = {"train": 0, "unseen_pair": 0, "unseen_emoji": 0}
    for number in range(4000):
        shares[build.split_of(f"{number:X}", "noto")] += 1
    assert shares["unseen_emoji"] == pytest.approx(120, abs=45)
    assert shares["unseen_pair"] == pytest.approx(155, abs=50)
    for split in shares:
        for row in pq.read_table(FOLDER / "data" / f"{split}-00000-of-00001.parquet").to_pylist():
            assert build.split_of(row["hexcode"], row["style"]) == split


def test_what_is_embedded_is_small_permissive_and_worded():
    sizes = [path.stat().st_size for path in (FOLDER / "data").iterdir()]
    assert sum(sizes) < 1.5e6
    source = load_images(str(FOLDER), captions=CaptionColumns(("name_en", "name_zh", "tags_en", "tags_zh"), "style"))
    assert set(source.rows["style"]) == {"noto", "blob", "fluent 3d", "fluent flat"}
    assert Image.open(io.BytesIO(source.rows[0]["image"]["bytes"])).size == (64, 64)
    assert all(len(source.captions.all_of(row)) == 4 for row in source.rows.remove_columns("image"))
