"""SQL stands in the store modules of the package that owns the schema, and in infra/db. infra/decisions/0007."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT, parsed, python_files, shown, texts

SQL = re.compile(
    r"\b(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s|(CREATE|ALTER|DROP)\s+"
    r"(TABLE|SCHEMA|ROLE|DATABASE|INDEX|TYPE|FUNCTION|POLICY|UNIQUE)\b|GRANT\s+\w+\s+ON\s|LOCK\s+TABLE\s|SET\s+LOCAL\s|"
    r"pg_notify\s*\()"
)
SCHEMAS = ("infra", "accounts", "scheduler", "pricing", "metering", "portal")


def _may_hold_sql(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return "store" in parts or parts[-1] == "store.py" or parts[:2] == ("infra", "db")


def test_sql_stands_in_stores_only() -> None:
    elsewhere = [
        f"{shown(path)}:{text.lineno}: {str(text.value)[:60]!r}"
        for path in python_files(*PACKAGES, "client")
        if not _may_hold_sql(path)
        for text in texts(parsed(path))
        if SQL.search(str(text.value))
    ]
    assert elsewhere == []


# Written by one package, read where a figure needs the fact: an audit that shares nothing must read everything.
WRITES = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)\.\w+")


@pytest.mark.parametrize("package", SCHEMAS)
def test_a_package_writes_only_its_own_schema(package: str) -> None:
    foreign = [
        f"{shown(path)}:{text.lineno}: {written}"
        for path in python_files(package)
        if _may_hold_sql(path)
        for text in texts(parsed(path))
        for written in WRITES.findall(str(text.value))
        if written in SCHEMAS and written != package
    ]
    assert foreign == []


@pytest.mark.parametrize(
    "text", ["SELECT 1", "INSERT INTO a.b VALUES (1)", "UPDATE a.b SET c = 1", "DELETE FROM a.b", "SET LOCAL ROLE x"]
)
def test_the_rule_sees_what_it_is_made_for(text: str) -> None:
    assert SQL.search(text)


@pytest.mark.parametrize("text", ["Select an offering", "UPDATE", "please update it", "created from a table"])
def test_the_rule_leaves_sentences_alone(text: str) -> None:
    assert not SQL.search(text)
