"""A seeded cluster in memory with its own clock, faults and an oracle."""

from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from hpc_adapters.simulated.clock import SimulatedClock
from hpc_adapters.simulated.faults import RELIABLE, Answer, Delays, Faults

__all__ = ["RELIABLE", "Answer", "Behaviour", "Delays", "Faults", "SimulatedBackend", "SimulatedClock"]
