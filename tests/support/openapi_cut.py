"""A check of values against our cut of an API's description: types, allowed words, what is required."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

_KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}


class Cut:
    """One description; see `tests/fixtures/oqtopus/user_api.json` for its form."""

    def __init__(self, path: Path) -> None:
        self._told = json.loads(path.read_bytes())

    def check_answer(self, call: str, status: int, body: Any) -> None:
        """AssertionError: the real server would never answer so."""
        known = self._told["answers"][call]
        assert str(status) in known, f"{call} never answers {status}"
        self._check(known[str(status)], body, call)

    def check_request(self, call: str, body: Any) -> None:
        """AssertionError: the real server would not take it."""
        self._check(self._told["requests"][call], body, call)

    def check_file(self, name: str, content: Any) -> None:
        """AssertionError: such a file is never made like this."""
        self._check(self._told["files"][name], content, name)

    def _check(self, told: str | Mapping[str, Any], value: Any, where: str) -> None:
        schema: Mapping[str, Any] = self._told["schemas"][told] if isinstance(told, str) else told
        kind = schema["type"]
        assert isinstance(value, _KINDS[kind]), (where, value)
        assert not isinstance(value, bool), (where, value)
        assert value in schema.get("enum", [value]), (where, value)
        if kind in {"integer", "number"}:
            assert schema.get("minimum", value) <= value <= schema.get("maximum", value), (where, value)
        if schema.get("format") == "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None, (where, value)
        if kind == "array":
            for item in value:
                self._check(schema["items"], item, f"{where}[]")
        if kind == "object":
            self._check_object(schema, value, where)

    def _check_object(self, schema: Mapping[str, Any], value: Mapping[str, Any], where: str) -> None:
        assert set(schema.get("required", [])) <= set(value), (where, value)
        properties = schema.get("properties", {})
        assert not (schema.get("only") and set(value) - set(properties)), (where, set(value) - set(properties))
        for name, told in value.items():
            if name in properties:
                self._check(properties[name], told, f"{where}.{name}")
