"""What is put together without the library says what the library says."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils.safestring import mark_safe
from liquid import BoundTemplate

from notifications import liquid
from notifications.liquid_values import NotPlain, Values, plain

GIVEN = {
    "text": "Ada & <Bob> said “hi”",
    "number": 12,
    "amount": Decimal("19.90"),
    "yes": True,
    "nothing": None,
    "day": date(2026, 11, 23),
    "list": ["a", 1, None],
    "deep": {"er": {"est": "x", "list": [{"name": "y"}]}, "size": "own", "html": "<b>'\"</b>"},
    "claims": {"safe": mark_safe("<i>")},
    "pair": ("p", "q"),
    7: "seven",
}


@pytest.mark.parametrize("kind", ["text", "html"])
@pytest.mark.parametrize(
    "source",
    [
        "{{ text }} {{ number }} {{ amount }} {{ yes }} {{ day }}",
        "[{{ nothing }}{{ nobody }}{{ deep.nobody }}{{ deep.er.nobody.more }}{{ text.more }}{{ list.more }}]",
        "{{ list }} {{ pair }} {{ deep }} {{ deep.er.list }}",
        "{{ deep.er.est }} {{ deep['er']['est'] }} {{ deep.html }} {{ deep.er.list[0].name }}",
        "{{ text.size }} {{ list.size }} {{ deep.size }} {{ list.first }} {{ list.last }}",
        "{{ claims.safe }} {{ claims }} {{ 'quoted' }} {{ 7 }}",
        "{% assign text = 'mine' %}{{ text }} {{ text.size }}{% assign deep = list %}{{ deep }}{{ deep.er }}",
        "{% if yes %}{{ text }}{% else %}no{% endif %} {{ text | upcase }} {{ amount | times: 2 }}",
        "{% for each in list %}{{ each }}{% cycle 'a', 'b' %}{% endfor %}{{ each }}",
        "{% capture kept %}{{ text }}{% endcapture %}{{ kept }}",
        "a {{- text -}} b {% comment %}{{ x }}{% endcomment %}",
    ],
)
def test_a_template_says_what_the_library_makes_of_it(source: str, kind: liquid.Kind) -> None:
    by_library = BoundTemplate.render(liquid._compiled(source, kind), plain(GIVEN))

    assert liquid.render(source, GIVEN, kind=kind) == by_library


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("{{ text }}{% break %}", "unexpected 'break"),
        ("{{ long }}{{ long }}", "output stream limit"),
        ("{{ wide }}", "output stream limit"),
        ("{{ long }}{% for i in (1..2) %}{{ long }}{% endfor %}", "output stream limit"),
        ("{{ object }}", "cannot be shown"),
        ("{{ inside.object }}", "cannot be shown"),
        ("{{ object.more }}", "cannot be shown"),
        ("{{ endless.a }}", "nested too deeply"),
    ],
)
def test_what_the_library_refuses_is_refused(source: str, fault: str) -> None:
    endless: dict[str, object] = {}
    endless["a"] = endless
    given = {
        "long": "a" * 200_000,
        "wide": "ä" * 200_000,
        "text": "x",
        "object": object(),
        "inside": {"object": object()},
        "endless": endless,
    }

    with pytest.raises(liquid.TemplateFault, match=fault):
        liquid.render(source, given, kind="text")


def test_values_are_copied_once_for_all_templates_and_only_where_they_are_looked_at() -> None:
    values = Values({"a": {"b": [1]}, "bad": object()})

    assert values["a"] == {"b": [1]}
    assert values["a"] is values["a"]
    assert values.at(("a", "b")) == [1]
    with pytest.raises(NotPlain):
        values["bad"]
    assert liquid.render("{{ a.b }}", values, kind="text") == "1"


def test_a_template_that_cannot_be_read_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValidationError, match="never closed"):
        liquid.check("{{ text ")
