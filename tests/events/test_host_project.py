"""A host project follows its own models: in another Django project, another process and a database of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.processes import ROOT, environment

NAME = "host_project"


@pytest.fixture(scope="module")
def results(django_db_setup: None) -> Iterator[dict[str, Any]]:
    """What came of each case of `tests/host_project`."""
    settings = connection.settings_dict
    admin = psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"] or None,
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    )
    with admin:
        admin.execute(f"DROP DATABASE IF EXISTS {NAME}")
        admin.execute(f"CREATE DATABASE {NAME}")
        given = environment()
        url = given["DATABASE_URL"].rpartition("/")[0] + f"/{NAME}"
        done = subprocess.run(
            [sys.executable, "-m", "tests.host_project"],
            cwd=ROOT,
            env=given | {"DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout.splitlines()[-1])
        admin.execute(f"DROP DATABASE {NAME}")


CASES: dict[str, Any] = {
    "each_save_and_delete": {
        "changes": [
            ["create", [None, None], ["Example", "Active"]],
            ["update", ["Example", "Active"], ["Example", "Suspended"]],
            ["delete", ["Example", "Suspended"], [None, None]],
        ],
        "members": ["name", "status"],
    },
    "one_insert": ["UPDATE", "SAVEPOINT", "INSERT", "RELEASE"],
    "no_lock": ["update", ["draft"], ["posted"]],
    "a_rollback": 0,
    "a_broken_table": {"failures": 3, "notes": 1},
    "an_expression": [
        ["create", [None, None], [None, None]],
        ["create", [None, None], ["19.90", "19.90"]],
        ["update", ["19.90", "19.90"], ["19.90", "19.50"]],
        ["update", ["19.90", "19.50"], ["20.90", "20.10"]],
    ],
    "some_fields": [
        ["create", [None, None], ["Active", None]],
        ["create", [None, None], ["draft", "R1"]],
        ["update", ["draft", "R1"], ["posted", "R1"]],
        ["update", ["posted", "R1"], ["paid", "R1"]],
    ],
    "inheritance": [
        ["create", [None, None], [None, "Active"]],
        ["create", [None, None], ["R1", "draft"]],
        ["update", ["R1", "draft"], ["R1", "posted"]],
        ["create", [None, None], ["G1", "draft"]],
        ["delete", ["G1", "draft"], [None, None]],
    ],
    "bulk": {
        "silent": 0,
        "told": 3,
        "inserts": 1,
        "deleted": 2,
        "refusal": "shop.Note is not followed; call events.track('shop.Note', as_=…, fields=…) first.",
        "changes": [
            ["create", [None], ["Active"]],
            *[["create", [None], ["draft"]]] * 3,
            *[["update", ["draft"], ["posted"]]] * 3,
            *[["delete", ["posted"], [None]]] * 2,
        ],
    },
    "another_app": '{"amount":5.00,"booked":{"by":"accounting"}}',
    "parents": {"invoice": "R1", "account": "Example"},
    "untouched": [0, "BEGIN", "DELETE", "COMMIT"],
    "the_product_itself": [],
    "a_model_that_is_not_there": [
        [
            "events.track('ledger.Entri', as_='entry'): there is no such model, so none of its changes is seen.",
            "Did you mean 'ledger.Entry'?",
        ]
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_a_host_project_follows_its_models(results: dict[str, Any], case: str) -> None:
    assert results[case] == CASES[case]


def test_every_case_of_the_host_is_looked_at(results: dict[str, Any]) -> None:
    assert results.keys() == CASES.keys()
