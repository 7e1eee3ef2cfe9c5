#!/usr/bin/env python3
#SBATCH --job-name=ddp-spiral
#SBATCH --time=10:00
"""Trains a small network by DistributedDataParallel, and survives preemption: run it with `kyoyo train`.

    kyoyo train examples/ddp_spiral.py --nodes 2 --gpus-per-node 1 --time 10m

Needs torch and kyoyo, no data and no network. Each step's batch follows from the seed and the step's number alone, and
the checkpoint holds all the rest: a run that was interrupted ends with the same weights, bit for bit, as another.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import sys
import time
from pathlib import Path

THREADS = 1
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # before torch is imported: it reads this once

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

from kyoyo import training  # noqa: E402

SEED = 20_261_121
STEPS = int(os.environ.get("STEPS", "400"))
PAUSE_S = float(os.environ.get("PAUSE_S", "0"))  # so that there is time to interrupt so short a training
SAVE_EVERY = 50
BATCH = 128


def batch(step: int, rank: int) -> tuple[Tensor, Tensor]:
    """Points of two spirals and which of them each lies on; the same for the same step and rank."""
    chance = torch.Generator().manual_seed(SEED + 1_000_003 * step + rank)
    labels = torch.randint(0, 2, (BATCH,), generator=chance)
    along = torch.rand(BATCH, generator=chance) * 3 * math.pi
    turn = along + labels * math.pi
    noise = torch.randn(BATCH, 2, generator=chance) * 0.05
    return torch.stack([turn.cos(), turn.sin()], 1) * along.unsqueeze(1) / 10 + noise, labels


def train(network: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device, first: int) -> float:
    """The steps that are left, saving now and then and when told to stop; the last loss."""
    model, rank = DistributedDataParallel(network), dist.get_rank()
    loss = torch.zeros(())
    for step in range(first, STEPS):
        points, labels = (part.to(device) for part in batch(step, rank))
        loss = nn.functional.cross_entropy(model(points), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        time.sleep(PAUSE_S)
        done, stop = step + 1, training.should_stop()
        if stop or done % SAVE_EVERY == 0:
            training.save_checkpoint({"network": network.state_dict(), "optimiser": optimiser.state_dict()}, done)
            say(rank, f"step {done}  loss {loss.item():.4f}  {'stopped' if stop else 'saved'}")
        if stop and done < STEPS:
            training.leave()
    return loss.item()


def main() -> None:
    """Go on where the last attempt stopped, train, leave the result."""
    cuda = torch.cuda.is_available()
    torch.set_num_threads(THREADS)
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    torch.manual_seed(SEED)
    network = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2)).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    first, checkpoint = 0, training.resume()
    if checkpoint is not None:
        first = checkpoint.step
        network.load_state_dict(checkpoint.state["network"])
        optimiser.load_state_dict(checkpoint.state["optimiser"])
    rank, ranks = dist.get_rank(), dist.get_world_size()
    say(rank, f"attempt {training.restart_count() + 1}: from step {first} of {STEPS} on {ranks} ranks")
    loss = train(network, optimiser, device, first)
    if rank == 0:
        report(network, resumed_from=first, loss=loss)
    gc.collect()  # DDP's own circle of references keeps the process group, which must not meet the end of the process
    dist.barrier()
    dist.destroy_process_group()


def report(network: nn.Module, *, resumed_from: int, loss: float) -> None:
    """Leave the result: what the weights are, to the bit."""
    digest = hashlib.sha256()
    for name, weights in network.state_dict().items():
        digest.update(name.encode() + weights.cpu().numpy().tobytes())
    result = {
        "steps": STEPS,
        "resumed_from": resumed_from,
        "attempt": training.restart_count() + 1,
        "loss": loss,
        "weights_sha256": digest.hexdigest(),
    }
    Path(os.environ.get("KYOYO_RESULT", "result.json")).write_text(json.dumps(result), encoding="utf-8")
    say(0, f"weights {digest.hexdigest()}")


def say(rank: int, line: str) -> None:
    """One process speaks for all, at once, so that whoever follows the log sees it now."""
    if rank == 0:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
