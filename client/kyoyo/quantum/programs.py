"""What is sent as a program: OpenQASM text as it is, or a document of PUBs whose circuits are OpenQASM or QPY.

A document is JSON, {"format": "kyoyo.pubs/1", "primitive", "circuits", "pubs", "options"}. The portal checks and
charges by executions, so who writes one counts them in the same way: for a sampler shots × bindings; for an estimator
shots × the Pauli strings of each element that are not all identities. Where that is none, one is
counted; a resilience level of 1 or 2 makes them twice or four times as many.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from kyoyo.errors import BadScript, UsageError
from kyoyo.quantum.errors import DocumentTooLarge
from kyoyo.texts import Texts

FORMAT = "kyoyo.pubs/1"
MAX_PROGRAM_BYTES = 2**20
MAX_CIRCUIT_BYTES = 256 * 1024
"""Of one circuit in a document, as text or as base64."""
QPY = b"QISKIT"
"""How a QPY file begins."""


def document(
    primitive: str,
    *,
    circuits: Sequence[Mapping[str, str]],
    pubs: Sequence[Mapping[str, object]],
    options: Mapping[str, object],
    language: str = "en",
) -> str:
    """The document's text. DocumentTooLarge; UsageError: there are no PUBs, or a number is not finite."""
    if not pubs:
        raise UsageError(Texts(language)("wrong.no_pubs"))
    for circuit in circuits:
        _check_size(len(circuit.get("data") or circuit["text"]), MAX_CIRCUIT_BYTES, language)
    told = {"format": FORMAT, "primitive": primitive, "circuits": circuits, "pubs": pubs, "options": options}
    try:
        text = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as endless:
        raise UsageError(Texts(language)("wrong.not_finite")) from endless
    _check_size(len(text.encode()), MAX_PROGRAM_BYTES, language)
    return text


def qpy_circuit(data: bytes) -> Mapping[str, str]:
    """A circuit of a document, from the bytes of a QPY file."""
    return {"format": "qpy", "data": base64.b64encode(data).decode("ascii")}


def program_of_file(path: Path, *, shots: int, language: str = "en") -> str:
    """A file with one circuit as what is sent: OpenQASM 2 or 3 as it is, QPY in a document; a document too. UsageError.

    QPY is told by its first bytes, whatever the file is called. Nothing is parsed here.
    """
    data = read_bytes(path)
    if data.startswith(QPY):
        pub: Mapping[str, object] = {"circuit": 0, "shots": shots}
        return document("sampler", circuits=[qpy_circuit(data)], pubs=[pub], options={}, language=language)
    _check_size(len(data), MAX_PROGRAM_BYTES, language)
    if not data.strip():
        raise BadScript(key="wrong.empty_circuit", path=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as binary:
        raise BadScript(key="wrong.not_a_circuit", path=path) from binary


def shots_in(program: str) -> Sequence[int] | None:
    """The shots of each PUB of a document's estimator: those of each Pauli string; None: it is no estimator's.

    They give a standard error of 1/√shots or less. What is no such document is the portal's to refuse.
    """
    if not is_document(program):
        return None
    try:
        told = json.loads(program)
        pubs = told["pubs"] if told["primitive"] == "estimator" else []
        shots = [int(pub["shots"]) for pub in pubs]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return [each for each in shots if each > 0] or None


def is_document(program: str) -> bool:
    """Whether it is JSON, which says its shots itself."""
    return program.lstrip().startswith("{")


def read_bytes(path: Path) -> bytes:
    """UsageError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as missing:
        raise UsageError(key="wrong.no_file", path=path) from missing
    except IsADirectoryError as folder:
        raise UsageError(key="wrong.directory", path=path) from folder
    except OSError as unreadable:
        raise UsageError(key="wrong.unreadable", path=path) from unreadable


def _check_size(size: int, limit: int, language: str) -> None:
    if size > limit:
        raise DocumentTooLarge(language=language, size=f"{size:,}", limit=f"{limit:,}")
