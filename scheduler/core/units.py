"""Normalised units (NU) of a job that takes several resources at once: its dominant share. Pure.

Source: A. Ghodsi et al., "Dominant Resource Fairness", NSDI 2011: of a user's shares of each resource, the largest is
the dominant one, and it is what counts. Here every unit of a resource has a rate (NU per hour), such that a whole
machine comes to the same in each of its resources; then

    NU of a job per hour = max over resources r of: units of r that it holds x NU per hour of one unit of r

is its dominant share of the machine, times the machine's NU. It is exact: rates are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hpc_adapters.contract import Resources

_HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """NU per hour of one unit of each resource; 0: it does not count."""

    gpu: Fraction = Fraction(0)
    cpu: Fraction = Fraction(0)
    memory_mb: Fraction = Fraction(0)
    qpu: Fraction = Fraction(0)


def gpu_rates(nu_per_hour: float, *, cpus_per_gpu: int, memory_mb_per_gpu: int) -> Rates:
    """Of a machine that sells its CPUs and memory with its GPUs: what comes with a GPU is worth as much as the GPU.

    So a job without a GPU counts by the part of a GPU's bundle that it keeps from others. nu_per_hour: of one GPU.
    """
    gpu = Fraction(nu_per_hour)
    return Rates(
        gpu=gpu,
        cpu=gpu / cpus_per_gpu if cpus_per_gpu else Fraction(0),
        memory_mb=gpu / memory_mb_per_gpu if memory_mb_per_gpu else Fraction(0),
    )


def dominant_nu(held: Resources, rates: Rates, *, seconds: float) -> float:
    """Normalised units of holding so much for so long: of the resource of which it takes the largest share."""
    per_hour = max(
        held.gpus * rates.gpu, held.cpus * rates.cpu, held.memory_mb * rates.memory_mb, held.qpus * rates.qpu
    )
    return float(per_hour * Fraction(seconds) / _HOUR_S)
