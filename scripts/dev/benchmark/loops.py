"""Two loops without a framework: the one a person writes first, and the fastest we can write by hand.

Each returns the seconds that the timed steps took.
"""

from __future__ import annotations

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmark.clock import now
from benchmark.workload import MEAN, STD, Workload, plain_net


def tutorial(work: Workload) -> float:
    """A `DataLoader` over a `TensorDataset`, AdamW, cross-entropy, ``loss.item()`` in each step; in 32 bits."""
    device = torch.device(work.device)
    images = (work.images.float() / 255 - MEAN) / STD
    loader = DataLoader(TensorDataset(images, work.target), batch_size=work.batch_size, shuffle=True)
    net = plain_net(work.model).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    criterion = torch.nn.CrossEntropyLoss()
    started = running = 0.0
    net.train()
    for step, (batch, target) in enumerate(loader):
        if step == work.warmup:
            started = now(work.clock, device)
        batch, target = batch.to(device), target.to(device)
        optimizer.zero_grad()
        loss = criterion(net(batch), target)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return now(work.clock, device) - started


def limit(work: Workload) -> float:
    """The project's net and nothing else: batches gathered in memory, channels last, fused AdamW, nothing logged."""
    device = torch.device(work.device)
    net = work.net().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if work.compiled is not None:
        torch.compiler.reset()
        net.compile(**work.compiled)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    images, targets = work.images.to(device), work.target.to(device)
    order = torch.randperm(len(targets)).to(device)
    scale, shift = 1 / (255 * STD), -MEAN / STD
    started = 0.0
    net.train()
    for step in range(work.total_steps):
        if step == work.warmup:
            started = now(work.clock, device)
        index = order[step * work.batch_size : (step + 1) * work.batch_size]
        batch = images.index_select(0, index).to(torch.float32, memory_format=torch.channels_last)
        batch = batch.mul_(scale).add_(shift)
        with work.autocast():
            loss = functional.cross_entropy(net(batch), targets.index_select(0, index))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return now(work.clock, device) - started
