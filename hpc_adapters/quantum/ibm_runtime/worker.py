"""The vendor's library behind the bridge: what the adapter may ask of it. Runs in a process of its own."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from threading import RLock
from time import monotonic
from typing import Any, Final

from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.bridge_end import Method, serve

LIBRARY: Final = "0.51.0"
TAG: Final = "kyoyo"
_PAGE: Final = 200
_PAGES: Final = 500
_HEAVY: Final = frozenset({"channels", "hamiltonian", "u_channel_lo", "qubit_channel_mapping", "qubit_lo_range"})
"""Parts of a configuration that describe pulses."""
_MAY_REFUSE: Final = frozenset({"submit", "open_session"})
_BACKEND_LIFE_S: Final = 300.0


def main() -> None:
    """Serve the bridge until it closes."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    serve(_open)


def _open(hello: Mapping[str, Any]) -> Mapping[str, Method]:
    # Without it the library asks IBM Cloud's global search for all instances of the account first; we have one.
    os.environ["QISKIT_FUNCTIONS_EXPERIMENTAL"] = "1"
    if hello.get("iam_url"):
        os.environ["IAM_URL"] = hello["iam_url"]
    try:
        found = version("qiskit-ibm-runtime")
    except ImportError:
        raise Unavailable("library-missing", maybe_done=False) from None
    if found != LIBRARY:
        raise Unavailable(f"library-is-{found}", maybe_done=False)
    from hpc_adapters.quantum.ibm_runtime import line  # noqa: PLC0415  loads the library

    line.install(connect_s=hello["connect_s"], answer_s=hello["answer_s"])
    return _Worker(hello).methods()


class _Worker:
    """One instance (CRN), one device."""

    def __init__(self, hello: Mapping[str, Any]) -> None:
        from hpc_adapters.quantum.ibm_runtime import line  # noqa: PLC0415

        self._line = line
        self._hello = hello
        self._service: Any = None
        self._backend: Any = None
        self._backend_at = 0.0
        self._opening = RLock()

    def methods(self) -> Mapping[str, Method]:
        names = ("device", "state", "live", "find", "listed", "look", "submit", "result", "cancel")
        sessions = ("open_session", "session", "close_session")
        return {name: self._asked(getattr(self, name)) for name in (*names, *sessions)}

    def _asked(self, method: Callable[[Mapping[str, Any]], Any]) -> Method:
        may_refuse = method.__name__ in _MAY_REFUSE
        return lambda params: self._line.asked(lambda: method(params), may_refuse=may_refuse)

    # -- what the library holds ----------------------------------------------------------------------------------------

    def _opened(self) -> Any:
        from qiskit_ibm_runtime import QiskitRuntimeService  # noqa: PLC0415

        with self._opening:
            if self._service is None:
                url = self._hello.get("api_url")
                resolver: dict[str, Any] = {"url": url, "url_resolver": lambda *_: url} if url else {}
                service = QiskitRuntimeService(
                    channel="ibm_quantum_platform",
                    token=self._hello["token"],
                    instance=self._hello["instance"],
                    **resolver,
                )
                service._check_instance_usage = self._refuse_without_time  # noqa: SLF001  it would only warn
                self._service = service
            return self._service

    def _client(self) -> Any:
        return self._opened()._active_api_client  # noqa: SLF001  what the library's own objects use

    def _device(self, *, fresh: bool = False) -> Any:
        """The library's backend. Unavailable: this instance has none of this name."""
        service = self._opened()
        name = self._hello["device"]
        with self._opening:
            if self._backend is None or fresh or monotonic() - self._backend_at > _BACKEND_LIFE_S:
                self._client().list_backends()  # the library takes an unreachable vendor for one without devices
                service._backend_configs.pop(name, None)  # noqa: SLF001  it keeps a configuration for ever
                try:
                    self._backend = service.backend(name)
                except Exception as error:
                    if type(error).__name__ != "QiskitBackendNotFoundError" or self._line.LAST.failure is not None:
                        raise
                    raise Unavailable("no-such-device", maybe_done=False) from None
                self._backend_at = monotonic()
            return self._backend

    def _refuse_without_time(self) -> None:
        if self._client().cloud_usage().get("usage_limit_reached"):
            raise Unavailable("usage-limit-reached", maybe_done=False)

    # -- the device ----------------------------------------------------------------------------------------------------

    def device(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its configuration, properties and status, as the vendor writes them."""
        client, name = self._client(), self._hello["device"]
        configuration = client.backend_configuration(name, refresh=True)
        return {
            "configuration": {key: value for key, value in configuration.items() if key not in _HEAVY},
            "properties": client.backend_properties(name),
            "status": client.backend_status(name),
        }

    def state(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its status, whether this instance has time left, and its jobs that have not ended."""
        client = self._client()
        return {
            "status": client.backend_status(self._hello["device"]),
            "usage": client.cloud_usage(),
            "live": self.live({}),
        }

    def live(self, _: Mapping[str, Any]) -> list[Any]:
        """Our jobs on this device that have not ended."""
        return self._pages(pending=True, job_tags=[TAG], backend_name=self._hello["device"])

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def find(self, params: Mapping[str, Any]) -> list[Any]:
        """Every job with this tag, ended ones included."""
        return self._pages(job_tags=[TAG, params["tag"]])

    def listed(self, params: Mapping[str, Any]) -> list[Any]:
        """Every job of ours on this device that was created in this time."""
        since, until = (datetime.fromisoformat(params[key]).astimezone(UTC) for key in ("since", "until"))
        return self._pages(
            job_tags=[TAG], backend_name=self._hello["device"], created_after=since, created_before=until
        )

    def _pages(self, **query: Any) -> list[Any]:
        """Each once, oldest first. A list that grows meanwhile may show one twice, and an empty page is its end."""
        found: dict[str, Any] = {}
        skip = 0
        for _ in range(_PAGES):
            told = self._client().jobs_get(limit=_PAGE, skip=skip, descending=False, **query)
            page = told["jobs"]
            found |= {job["id"]: job for job in page}
            skip += len(page)
            if not page or skip >= told.get("count", 0):
                return list(found.values())
        raise Unavailable("list-too-long", maybe_done=False)

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known of each job: {"job", "metrics"}; None: the vendor does not know it."""
        return {job_id: self._look(job_id) for job_id in params["jobs"]}

    def _look(self, job_id: str) -> Mapping[str, Any] | None:
        client = self._client()
        job = self._unless_missing(lambda: client.job_get(job_id))
        if job is None:
            return None
        metrics = self._unless_missing(lambda: client.job_metadata(job_id))
        return {"job": job, "metrics": metrics or {}}

    def _unless_missing(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Exception:
            if self._line.is_missing():
                return None
            raise

    def submit(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One job. Whatever fails before the POST itself has left nothing."""
        from qiskit_ibm_runtime import Batch, EstimatorV2, SamplerV2, Session  # noqa: PLC0415

        from hpc_adapters.quantum.ibm_runtime.payloads import pubs_of  # noqa: PLC0415

        pubs = pubs_of(params["isa"])
        mode = self._device()
        if (session := params.get("session")) is not None:
            kind = Session if session["dedicated"] else Batch
            mode = kind.from_id(session["id"], self._opened())
            if not mode._active:  # noqa: SLF001  what its own check reads
                raise Rejected("session-over")
        options: dict[str, Any] = {
            "max_execution_time": params["max_execution_s"],
            "environment": {"job_tags": [TAG, params["tag"]]},
        }
        # Nothing beside what was asked for, and so quoted, is executed.
        primitive = SamplerV2 if params["isa"]["primitive"] == "sampler" else EstimatorV2
        return {"id": primitive(mode=mode, options=options | params["options"]).run(pubs).job_id()}

    def result(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a completed job. Unavailable('result-missing'): the vendor has none, now."""
        from hpc_adapters.quantum.ibm_runtime.payloads import result_of  # noqa: PLC0415

        job = self._opened().job(params["job"])
        try:
            told = job.result(timeout=1)
        except Exception:
            if self._line.is_missing():
                raise Unavailable("result-missing", maybe_done=False) from None
            raise
        if told is None:
            raise Unavailable("result-missing", maybe_done=False)
        return {"pubs": result_of(told)}

    def cancel(self, params: Mapping[str, Any]) -> bool:
        """False: the vendor does not know it. One that has ended already is left as it is."""
        try:
            self._client().job_cancel(params["job"])
        except Exception:
            if self._line.is_missing():
                return False
            if self._line.LAST.status == 409:  # noqa: PLR2004  it has ended
                return True
            raise
        return True

    # -- sessions ------------------------------------------------------------------------------------------------------

    def open_session(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        from qiskit_ibm_runtime import Batch, Session  # noqa: PLC0415

        self._refuse_without_time()
        kind = Session if params["dedicated"] else Batch
        return {"id": kind(self._device(), max_time=params["max_s"]).session_id}

    def session(self, params: Mapping[str, Any]) -> Any:
        """Its details; None: the vendor does not know it."""
        return self._unless_missing(lambda: self._client().session_details(params["id"]))

    def close_session(self, params: Mapping[str, Any]) -> bool:
        """At once: what waits or runs in it ends. False: the vendor does not know it."""
        gone = self._unless_missing(lambda: self._client().cancel_session(params["id"]) or "closed")
        return gone is not None
