"""Write sentences for rare predicates from templates, as further training data for triple extraction.

    python training/template_sentences.py --train DUIE2 DUIE1 --sentences 4000 --output outputs/templates.jsonl
    accelerate launch training/train_dgcnn_triples.py --train DUIE2 DUIE1 outputs/templates.jsonl ...

Most sentences put mentions of the training data, each of a type that the predicate takes, into a template: they
teach how a relation is worded, not facts. Capitals, languages, founders and mountains are facts. Both templates and
facts stand in data/triple-templates-zh.yaml. A ninth of the sentences only mention things together, without triples;
`--templates training/data/mention-templates-zh.yaml` has wordings of such sentences alone, with negations among them.

`--exclude` are sentences that the model will be measured on: no subject of theirs is used, and no sentence holds both
mentions of one of their triples or is worded as one of them is. `--exclude_names` are files of names, such as
data/plain-triples-zh/mentioned.yaml, none of which a sentence holds. The same arguments give the same sentences.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from template_fillers import Fillers

from hf_kexue.data.triples.clean import write_triples
from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples
from hf_kexue.training.interruption import script_main

DATA = Path(__file__).resolve().parent / "data"
PLAIN = DATA / "plain-triples-zh" / "test.jsonl"
TEMPLATES = DATA / "triple-templates-zh.yaml"
RARE = "官方语言"  # a kind of which there are a third as many sentences
ATTEMPTS = 200  # per sentence, before nothing is found to be left
SINGULAR = {"metres", "storeys"}  # slots that end in s without being several
SLOT = re.compile(r"\{([a-z]+?)(s?)(\d?)\}")
CHOICE = re.compile(r"\[([^\[\]]*)\]")
NAME = re.compile(r"[\u4e00-\u9fff]{2,4}|[\u4e00-\u9fff]{2,6}(·[\u4e00-\u9fff]{1,6}){1,2}")
LONGER = re.compile(r"[\u4e00-\u9fffA-Za-z0-9·（）：]{2,24}")
POOLS = {  # slot: types in the training data, form of a mention
    "person": (("人物", "娱乐人物", "历史人物"), NAME),
    "company": (("企业",), LONGER),
    "school": (("学校",), LONGER),
    "film": (("影视作品",), LONGER),
    "song": (("歌曲",), LONGER),
    "book": (("图书作品", "网络小说"), LONGER),
}


class Template(NamedTuple):
    """A wording: `{slot}`, `{slots}` for several with conjunctions, `[a|b]` for one of several words; and its triples
    as "slot predicate slot"; one of which a slot is not in the wording is left out."""

    text: str
    triples: tuple[str, ...] = ()


def read_templates(path: Path) -> dict[str, list[Template]]:
    """The part "templates" of a file, by kind of sentence.

    Raises:
        ValueError: for a file of another form, or one without wordings.
    """
    try:
        found = {
            kind: [
                Template(text, tuple(filter(None, group["triples"].split("; "))))
                for group in groups
                for text in group["texts"]
            ]
            for kind, groups in yaml.safe_load(path.read_text(encoding="utf-8"))["templates"].items()
        }
    except (AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(
            f"{path} must hold templates: kinds, of each a list of groups with triples and texts, as "
            f"{TEMPLATES.name} has them; {error!r}."
        ) from error
    if not found or not all(found.values()):
        raise ValueError(f"{path} must hold a wording for each kind of its templates.")
    return found


class Writer:
    """Draws sentences.

    Args:
        examples: training sentences, the mentions of which fill the slots.
        excluded: sentences to keep out, see the head of the file.
        seed: of all draws.
        templates: file with the wordings; facts and fillers are always those of triple-templates-zh.yaml.
        names: to keep out; titles with or without 《》.
    """

    def __init__(
        self,
        examples: Iterable[TripleExample],
        excluded: Sequence[TripleExample],
        seed: int,
        templates: Path = TEMPLATES,
        names: Iterable[str] = (),
    ) -> None:
        self.random = random.Random(seed)
        source = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))
        self.templates = read_templates(templates)
        self.fillers, self.names = Fillers(source), set(names)
        triples = [triple for example in excluded for triple in example.triples]
        self.pairs = {(triple.subject, triple.object) for triple in triples}
        self.wordings = {wording(example) for example in excluded}
        forbidden = {triple.subject for triple in triples} | {name.strip("《》") for name in self.names}
        self.types: dict[str, tuple[str, str]] = {}
        mentions: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for triple in (triple for example in examples for triple in example.triples):
            self.types.setdefault(triple.predicate, (triple.subject_type, triple.object_type))
            for mention, kind in ((triple.subject, triple.subject_type), (triple.object, triple.object_type)):
                mentions[kind][mention] = None
        self.pools = {
            slot: [
                mention
                for mention in dict.fromkeys(mention for kind in kinds for mention in mentions[kind])
                if form.fullmatch(mention) and mention not in forbidden
            ]
            for slot, (kinds, form) in POOLS.items()
        }
        self.pools["company"] += [name for name in self.fillers.words["company"] * 8 if name not in forbidden]
        self.pools["studio"] = [name for name in self.pools["company"] if re.search("影|视|文化|传媒|电|娱乐", name)]
        self.facts = {
            tuple(slots.split()): [row.split() for row in rows if forbidden.isdisjoint(row.split())]
            for slots, rows in source["facts"].items()
        }

    def sentence(self, kind: str) -> TripleExample:
        """A sentence of one kind of the file.

        Raises:
            ValueError: if no sentence without excluded pairs is found, or nothing fills a slot.
        """
        for _ in range(ATTEMPTS):
            example = self._fill(self.random.choice(self.templates[kind]))
            pair = any(subject in example.text and other in example.text for subject, other in self.pairs)
            named = any(name in example.text for name in self.names)
            if not pair and not named and wording(example) not in self.wordings:
                return example
        raise ValueError(f"No sentence of the kind {kind!r} is free of the pairs of --exclude and --exclude_names.")

    def _fill(self, template: Template) -> TripleExample:
        text = template.text
        while match := CHOICE.search(text):
            text = text[: match.start()] + self.random.choice(match[1].split("|")) + text[match.end() :]
        values: dict[str, list[str]] = {}
        for match in SLOT.finditer(text):
            slot, many, number = match.groups()
            if slot + many in SINGULAR:
                slot, many = slot + many, ""
            name = slot + many + number
            if name in values:
                continue
            for slots, rows in self.facts.items():
                if slot in slots:
                    values |= {other + number: [value] for other, value in zip(slots, self.random.choice(rows))}
            if name not in values:
                used = {value for some in values.values() for value in some}
                count = self.random.choice((2, 2, 2, 3, 4)) if many else 1
                values[name] = self._draw(slot, count, used)
        triples = []
        for line in template.triples:
            subject, predicate, other = line.split()
            for one in values.get(other, ()) if subject in values else ():
                triples.append(Triple(values[subject][0], predicate, one, *self.types.get(predicate, ("", ""))))
        quoted = self.random.random() < 0.9
        text = SLOT.sub(lambda match: self._joined(values[match[0][1:-1]], match[1], quoted), text)
        return TripleExample("", text, [t for t in triples if t.subject in text and t.object in text])

    def _draw(self, slot: str, count: int, used: set[str]) -> list[str]:
        found: list[str] = []
        for _ in range(ATTEMPTS):
            if slot not in self.pools:
                value = self.fillers.draw(slot, self.random)
            elif self.pools[slot]:
                value = self.random.choice(self.pools[slot])
            else:
                break
            if value not in used and value not in found:
                found.append(value)
            if len(found) == count:
                return found
        types = " or ".join(POOLS[slot][0]) if slot in POOLS else "企业"
        raise ValueError(
            f"--train has too few mentions of type {types} for the slot {slot!r}, those of --exclude aside: give more "
            "sentences, or --templates without it."
        )

    def _joined(self, values: Sequence[str], slot: str, quoted: bool) -> str:
        marks = "《{}》" if slot in ("film", "book", "song") and quoted else "{}"
        shown = [marks.format(value) for value in values]
        if len(shown) == 1:
            return shown[0]
        return "、".join(shown[:-1]) + self.random.choice("、和与和及") + shown[-1]


def wording(example: TripleExample) -> str:
    """A sentence with a mark in place of each of its mentions."""
    mentions = {mention for triple in example.triples for mention in (triple.subject, triple.object)}
    return re.sub("|".join(map(re.escape, sorted(mentions, key=len, reverse=True))) or "$^", "□", example.text)


def read_names(path: str | Path) -> list[str]:
    """The names of a file such as mentioned.yaml, of all kinds.

    Raises:
        ValueError: for a file of another form.
    """
    try:
        groups = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["names"]
        return [name for text in groups.values() for name in text.split()]
    except (AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} must hold names: kinds, of each the names, parted by spaces; {error!r}.") from error


def write_sentences(writer: Writer, sentences: int) -> list[TripleExample]:
    """So many different sentences, of all kinds alike.

    Raises:
        ValueError: if `--exclude` leaves nothing, or a kind has no more sentences.
    """
    found: dict[str, TripleExample] = {}
    kinds = [kind for kind in writer.templates if kind != RARE] * 3 + [RARE] * (RARE in writer.templates)
    repeats = 0
    while len(found) < sentences:
        kind = kinds[len(found) % len(kinds)]
        example = writer.sentence(kind)
        repeats = repeats + 1 if example.text in found else 0
        if repeats == ATTEMPTS:
            raise ValueError(
                f"The kind {kind!r} gives no new sentence after {len(found)} of all kinds: lower --sentences."
            )
        found[example.text] = example
    return list(found.values())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True, help="training sentences whose mentions are used")
    parser.add_argument("--exclude", nargs="*", default=[str(PLAIN)], help="sentences to be measured on")
    parser.add_argument("--exclude_names", nargs="*", default=[], help="YAML files with names that no sentence holds")
    parser.add_argument("--templates", type=Path, default=TEMPLATES, help="YAML file with the wordings")
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="file to write, JSON lines")
    args = parser.parse_args(argv)
    examples = [example for source in args.train for example in read_triples(source, "train")]
    excluded = [example for source in args.exclude for example in read_triples(source)]
    names = [name for path in args.exclude_names for name in read_names(path)]
    written = write_sentences(Writer(examples, excluded, args.seed, args.templates, names), args.sentences)
    write_triples(args.output, written)
    print(f"{len(written)} sentences with {sum(len(one.triples) for one in written)} triples in {args.output}")


if __name__ == "__main__":
    script_main(main)
