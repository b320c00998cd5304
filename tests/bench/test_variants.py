"""What ``--selectors`` takes."""

from __future__ import annotations

import pytest

from lmms_videominer.bench.variants import Variant, config_of, parse_variant, parse_variants
from lmms_videominer.errors import ConfigError


@pytest.mark.parametrize(
    ("spec", "variant"),
    [
        ("aks", Variant("aks", "aks")),
        ("videominer:clustering=none", Variant("videominer:clustering=none", "videominer", (("clustering", "none"),))),
        (
            "none3=videominer:policy=none,events=8",
            Variant("none3", "videominer", (("policy", "none"), ("events", "8"))),
        ),
        ("weak=videominer:policy=C:/a=b", Variant("weak", "videominer", (("policy", "C:/a=b"),))),
    ],
)
def test_a_spec_is_a_selector_with_a_label_and_settings_where_given(spec, variant):
    assert parse_variant(spec) == variant


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("videominr", "did you mean 'videominer'"),
        ("a=videominr:events=8", "did you mean 'videominer'"),
        ("videominer:events", "'events' is not NAME=VALUE"),
        ("videominer:", "is not NAME=VALUE"),
        ("videominer:frames=8", "use --frames"),
        ("videominer:cache_dir=x", "use --cold"),
        ("videominer:selector=aks", "before the colon"),
    ],
)
def test_another_form_is_refused(spec, told):
    with pytest.raises(ConfigError, match=told):
        parse_variant(spec)


def test_two_variants_with_one_label_are_refused():
    with pytest.raises(ConfigError, match="two variants are labelled 'aks'"):
        parse_variants(["aks", "aks=bolt"])


def test_a_variants_own_settings_come_before_those_of_all():
    config = config_of(parse_variant("videominer:events=8"), {"events": "4", "max_depth": "2"}, 16)
    assert (config.selector, config.events, config.max_depth, config.frames) == ("videominer", 8, 2, 16)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("v=videominer:evnts=8", "did you mean 'events'"),
        ("v=videominer:events=many", "expected int"),
        ("v=videominer:events=1", "at least 2"),
        ("v=llovi:policy=none", "judge=policy"),
    ],
)
def test_settings_that_cannot_be_name_the_variant(spec, told):
    with pytest.raises(ConfigError, match=rf"^v, 8 frames: .*{told}"):
        config_of(parse_variant(spec), {}, 8)
