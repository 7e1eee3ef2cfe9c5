#!/usr/bin/env python3
#SBATCH --job-name=digits-cnn
#SBATCH --time=10:00
#SBATCH --gpus=1
"""Trains a small convolutional network on scikit-learn's handwritten digits, on GPU or CPU.

Needs torch and scikit-learn, no network. Prints the loss of each epoch, keeps checkpoint.pt up to date and goes on from
it when there is one, and leaves result.json with the accuracy on digits that it never saw.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

THREADS = 1  # the network is small: more threads would mostly wait for each other, above all on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # before torch is imported: it reads this once

import torch  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from torch import Tensor, nn  # noqa: E402

SEED = 20_261_121
EPOCHS = int(os.environ.get("EPOCHS", "30"))
BATCH = 64
CHECKPOINT = Path("checkpoint.pt")
RESULT = Path("result.json")


def network() -> nn.Module:
    """Two convolutions and two dense layers for pictures of 8 × 8."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 10),
    )


def digits(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and held-out pictures and labels; one quarter is held out, equally of each digit."""
    data = load_digits()
    split = train_test_split(data.images / 16.0, data.target, test_size=0.25, random_state=SEED, stratify=data.target)
    seen, held_out, seen_labels, held_out_labels = (torch.as_tensor(part, device=device) for part in split)
    return seen.float().unsqueeze(1), seen_labels.long(), held_out.float().unsqueeze(1), held_out_labels.long()


def train_epoch(model: nn.Module, optimiser: torch.optim.Optimizer, pictures: Tensor, labels: Tensor) -> float:
    """One pass over the training pictures in random order; the mean loss."""
    model.train()
    total = 0.0
    for batch in torch.randperm(len(pictures)).split(BATCH):
        loss = nn.functional.cross_entropy(model(pictures[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(batch)
    return total / len(pictures)


@torch.no_grad()
def accuracy(model: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Share of pictures that are read right."""
    model.eval()
    return (model(pictures).argmax(dim=1) == labels).double().mean().item()


def save_checkpoint(model: nn.Module, optimiser: torch.optim.Optimizer, epoch: int) -> None:
    """Whole or not at all: a job that is killed meanwhile leaves the checkpoint of the epoch before."""
    draft = CHECKPOINT.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch}, draft)
    draft.replace(CHECKPOINT)


def resume(model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Epochs that a checkpoint of an earlier attempt has done already."""
    if not CHECKPOINT.exists():
        return 0
    kept = torch.load(CHECKPOINT, weights_only=True)
    model.load_state_dict(kept["model"])
    optimiser.load_state_dict(kept["optimiser"])
    return int(kept["epoch"])


def main() -> None:
    """Train, report, leave the result."""
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures, labels, held_out, held_out_labels = digits(device)
    model = network().to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    done = resume(model, optimiser)
    say(f"torch {torch.__version__} on {device.type}, {len(pictures)} digits to learn, {len(held_out)} held out")
    started = time.monotonic()
    for epoch in range(done + 1, EPOCHS + 1):
        loss = train_epoch(model, optimiser, pictures, labels)
        save_checkpoint(model, optimiser, epoch)
        say(f"epoch {epoch:2}/{EPOCHS}  loss {loss:.4f}  held-out {accuracy(model, held_out, held_out_labels):.4f}")
    result = {
        "accuracy": round(accuracy(model, held_out, held_out_labels), 6),
        "epochs": EPOCHS,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "train_s": round(time.monotonic() - started, 3),
        "device": device.type,
    }
    RESULT.write_text(json.dumps(result), encoding="utf-8")
    say(f"accuracy {result['accuracy']:.4f}")


def say(line: str) -> None:
    """Print at once, so that whoever follows the log sees it now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
