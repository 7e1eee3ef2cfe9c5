"""Quantum programs as text: which language it is, and how much work a document of PUBs asks for.

A program is OpenQASM 2 or 3, or a JSON document ("kyoyo.pubs/1") whose circuits are OpenQASM text or base64 QPY:

    {"format": "kyoyo.pubs/1", "primitive": "sampler" | "estimator",
     "circuits": [{"format": "openqasm3" | "openqasm2", "text": "…"} | {"format": "qpy", "data": "<base64>"}],
     "pubs": [{"circuit": 0, "shots": 1024,
               "parameters": {"names": ["a"], "shape": [3], "values": [[0.1], [0.2], [0.3]]},
               "observables": {"shape": [2], "values": [{"ZZ": 1.0}, {"XI": 0.5}]}}],
     "options": {"optimization_level": 1, "seed": 7, "noise": true, "method": "automatic"}}

Of vendors that have it: "resilience_level", "dynamical_decoupling", "twirl_gates", "twirl_measure" (`pubs.Options`).
Nothing here parses a circuit: it is cheap, linear and safe for a server, and imports the standard library only. Pure.
"""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum
from typing import Any, Final

from hpc_adapters.pubs import (
    DECOUPLING,
    MAX_BINDINGS,
    MAX_CIRCUITS,
    MAX_DIMENSIONS,
    MAX_NAMES,
    MAX_PAULI,
    MAX_PUBS,
    MAX_SHOTS,
    MITIGATION,
    RESILIENCE,
    CircuitFormat,
    CircuitText,
    Document,
    Observables,
    Options,
    Parameters,
    Primitive,
    ProgramRefused,
    Pub,
    Work,
    bound,
    work_in,
)

__all__ = ["Format", "Primitive", "ProgramRefused", "Work", "document_of", "format_of", "work_of"]

DOCUMENT: Final = "kyoyo.pubs/1"
RESULT: Final = "kyoyo.result/1"

MAX_DOCUMENT_BYTES: Final = 2**20
MAX_TEXT_BYTES: Final = 256 * 1024
"""Of one circuit, as OpenQASM text or as base64 QPY."""
METHODS: Final = ("automatic", "statevector", "matrix_product_state", "stabilizer")

_SEED_BITS: Final = 31
_DIGITS: Final = 400  # of a number in a document; a float needs 25
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_PAULI: Final = re.compile(rf"[IXYZ]{{1,{MAX_PAULI}}}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_VERSION: Final = re.compile(r"OPENQASM[ \t\r\n]+(\d{1,9})(?:\.(\d{1,9}))?[ \t\r\n]*;")


class Format(StrEnum):
    """How a program is written."""

    OPENQASM2 = "openqasm2"
    OPENQASM3 = "openqasm3"
    PUBS = "pubs"
    """A document of PUBs."""


def format_of(program: bytes) -> Format:
    """By its first word. ProgramRefused('unknown-format'), and as `text_of`."""
    text = after_comments(text_of(program))
    if text.startswith("{"):
        return Format.PUBS
    header = _VERSION.match(text)
    if header is not None and header[1] == "3":
        return Format.OPENQASM3
    if header is not None and header[1] == "2":
        return Format.OPENQASM2
    raise ProgramRefused("unknown-format")


def text_of(program: bytes) -> str:
    """ProgramRefused('program-too-large' | 'not-utf-8' | 'control-characters')."""
    if len(program) > MAX_DOCUMENT_BYTES:
        raise ProgramRefused("program-too-large", bytes=len(program), max_bytes=MAX_DOCUMENT_BYTES)
    try:
        text = program.decode()
    except UnicodeDecodeError as error:
        raise ProgramRefused("not-utf-8", at_byte=error.start) from error
    if (odd := _CONTROL.search(text)) is not None:
        raise ProgramRefused("control-characters", at_character=odd.start())
    return text


def after_comments(text: str) -> str:
    """The text from its first word on. No regular expression: nested repetition would be slow on hostile input."""
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if text.startswith("//", at):
            end = text.find("\n", at)
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2) + 1
        else:
            return text[at:]
        if end <= 0:
            return ""
        at = end + 1


def work_of(program: bytes) -> Work:
    """What a document asks for. ProgramRefused."""
    return work_in(document_of(program))


# -- reading a document -----------------------------------------------------------------------------------------------


def document_of(program: bytes) -> Document:
    """Every key and every value is checked; an unknown key is refused, for it would be ignored. ProgramRefused."""
    told = _loaded(text_of(program))
    _known(told, "document", required={"format", "primitive", "circuits", "pubs"}, optional={"options"})
    if told["format"] != DOCUMENT or told["primitive"] not in list(Primitive):
        raise _malformed("document.format" if told["format"] != DOCUMENT else "document.primitive")
    primitive = Primitive(told["primitive"])
    circuits = [_circuit(each) for each in _listed(told["circuits"], "circuits", MAX_CIRCUITS, "too-many-circuits")]
    listed = _listed(told["pubs"], "pubs", MAX_PUBS, "too-many-pubs")
    pubs = [_pub(each, primitive, len(circuits)) for each in listed]
    options = _options(told.get("options", {}), primitive)
    bound(pubs, options)
    return Document(primitive=primitive, circuits=circuits, pubs=pubs, options=options)


def _loaded(text: str) -> Any:
    try:
        told = json.loads(text, object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_odd)
    except (ValueError, RecursionError) as error:
        raise ProgramRefused("malformed-document", at="json") from error
    return told


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key twice")
    return told


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("too long")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= _DIGITS else math.inf
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def _odd(name: str) -> float:
    raise ValueError(name)


def _malformed(at: str) -> ProgramRefused:
    return ProgramRefused("malformed-document", at=at)


def _known(told: Any, at: str, *, required: set[str], optional: set[str]) -> None:
    if not isinstance(told, dict) or required - told.keys():
        raise _malformed(at)
    if more := told.keys() - required - optional:
        raise ProgramRefused("malformed-document", at=at, unknown=ascii(min(more))[:40])


def _listed(told: Any, at: str, limit: int, code: str) -> list[Any]:
    if not isinstance(told, list) or not told:
        raise _malformed(at)
    if len(told) > limit:
        raise ProgramRefused(code, asked=len(told), limit=limit)
    return told


def _whole(told: Any, at: str, low: int, high: int) -> int:
    if type(told) is not int or not low <= told <= high:
        raise _malformed(at)
    return told


def _number(told: Any, at: str) -> float:
    if type(told) not in {int, float} or not abs(told) <= 1e300:  # noqa: PLR2004  a float holds it
        raise _malformed(at)
    return float(told)


def _circuit(told: Any) -> CircuitText:
    if not isinstance(told, dict) or told.get("format") not in list(CircuitFormat):
        raise _malformed("circuits.format")
    written = CircuitFormat(told["format"])
    key = "data" if written is CircuitFormat.QPY else "text"
    _known(told, "circuits", required={"format", key}, optional=set())
    text = told[key]
    if not isinstance(text, str):
        raise _malformed(f"circuits.{key}")
    if len(text) > MAX_TEXT_BYTES:
        raise ProgramRefused("program-too-large", bytes=len(text), max_bytes=MAX_TEXT_BYTES)
    if (odd := _CONTROL.search(text)) is not None:
        raise ProgramRefused("control-characters", at_character=odd.start())
    if written is CircuitFormat.QPY and (len(text) % 4 or _BASE64.fullmatch(text) is None):
        raise _malformed("circuits.data")
    return CircuitText(written, text)


def _pub(told: Any, primitive: Primitive, circuits: int) -> Pub:
    estimates = primitive is Primitive.ESTIMATOR
    required = {"circuit", "shots"} | ({"observables"} if estimates else set())
    _known(told, "pubs", required=required, optional={"parameters"})
    shots = told["shots"]
    if type(shots) is not int or not 1 <= shots <= MAX_SHOTS:
        raise ProgramRefused("invalid-shots", shots=ascii(shots)[:20], max_shots=MAX_SHOTS)
    return Pub(
        circuit=_whole(told["circuit"], "pubs.circuit", 0, circuits - 1),
        shots=shots,
        parameters=_parameters(told["parameters"]) if told.get("parameters") is not None else None,
        observables=_observables(told["observables"]) if estimates else None,
    )


def _shape(told: Any, at: str, values: Any) -> tuple[int, ...]:
    """As told, where it has as many elements as there are values."""
    if not isinstance(told, list) or len(told) > MAX_DIMENSIONS or not isinstance(values, list):
        raise _malformed(at)
    shape = tuple(_whole(size, at, 1, MAX_BINDINGS) for size in told)
    if math.prod(shape) > MAX_BINDINGS:
        raise ProgramRefused("too-many-bindings", asked=math.prod(shape), limit=MAX_BINDINGS)
    if math.prod(shape) != len(values):
        raise _malformed(at)
    return shape


def _parameters(told: Any) -> Parameters:
    at = "pubs.parameters"
    _known(told, at, required={"names", "shape", "values"}, optional=set())
    names = told["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise _malformed(f"{at}.names")
    if len(names) > MAX_NAMES:
        raise ProgramRefused("too-many-parameters", asked=len(names), limit=MAX_NAMES)
    if len(set(names)) != len(names):
        raise _malformed(f"{at}.names")
    shape = _shape(told["shape"], f"{at}.shape", told["values"])
    rows = told["values"]
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        raise _malformed(f"{at}.values")
    return Parameters(names, shape, [[_number(value, f"{at}.values") for value in row] for row in rows])


def _observables(told: Any) -> Observables:
    at = "pubs.observables"
    _known(told, at, required={"shape", "values"}, optional=set())
    shape = _shape(told["shape"], f"{at}.shape", told["values"])
    for each in told["values"]:
        if not isinstance(each, dict) or not each or not all(map(_PAULI.fullmatch, each)):
            raise _malformed(f"{at}.values")
    return Observables(
        shape, [{term: _number(real, f"{at}.values") for term, real in each.items()} for each in told["values"]]
    )


def _options(told: Any, primitive: Primitive) -> Options:
    _known(told, "options", required=set(), optional={"optimization_level", "seed", "noise", "method", *MITIGATION})
    level, seed = told.get("optimization_level", 1), told.get("seed")
    noise, method = told.get("noise", True), told.get("method", "automatic")
    if type(noise) is not bool or method not in METHODS:
        raise _malformed("options.noise" if type(noise) is not bool else "options.method")
    return Options(
        optimization_level=_whole(level, "options.optimization_level", 0, 3),
        seed=None if seed is None else _whole(seed, "options.seed", 0, 2**_SEED_BITS - 1),
        noise=noise,
        method=method,
        **_mitigation(told, primitive),
    )


def _mitigation(told: dict[str, Any], primitive: Primitive) -> dict[str, Any]:
    """What is asked for against errors. A sampler's are less: there is nothing to extrapolate in bits."""
    highest = len(RESILIENCE) - 1 if primitive is Primitive.ESTIMATOR else 0
    sequence = told.get("dynamical_decoupling")
    if sequence is not None and sequence not in DECOUPLING:
        raise _malformed("options.dynamical_decoupling")
    twirls = {name: told.get(name, False) for name in ("twirl_gates", "twirl_measure")}
    for name, value in twirls.items():
        if type(value) is not bool:
            raise _malformed(f"options.{name}")
    level = _whole(told.get("resilience_level", 0), "options.resilience_level", 0, highest)
    return {"resilience_level": level, "dynamical_decoupling": sequence, **twirls}
