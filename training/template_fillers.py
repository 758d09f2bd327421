"""Fillers of `template_sentences` that are neither mentions of the training data nor facts: dates, places, quantities,
and the words of data/triple-templates-zh.yaml."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any


class Fillers:
    """Random fillers.

    Args:
        source: the parts "fillers" and "provinces" of the file.
    """

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.words = {slot: text.split() for slot, text in source["fillers"].items()}
        self.provinces = {name: text.split() for name, text in source["provinces"].items()}

    def draw(self, slot: str, generator: random.Random) -> str:
        """A filler of a slot.

        Raises:
            ValueError: for a slot of which nothing is known.
        """
        choice, number = generator.choice, generator.randint
        year = number(1850, 2021)
        match slot:
            case "year":
                return f"{year}年"
            case "month":
                return str(number(1, 12))
            case "storeys":
                return str(number(12, 90))
            case "date":
                month, day = number(1, 12), number(1, 28)
                full = f"{year}年{month}月{day}日"
                others = (f"{year}年{month:02}月{day:02}日", f"{year}-{month}-{day}", f"{year}.{month}.{day}")
                return choice((full,) * 5 + (f"{year}年{month}月", f"{year}年", *others))
            case "city" | "birthplace" | "place":
                return self._place(slot, generator)
            case "province":
                return choice(list(self.provinces)) + "省"
            case "county" | "mountain" | "site" | "called":
                return choice(self.words["base"]) + choice(self.words[slot])
            case "organisation":
                return choice((*self.words["base"], "中国", "华东", "国际")) + choice(self.words[slot])
            case "job" | "dynasty" | "styled":
                return choice(self.words[slot])
            case _:
                return self._quantity(slot, generator)

    def _place(self, slot: str, generator: random.Random) -> str:
        province = generator.choice(list(self.provinces))
        city = generator.choice(self.provinces[province])
        if slot == "city":
            return city
        district = generator.choice(self.words["district"])
        own = (province + city, f"{province}省{city}市", city, f"{city}市", f"{province}省{city}市{district}")
        elsewhere = (generator.choice(self.words["abroad"]), generator.choice(self.words["direct"]))
        return generator.choice((*own, *own, *elsewhere))

    def _quantity(self, slot: str, generator: random.Random) -> str:
        choice = generator.choice
        count = generator.randint(11, 9900)
        decimals = choice((0, 0, 1, 2))
        large = f"{count / 10**decimals:.{decimals}f}"
        match slot:
            case "height":
                return f"{generator.randint(120, 8200)}{choice(('', '', '.3', '.86', '.5'))}米"
            case "stature":
                size = generator.randint(150, 229)
                return choice((f"{size}厘米", f"{size}cm", f"{size / 100:.2f}米", f"{size}公分", f"{size} cm"))
            case "people":
                if decimals == 2:
                    return f"{large}万人"
                return large.partition(".")[0] + choice(self.words[slot])
            case "area" | "ground" | "money" | "capitalsum":
                return large + choice(self.words[slot])
            case _:
                raise ValueError(f"No filler is known for the slot {slot!r}.")
