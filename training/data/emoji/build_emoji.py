"""Render open sets of emoji at any size, with names and tags in English and Chinese, as parquet for training.

    pip install "hf-kexue[emoji]"
    python training/data/emoji/build_emoji.py --size 128 --output data/emoji-128

fetches the pinned packages with npm; `--modules FOLDER` takes a node_modules that has them. Where there is neither npm
nor a network, `--parquet FOLDER` scales a set that this script has made. The embedded part, beside this file, is

    python training/data/emoji/build_emoji.py --size 64 --share 0.13 --quality 70 \\
        --styles noto "fluent 3d" "fluent flat" blob --output training/data/emoji

Splits, decided by SHA-256 of the code points: `unseen_emoji` has 3 % of the emoji, in all styles; `unseen_pair` has
4 % of the pairs of emoji and style, and the emoji may be known in other styles; `train` has the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

WORDS = "emojibase-data@17.0.0"
SKIN_AND_HAIR = 2  # group of emojibase: parts of other emoji
UNSEEN_EMOJI, UNSEEN_PAIR = 0.03, 0.04
SPLITS = ("train", "unseen_pair", "unseen_emoji")
TEXTS, LISTS = ("style", "name_en", "name_zh", "group", "hexcode"), ("tags_en", "tags_zh")
COLUMNS = ("image", "style", "name_en", "name_zh", "tags_en", "tags_zh", "group", "hexcode")


class Style(NamedTuple):
    """A set of drawings: npm package, version, and the package that names its drawings by code points."""

    package: str
    version: str
    names: str

    @property
    def spec(self) -> str:
        return f"@iconify-json/{self.package}@{self.version}"


STYLES = {
    "noto": Style("noto", "1.2.9", "noto"),
    "fluent 3d": Style("fluent-emoji", "1.2.7", "fluent-emoji-flat"),
    "fluent flat": Style("fluent-emoji-flat", "1.2.6", "fluent-emoji-flat"),
    "openmoji": Style("openmoji", "1.2.29", "openmoji"),
    "twemoji": Style("twemoji", "1.2.5", "twemoji"),
    "blob": Style("noto-v1", "1.2.5", "noto"),
}


def place(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 1_000_000 / 1e6


def split_of(code: str, style: str) -> str:
    """The split of an emoji in a style."""
    if place(code) < UNSEEN_EMOJI:
        return "unseen_emoji"
    return "unseen_pair" if place(code + style) < UNSEEN_PAIR else "train"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def plain_code(code: str) -> str:
    """Code points in capitals, without the variation selector that asks for a coloured form."""
    return code.upper().replace("-FE0F", "")


def read_words(modules: Path) -> dict[str, dict[str, Any]]:
    """Names, tags and group of each emoji that both languages have, by code points."""
    folder = modules / "emojibase-data"
    languages = {
        language: {plain_code(row["hexcode"]): row for row in read_json(folder / language / "data.json")}
        for language in ("en", "zh")
    }
    groups = {group["order"]: group["message"] for group in read_json(folder / "en" / "messages.json")["groups"]}
    words: dict[str, dict[str, Any]] = {}
    for code in languages["en"].keys() & languages["zh"].keys():
        rows = {language: table[code] for language, table in languages.items()}
        if rows["en"].get("group", SKIN_AND_HAIR) == SKIN_AND_HAIR:
            continue
        words[code] = {"group": groups[rows["en"]["group"]], "hexcode": code}
        for language, row in rows.items():
            words[code] |= {f"name_{language}": row["label"], f"tags_{language}": row.get("tags", [])}
    return words


def drawings(modules: Path, style: Style, codes: set[str]) -> Iterator[tuple[str, str]]:
    """Code points and SVG of each drawing of a style, in the order of its table."""
    packages = modules / "@iconify-json"
    icons = read_json(packages / style.package / "icons.json")
    found: dict[str, str] = {}
    for code, name in read_json(packages / style.names / "chars.json").items():
        if plain_code(code) in codes:
            found.setdefault(plain_code(code), name)
    for code, name in found.items():
        while name not in icons["icons"] and name in icons.get("aliases", {}):
            name = icons["aliases"][name]["parent"]
        if name in icons["icons"]:
            icon = {"left": 0, "top": 0, "width": icons.get("width", 16), "height": icons.get("height", 16)}
            icon |= icons["icons"][name]
            box = " ".join(str(icon[key]) for key in ("left", "top", "width", "height"))
            yield (
                code,
                (
                    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="{box}">{icon["body"]}</svg>'
                ),
            )


def render(svg: str, size: int) -> Image.Image:
    """A square picture on white; a drawing that is not square stands in the middle."""
    import resvg_py

    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, background="#ffffff"))
    drawn = Image.open(io.BytesIO(png)).convert("RGB")
    picture = Image.new("RGB", (size, size), "white")
    picture.paste(drawn, ((size - drawn.width) // 2, (size - drawn.height) // 2))
    return picture


def encode(picture: Image.Image, quality: int) -> dict[str, Any]:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return {"bytes": buffer.getvalue(), "path": None}


def from_modules(modules: Path, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Split and row of every picture, rendered."""
    words = read_words(modules)
    for name in args.styles:
        for code, svg in drawings(modules, STYLES[name], set(words)):
            if place(f"{code} share") < args.share:
                row = {"image": encode(render(svg, args.size), args.quality), "style": name, **words[code]}
                yield split_of(code, name), row


def from_parquet(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same from a set that lies in parquet files of at least this size."""
    for split in SPLITS:
        for path in sorted(folder.glob(f"data/{split}-*.parquet")):
            for row in pq.read_table(path).to_pylist():
                if row["style"] in args.styles and place(f"{row['hexcode']} share") < args.share:
                    picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
                    picture = picture.resize((args.size, args.size), Image.Resampling.LANCZOS)
                    yield split, {**row, "image": encode(picture, args.quality)}


def install(folder: Path) -> Path:
    """The pinned packages by npm, without their scripts.

    Raises:
        SystemExit: where npm is missing or fails.
    """
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), WORDS]
    try:
        subprocess.run([*command, *(style.spec for style in STYLES.values())], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"npm could not fetch the packages ({error}): see --modules and --parquet.") from error
    return folder / "node_modules"


def write(rows: dict[str, list[dict[str, Any]]], output: Path) -> None:
    """One parquet file a split, readable by `datasets` as pictures."""
    text = {"dtype": "string", "_type": "Value"}
    types: dict[str, Any] = {"image": {"_type": "Image"}, **dict.fromkeys(TEXTS, text)}
    types |= {name: {"feature": text, "_type": "List"} for name in LISTS}
    features = {name: types[name] for name in COLUMNS}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = {"image": image, **dict.fromkeys(TEXTS, pa.string()), **dict.fromkeys(LISTS, pa.list_(pa.string()))}
    schema = pa.schema(
        [(name, fields[name]) for name in COLUMNS], {"huggingface": json.dumps({"info": {"features": features}})}
    )
    (output / "data").mkdir(parents=True, exist_ok=True)
    for split, part in rows.items():
        pq.write_table(pa.Table.from_pylist(part, schema), output / "data" / f"{split}-00000-of-00001.parquet")
        print(f"{split}: {len(part)} pictures")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="side in pixels")
    parser.add_argument("--output", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--modules", type=Path, help="a node_modules with the packages; default: fetched by npm")
    parser.add_argument("--parquet", type=Path, help="folder of a set made before, in place of the packages")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), choices=list(STYLES))
    parser.add_argument("--share", type=float, default=1.0, help="of the emoji, decided by their code points")
    parser.add_argument("--quality", type=int, default=92, help="of WebP, 1 to 100")
    args = parser.parse_args(argv)

    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    with tempfile.TemporaryDirectory() as beside:
        if args.parquet:
            found = from_parquet(args.parquet, args)
        else:
            found = from_modules(args.modules or install(Path(beside)), args)
        for split, row in found:
            rows[split].append(row)
    if not any(rows.values()):
        raise SystemExit("No picture was found: --parquet needs the folder above data/, --modules one of npm.")
    write(rows, args.output)


if __name__ == "__main__":
    main()
