"""What a bench reports, and one that really runs."""

import json
import os
import subprocess
import sys

import pytest

from project.embedded import BASE_DIR
from tests import processes
from tests.bench import judge, registry, report
from tests.bench.judge import Case

CONTRACT = {"name", "ours", "baseline", "ratio", "target", "holds", "spread", "machine"}


def case(**given):
    return Case(**{"name": "a case", "unit": "deliveries/s", "target": 0.9} | given)


def manage(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def bench(*arguments):
    return manage("bench", *arguments)


def test_the_ratio_is_the_median_of_the_ratios_of_each_round_and_not_the_ratio_of_the_medians():
    found = case(ours=[100.0, 300.0, 200.0], baseline=[100.0, 150.0, 400.0])

    assert found.judged == [1.0, 2.0, 0.5]
    assert found.value == 1.0
    assert found.spread == (0.5, 2.0)


@pytest.mark.parametrize(
    ("ours", "at_most", "holds"),
    [(90.0, False, True), (89.9, False, False), (90.0, True, True), (90.1, True, False)],
)
def test_a_target_holds_from_its_bound_on(ours, at_most, holds):
    assert case(ours=[ours], baseline=[100.0], at_most=at_most).holds is holds


def test_a_target_without_a_baseline_is_a_number_and_its_spread_that_of_the_figures():
    found = case(ours=[20.0, 30.0, 24.0], baseline=None, target=25, at_most=True)

    assert found.holds
    assert found.summary()["ratio"] is None
    assert found.summary()["ours"] == 24.0
    assert found.summary()["spread"] == [20.0, 30.0]


def test_rounds_that_are_missing_on_one_side_are_no_measurement():
    with pytest.raises(ValueError, match="2 rounds of ours, 1 of the baseline"):
        case(ours=[1.0, 2.0], baseline=[1.0])
    with pytest.raises(ValueError, match="nothing was measured"):
        case(ours=[], baseline=[])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_a_value_that_was_measured(share, value):
    assert judge.quantile(list(range(100, 0, -1)), share) == value


def test_a_bench_holds_only_if_all_its_cases_hold():
    good, bad = case(ours=[95.0], baseline=[100.0]), case(ours=[50.0], baseline=[100.0])

    assert judge.summary("both", [good, good], "a machine")["holds"] is True
    found = judge.summary("both", [good, bad], "a machine", receiver="nginx")
    assert found["holds"] is False
    assert [each["holds"] for each in found["cases"]] == [True, False]
    assert (found["name"], found["ratio"], found["receiver"]) == ("both", 0.95, "nginx")
    assert found.keys() >= CONTRACT
    assert json.loads(json.dumps(found)) == found


def test_the_table_names_the_case_that_misses_its_target():
    good, bad = case(ours=[95.0], baseline=[100.0]), case(ours=[50.0], baseline=[100.0], name="slow one")

    shown = report.table(judge.summary("both", [good, bad], "a machine")).splitlines()

    [missed] = [line for line in shown if "MISSED" in line]
    assert missed.startswith("slow one (deliveries/s)")
    assert shown[-1] == "Not every target holds."


def test_every_bench_has_its_module():
    for name, entry in registry.BENCHES.items():
        assert (BASE_DIR / "tests" / "bench" / f"{entry.module}.py").exists(), name


def test_an_unknown_name_lists_the_known_ones():
    found = bench("deliverr")

    assert found.returncode == 2
    assert found.stdout == ""
    assert "There is no bench 'deliverr'" in found.stderr
    assert all(f"\n  {name} " in found.stderr for name in registry.BENCHES)


def test_a_bench_ends_with_one_line_of_json_and_shows_its_progress_elsewhere():
    found = bench("publish", "--quick", "--json", "--rounds", "1")

    assert found.returncode == 0, found.stderr
    summary = json.loads(found.stdout.splitlines()[-1])
    assert summary.keys() >= CONTRACT
    assert summary["name"] == "publish"
    assert summary["ours"] > 0
    assert summary["baseline"] > 0
    assert summary["cases"][1]["ours"] == 1, "publish() is one statement"
    assert "[2/2]  publish, round 1 of 1" in found.stderr


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["documented", "tuned"])
def test_the_naive_baseline_may_start(kind):
    settings = {"DJANGO_SETTINGS_MODULE": "tests.bench.naive_settings", "BENCH_NAIVE": kind}
    checked = manage("check", **processes.environment() | settings)

    assert checked.returncode == 0, checked.stderr
