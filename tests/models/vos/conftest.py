"""The plain form that label propagation is tested against."""

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import propagate
from hvc_mm.models.vos.window import Window, in_window


class DenseStream:
    """Keep every frame, stack each reference's context, take the step."""

    def __init__(
        self,
        radius,
        topk,
        temperature=0.1,
        context=50,
        repeat_reference=True,
        **limits,
    ):
        self.radius, self.topk = radius, topk
        self.temperature, self.context = temperature, context
        self.repeat_reference = repeat_reference
        self.limits = limits  # of `propagate`: window, edge, reference
        self.frames, self.references = [], []

    def times(self, starts):
        """The reference frames, then the latest ones since the last."""
        latest = range(len(self.frames) - self.context, len(self.frames))
        start = starts[-1]
        if self.repeat_reference is True:
            return [*starts] + [max(time, start) for time in latest]
        first = start if self.repeat_reference == 'latest' else start + 1
        return [*starts] + [time for time in latest if time >= first]

    def stack(self, starts):
        channels = self.frames[-1][1].shape[1]
        features, labels = zip(*(self.frames[t] for t in self.times(starts)))
        labels = [_pad(one, channels) for one in labels]
        return torch.cat(features), torch.cat(labels)

    def predict(self, features):
        result = torch.zeros_like(self.frames[-1][1])
        for starts, channels in self.references:
            found = propagate(
                *self.stack(starts),
                features,
                self.radius,
                self.topk,
                self.temperature,
                references=len(starts),
                **self.limits,
            )
            result[:, channels] = found[:, channels]
        return result

    def step(self, features, new=None, corrections=None):
        labels = self.predict(features) if self.frames else new
        if new is not None:
            own = new[0].flatten(1).any(dim=1).nonzero()[:, 0].tolist()
            if self.frames:
                share = new.sum(dim=1, keepdim=True)
                labels = _pad(labels, new.shape[1])
                labels = (1 - share) * labels + share * new
            self.references.append(([len(self.frames)], own))
        if corrections:
            labels = _corrected(labels, corrections)
            for starts, _ in self.references:
                starts += {len(self.frames)} - {*starts}
        self.frames.append((features, labels))
        return labels

    def is_clear(self, features, gap=1e-6):
        """Tell where, for every reference, the last kept affinity is above
        the first dropped one by more than a gap, ``(h * w,)``."""
        height, width = features.shape[2:]
        cells = torch.arange(height * width)
        dy = cells[:, None] // width - cells // width
        dx = cells[:, None] % width - cells % width
        far = ~in_window(dy, dx, Window(self.radius))
        clear = torch.ones(height * width, dtype=torch.bool)
        for starts, _ in self.references:
            keys, _ = self.stack(starts)
            scores = features[0].flatten(1).t() @ keys.flatten(2)
            scores[len(starts) :].masked_fill_(far, float('-inf'))
            flat = scores.transpose(0, 1).flatten(1)
            top, index = flat.topk(self.topk + 1, dim=1)
            # Copies of one frame tie, and it does not matter which is taken.
            times = torch.tensor(self.times(starts))
            cell = times[index // len(cells)] * len(cells) + index % len(cells)
            clear &= (top[:, -2] - top[:, -1] > gap) | (
                cell[:, -2] == cell[:, -1]
            )
        return clear


def _corrected(labels, corrections):
    """Cell by cell, in Python numbers."""
    labels = labels.clone()
    for y in range(labels.shape[2]):
        for x in range(labels.shape[3]):
            here = labels[0, :, y, x].tolist()
            given = {c: float(new[y, x]) for c, new in corrections.items()}
            others = [c for c in range(len(here)) if c not in given]
            total = sum(here[c] for c in others)
            for c in others:
                share = here[c] / total if total else float(c == 0)
                here[c] = share * (1 - sum(given.values()))
            for c, value in given.items():
                here[c] = value
            labels[0, :, y, x] = torch.tensor(here)
    return labels


def _pad(labels, channels):
    return F.pad(labels, (0, 0, 0, 0, 0, channels - labels.shape[1]))


@pytest.fixture(scope='session')
def dense_stream():
    """The class, to be built with the settings of a propagator."""
    return DenseStream


@pytest.fixture(scope='session')
def video():
    """Make features and labels of a video of noise, frame by frame."""

    def frames(seed, grid, channels, count, new_at=(), dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        size = {'generator': generator, 'dtype': torch.float64}
        known = 2
        for time in range(count):
            features = torch.randn(1, channels, *grid, **size)
            labels = None
            if time == 0:
                labels = torch.rand(1, known, *grid, **size).to(dtype)
            elif time in new_at:
                new = torch.rand(1, 1 + time % 2, *grid, **size) / 3
                labels = F.pad(new, (0, 0, 0, 0, known, 0)).to(dtype)
                known = labels.shape[1]
            yield F.normalize(features, dim=1).to(dtype), labels

    return frames


@pytest.fixture(scope='session')
def correction():
    """Make random labels for some known channels, by a generator."""

    def labels(pick, known, grid, dtype=torch.float64):
        generator = torch.Generator().manual_seed(pick.randint(0, 10**6))
        chosen = pick.sample(range(1, known), pick.randint(1, known - 1))
        return {
            channel: (
                torch.rand(grid, generator=generator, dtype=torch.float64)
                / len(chosen)
            ).to(dtype)
            for channel in chosen
        }

    return labels
