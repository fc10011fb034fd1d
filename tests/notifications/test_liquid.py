"""Administrators' templates: what they can do, and what they cannot be made to do."""

import threading
import time
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils.safestring import mark_safe

from notifications import liquid

CONTEXT = {
    "invoice": {
        "total": "1234.50",
        "tax": Decimal("19.90"),
        "currency": "EUR",
        "due_date": "2026-12-06",
        "posted_at": "2026-11-22T14:03:09Z",
        "numbers": ["A-1", "A-2"],
        "nothing": None,
    },
    "account": {"name": "<b>A & B</b>", "timezone": "Europe/Paris"},
    "long": "a" * 200_000,
}


def text(source: str) -> str:
    return liquid.render(source, CONTEXT, kind="text")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ invoice.tax }}", "19.90"),
        ("{{ invoice.total | money: invoice.currency }}", "1,234.50 EUR"),
        ("{{ 1000 | money: 'JPY' }}", "1,000 JPY"),
        ("{{ '19.905' | money: 'EUR' }}", "19.905 EUR"),
        ("{{ invoice.tax | times: 3 }}", "59.70"),
        ("{{ 0.1 | plus: 0.2 }}", "0.3"),
        ("{{ 7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }}", "3 3.5"),
        ("{{ 2.25 | round: 1 }} {{ 1234567.891 | number }} {{ 5 | number: 2 }}", "2.3 1,234,567.891 5.00"),
        ("{{ invoice.due_date | date: '%d %B %Y' }}", "06 December 2026"),
        ("{{ invoice.posted_at | date: '%H:%M', account.timezone }}", "15:03"),
        ("{{ 'soon' | date: '%Y' }}", "soon"),
        ("{{ invoice.numbers | join: ', ' }} {{ invoice.numbers | json }}", 'A-1, A-2 ["A-1","A-2"]'),
        ("{{ invoice.tax | json }}", "19.90"),
        ("{% for n in invoice.numbers %}{{ forloop.index }}{{ n }} {% endfor %}", "1A-1 2A-2 "),
    ],
)
def test_values_are_formatted_exactly(source: str, expected: str) -> None:
    assert text(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ invoice.nope }}{{ nobody.knows }}{{ invoice.nothing }}",
        "{{ invoice.nope | money: 'EUR' }}{{ invoice.nope | plus: 1 }}{{ invoice.nope | date: '%Y' }}",
        "{{ now }}{{ today }}",
    ],
)
def test_a_missing_value_is_empty(source: str) -> None:
    assert text(source) == ""


@pytest.mark.parametrize(
    "condition",
    [
        "invoice.total > 100",
        "invoice.total > '200.00'",
        "invoice.total == 1234.5",
        "invoice.tax == 19.9",
        "invoice.tax <= '100.00'",
        "invoice.due_date < '2026-12-31'",
        "invoice.nothing == nil",
    ],
)
def test_amounts_compare_as_numbers_even_where_they_arrive_as_text(condition: str) -> None:
    assert text(f"{{% if {condition} %}}yes{{% endif %}}") == "yes"


def test_html_escapes_every_value_and_text_none() -> None:
    assert text("{{ account.name }}") == "<b>A & B</b>"
    assert liquid.render("<p>{{ account.name }}", CONTEXT, kind="html") == "<p>&lt;b&gt;A &amp; B&lt;/b&gt;"


def test_a_value_that_claims_to_be_safe_is_escaped_all_the_same() -> None:
    assert liquid.render("{{ a }}", {"a": mark_safe("<b>")}, kind="html") == "&lt;b&gt;"


def test_objects_are_refused_whatever_they_hold() -> None:
    with pytest.raises(liquid.TemplateFault, match="Thread cannot be shown"):
        liquid.render("{{ a }}", {"a": threading.Thread()}, kind="text")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("{{ (1..30000000) | join }}", "beyond 5,000 items"),
        ("{% for i in (1..30000000) reversed %}{% endfor %}", "beyond 5,000 items"),
        ("{% if (1..30000000) contains 'a' %}{% endif %}", "beyond 5,000 items"),
        ("{{ long | replace: 'a', 'bbbbbbbbbbbbbbbbbbbb' }}", "beyond 262,144 characters"),
        ("{{ long | split: '' }}", "beyond 5,000 items"),
        ("{% assign a = long %}" + "{% assign a = a | append: a %}" * 9, "beyond 262,144 characters"),
        ("{% assign a = 99 %}" + "{% assign a = a | times: a %}" * 9, "not a number of at most 60 digits"),
        ("{{ long }}{{ long }}", "output stream limit"),
        ("{% for i in (1..5000) %}{% for j in (1..5000) %}{% endfor %}{% endfor %}", "loop iteration limit"),
        ("{{ account.name | safe }}", "unknown filter 'safe'"),
        ("{{ account.name | strip_html }}", "unknown filter"),
        ("{% include 'x' %}", "unexpected tag 'include'"),
        ("{% render 'x' %}", "unexpected tag 'render'"),
        ("{% raw %}{% endraw %}", "“raw” is not available"),
        ("{{ 'abc' | plus: 1 }}", "'abc' is not a number"),
        ("{{ 1 | divided_by: 0 }}", "division by zero"),
        ("{{ " * 30_000, "never closed"),
        ("{{" + " " * 60_000 + "}}", "no long blanks"),
        ("{{ a" * 30_000, "at most 100,000 characters"),
    ],
)
def test_what_would_take_long_or_grow_large_is_refused_at_once(source: str, fault: str) -> None:
    began = time.monotonic()
    with pytest.raises(liquid.TemplateFault, match=fault):
        text(source)
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    "body",
    ["{% if true %}{% endif %}" * 900, "{% assign u = l | uniq %}" * 50],
    ids=["nodes that read nothing", "slow filters"],
)
def test_a_render_ends_by_the_clock_in_any_thread(body: str) -> None:
    source = (
        "{% assign l = long | slice: 0, 4999 | split: '' %}{% for i in (1..5000) %}" + body + "{% endfor %}"
    )
    caught: list[Exception] = []

    def run() -> None:
        try:
            text(source)
        except liquid.TemplateFault as fault:
            caught.append(fault)

    began = time.monotonic()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "longer than 1 s" in str(caught[0])
    assert time.monotonic() - began < 4


def test_a_fault_names_its_line() -> None:
    with pytest.raises(liquid.TemplateFault) as caught:
        text("Dear customer,\n\n{{ invoice.total | plus: 'x' }}")
    assert (caught.value.line, str(caught.value)) == (3, "Line 3: 'x' is not a number of at most 60 digits")


def test_a_syntax_error_is_a_validation_error_with_its_line() -> None:
    with pytest.raises(ValidationError) as caught:
        liquid.check("Hello\n{% if %}{% endif %}")
    assert caught.value.messages == ["Line 2: missing expression"]


def test_names_are_the_tokens_without_the_templates_own_variables() -> None:
    source = (
        "{{ invoice.total | money: invoice.currency }}{% assign a = account.name %}{{ a }}"
        "{% for n in invoice.numbers %}{{ n }}{{ forloop.index }}{% endfor %}"
        "{% if contact.type == 'x' %}{{ totals.EUR.net }}{% endif %}"
    )
    assert liquid.names(source) == {
        "account.name",
        "contact.type",
        "invoice.currency",
        "invoice.numbers",
        "invoice.total",
        "totals.EUR.net",
    }


def test_a_path_made_at_run_time_counts_as_its_fixed_part() -> None:
    assert "contact" in liquid.names("{{ contact[account.name] }}")
    assert "contact" in liquid.names("{% assign c = contact %}{{ c.email }}")


def test_the_token_group_offset_is_no_keyword():
    source = (
        '{{ offset.days }} {% if offset.label == "offset.x" %}{{offset.time | upcase}}{% endif %} offset.days'
    )
    context = {"offset": {"days": 3, "label": "offset.x", "time": "9am"}}

    assert liquid.render(source, context, kind="text") == "3 9AM offset.days"
    assert liquid.names(source) == {"offset.days", "offset.label", "offset.time"}


def test_a_loop_may_still_start_at_an_offset():
    assert liquid.render("{% for i in (1..4) offset:2 %}{{ i }}{% endfor %}", {}, kind="text") == "34"
