"""The parts of `benchmarks/growth.py` that measure nothing."""

import pytest

growth = pytest.importorskip("growth", reason="benchmarks/ belongs to the repository, not to the package")


def test_an_exponent_is_that_of_a_power_law():
    rows = [
        {"what": "square", "size": size, "cpu_seconds": 3e-4 * size**2, "peak_mib": 7.0} for size in (10, 40, 1000)
    ]
    rows += [{"what": "flat", "size": size, "cpu_seconds_of_drawing": 0.2} for size in (64, 512)]
    rows += [{"what": "once", "size": 64, "cpu_seconds": 1.0}]
    assert growth.exponents(rows) == {"square": {"cpu_seconds": 2.0}, "flat": {"cpu_seconds_of_drawing": 0.0}}


@pytest.mark.parametrize("pixels", [64, 512])
def test_what_is_left_out_is_what_is_larger(pixels):
    every = growth.cases(512, 10**6)
    some = growth.cases(pixels, 10**4)
    limits = {case["what"]: pixels if "patch" in case else 10**4 for case in every}
    assert some == [case for case in every if case["size"] <= limits[case["what"]]]
    assert {case["patch"] for case in some if case["what"] == "patch of 2"} == {2}
    for case in some:
        if case["what"] == "patch grows":
            assert case["size"] == 32 * case["patch"]
