"""Inputs by the thousand, drawn by hypothesis: `make fuzz` with EXAMPLES for each test and SEED.

What fails is kept in `outputs/fuzz` and tried first the next time. Without FUZZ_EXAMPLES a test draws 20 inputs.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

KEPT = Path(__file__).resolve().parents[2] / "outputs" / "fuzz"
FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20")),
    database=DirectoryBasedExampleDatabase(KEPT),
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

SPECIAL = "\u200b\ufeff\x00\r\n\u2028\u3000\u200d\ufe0f\x85\ud800ΣﬁİßÅ㈱½𠮷👨👩"
TEXTS = st.text(
    st.one_of(
        st.sampled_from("居里夫妇发现了镭。镭是谁发现的？《》“”（），；、-.·1234567890年月日 aA\n\t"),
        st.sampled_from(SPECIAL),
        st.characters(),
    ),
    max_size=60,
)
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(), st.floats())
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def check_reason(error: Exception) -> None:
    """An error has to say something."""
    assert str(error).strip(), repr(error)


def changed(value: object, draw: object) -> object:
    """A JSON value, one piece of which is another value, missing, or there twice."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: item for name, item in value.items() if name != key}
        return rest if draw(st.integers(0, 3)) == 0 else {**value, key: changed(value[key], draw)}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        if draw(st.integers(0, 3)) == 0:
            return [*value, value[place]]
        return [*value[:place], changed(value[place], draw), *value[place + 1 :]]
    return draw(JSON)
