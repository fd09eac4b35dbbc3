"""Propagate labels through a video, frame by frame.

Each frame's cells look for similar cells in the frames before it: in a
reference frame (one that brought labels) anywhere, in the latest frames
within a window. The most similar ones are weighted by their similarity, and
their labels, summed with these weights, are the frame's. With several
references each predicts the channels that came with it.

Outside the published protocols a user may correct masks on a later frame.
That frame is one more reference frame of all channels, and takes the place
of the frames before it.

This file has the rules: which frames count, how often, how matches are
weighted, and what new objects do. `window` has the window, `search_choice`
what searches in it, `propagation` the same formula for one dense step.

h w: grid, C: feature channels, M: label channels (0 is background), S: slots
of the ring of latest frames, n: queries, K: candidates.
"""

from __future__ import annotations

import warnings
from typing import (
    Any,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

import torch
import torch.nn.functional as F
from torch import Tensor

from hvc_mm.registry import MODELS
from hvc_mm.utils.protocols import read_protocol

from .propagation import check_settings, floating_type
from .screened_search import Prepared, ScreenedSearch
from .search_choice import (
    Native,
    Search,
    check_native,
    describe_search,
    make_search,
)
from .window import Window, holds_grid
from .windowed_search import Candidates, Segment

__all__ = [
    'LabelPropagator',
    'correct_labels',
    'merge_candidates',
    'split_context',
    'weighted_labels',
]

# Options of 0.1 that are refused, and what to use instead.
_REMOVED = ('bank_dtype', 'bank_device')
_INSTEAD = 'a shorter `context` takes less memory'


class Reference(NamedTuple):
    """Channels that one frame brought, and the reference frames they have.

    Attributes:
        time: Of the newest of its frames, an index since the video's first.
        channels: Label channels that it brought, ``(M,)`` indices.
        frames: Places of its reference frames among all that are kept: the
            one that brought the channels, then those with corrections.
        labels: Of those channels, ``((S + R) * h * w, M)``: of the ring's
            frames, then of its own R. Rows of slots without a frame are
            zero.
    """

    time: int
    channels: Tensor
    frames: Tuple[int, ...]
    labels: Tensor


@MODELS.register_module()
class LabelPropagator:
    """Propagate a video's labels, given its features frame by frame.

    The context of frame ``t`` for a reference ``t0`` is the list
    ``[t0] + [max(s, t0) for s in t - context .. t - 1]``: early on the
    reference is in it several times, and every copy competes in the top-k.
    Of the list the first frame may match anywhere, the others within the
    window; :func:`~hvc_mm.models.vos.propagation.propagate` has the formula.
    It is computed exactly: products are made only where the window reaches,
    copies are counted, and references share the search. Other protocols have
    other windows and rules for the reference; :meth:`from_protocol` knows
    the published ones.

    Products are in full precision under autocast, too. TF32 on a GPU, which
    torch leaves off for them, would make them inexact.

    Memory: ``context`` feature maps, one per reference frame, and about
    ``64 MiB`` (CPU) to work in, whatever the video's length. Without a
    window torch's search has tables of ``8 (h w)^2`` bytes as well.

    Args:
        radius: In cells of the grid at hand, > 0; frames other than the
            reference match only cells nearer than this. None: no limit.
        topk: Context cells kept per query cell, >= 1.
        temperature: Divides the dot products, > 0.
        context: Number of latest frames kept, >= 0.
        compute_dtype: Type of the products; None: the features' own. With
            a half type all cells that may be among the best, as far as
            rounded products can tell, are scored again in full precision:
            the result is the same. The features are kept in both types.
            ``'auto'``: bfloat16 where that is faster and no better way is
            there.
        repeat_reference: How often the reference is in the context. True:
            it also takes the place of the frames before it, as in CRW and
            HVC. ``'latest'``: a second time as long as it is one of the
            latest frames, as in VFS. False: once, as in DINO's evaluation.
        reference_in_window: Let the reference, too, match only within the
            window.
        window: ``'disc'``, or ``'square'``, where the larger one of the
            rows and the columns between two cells counts.
        with_edge: Whether cells at exactly the radius are in the window.
        native: Search by the compiled kernel, which takes float32 on a CPU
            and finds the same matches. None: where it is there, can, and
            has vector instructions (AVX2, AVX-512); True: always, else there
            is an error; False: never. ``'triton'``: by Triton kernels, which
            take float32 on a GPU and were never measured on one.
        **removed: Refused, with what to use instead.

    Raises:
        ValueError: When a number is out of its range, a type is not floating
            point, or an option is gone; when the kernel is demanded for
            products of another type.
        RuntimeError: When the kernel is demanded but was not built, or
            Triton is missing.
    """

    def __init__(
        self,
        radius: Optional[float] = 12,
        topk: int = 15,
        temperature: float = 0.1,
        context: int = 50,
        compute_dtype: Union[str, torch.dtype, None] = None,
        repeat_reference: Union[bool, str] = True,
        reference_in_window: bool = False,
        window: str = 'disc',
        with_edge: bool = False,
        native: Native = None,
        **removed: Any,
    ) -> None:
        _refuse(removed)
        self.window = Window(radius, window, with_edge)
        check_settings(self.window, topk, temperature)
        if int(context) != context or context < 0:
            raise ValueError(f'context must be an integer >= 0, got {context}')
        if repeat_reference not in (True, False, 'latest'):
            raise ValueError(
                "repeat_reference must be True, False or 'latest', got "
                f'{repeat_reference!r}'
            )
        self.topk = int(topk)
        self.temperature = float(temperature)
        self.context = int(context)
        self.compute_dtype = compute_dtype
        if compute_dtype != 'auto':
            self.compute_dtype = floating_type('compute_dtype', compute_dtype)
        self.repeat_reference = repeat_reference
        self.reference_in_window = reference_in_window
        self.native = native
        check_native(native, self.compute_dtype)
        self._search = None
        self.reset()

    @classmethod
    def from_protocol(cls, name: str, **overrides: Any) -> LabelPropagator:
        """Make the propagator of a published protocol.

        Args:
            name: Of one of ``configs/_base_/protocols``: ``'hvc'``,
                ``'dino'``, ...
            **overrides: Arguments in place of the protocol's.

        Raises:
            ValueError: There is no such protocol; the nearest are named.

        Example:
            >>> LabelPropagator.from_protocol('dino', radius=20).topk
            5
        """
        settings = {**read_protocol(name).model.propagator, **overrides}
        settings.pop('type')
        return cls(**settings)

    def reset(self) -> None:
        """Forget the video; the next frame starts a new one."""
        self.time = 0
        self.references: List[Reference] = []
        # Channels of the references, as a GPU need not be asked for.
        self._known: Set[int] = set()
        # Of each reference frame, as the search prepares them.
        self._keys: List[Union[Tensor, Prepared]] = []
        self._shape: Optional[Tuple[int, ...]] = None
        self._channels = 0
        if isinstance(self._search, ScreenedSearch):
            self._search.log_open()
        self._search: Optional[Search] = None

    def known_channels(self) -> Set[int]:
        """Collect the channels that came with some reference."""
        return {*self._known}

    @torch.no_grad()
    def step(
        self,
        features: Tensor,
        new_labels: Optional[Tensor] = None,
        corrections: Optional[Mapping[int, Tensor]] = None,
    ) -> Tensor:
        """Predict the next frame's soft labels and keep the frame.

        Args:
            features: ``(1, C, h, w)``, L2-normalised over ``C`` (not done
                again here). Half types are taken as float32.
            new_labels: ``(1, M, h, w)`` in [0, 1]. The first frame must
                bring it. Later it holds the channels of new objects and
                zeros elsewhere; there the result is ``(1 - s) * predicted +
                s * new_labels``, ``s`` the sum of the channels, and the
                frame becomes a further reference. ``M`` may grow: older
                frames count as zero in the new channels. It may also be
                smaller than before: the missing channels count as zero.
            corrections: Of known objects, by channel: ``(h, w)`` in [0, 1],
                what takes the place of their prediction. In no published
                protocol. In each cell the other channels share what is
                left, in the proportions of their prediction; where they
                have none it is background. With these labels the frame
                becomes one more reference frame of every channel, which may
                match it anywhere, as the reference frames before. Other
                frames before this one no longer count, since what was wrong
                here was wrong there, too: among the latest frames this one
                takes their place by the rule for references
                (``repeat_reference``).

        Returns:
            ``(1, M, h, w)``, ``M`` the largest seen since the reset. The
            first frame's labels come back unchanged.

        Raises:
            ValueError: On the first frame without labels; on features or
                labels of a wrong or changed shape; on features that are not
                finite (on a CPU); on new labels of an object that is
                already known, and corrections of one that is not.
        """
        predicted = self.predict(features) if self.time else None
        return self.observe(features, predicted, new_labels, corrections)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """Predict the next frame's soft labels; the frame is not kept.

        Args:
            features: As in :meth:`step`.

        Returns:
            ``(1, M, h, w)``.

        Raises:
            ValueError: Before the first frame; as :meth:`step` does.
        """
        if self._search is None:
            raise ValueError('no frame has brought labels since reset()')
        self._check_features(features)
        exact = _to_cells(features)
        labels = exact.new_zeros(
            exact[..., 0].numel(), self._channels, dtype=self._label_dtype
        )
        with torch.autocast(features.device.type, enabled=False):
            found = self._find(exact)
            for reference, parts in zip(self.references, found):
                own = self._sum_labels(reference, parts)
                labels[:, reference.channels] = own
        return labels.t().reshape(1, -1, *features.shape[2:])

    def _context_of(self, reference: Reference) -> Tuple[int, int]:
        """Tell what a reference's context has of the latest frames.

        This is the protocol's rule. Frames after the reference are there
        once, within the window. The reference itself is there once, anywhere
        or within the window (``reference_in_window``), and as often as said
        here among the latest frames.

        Returns:
            Time of the first frame that counts, and how often the reference
            is among them as long as it is one of the latest frames.
        """
        if not self.repeat_reference:
            return reference.time + 1, 0
        if self.repeat_reference == 'latest':
            return reference.time, 1
        # It takes the place of the frames before it.
        since = self.time - reference.time
        return reference.time, self.context - since + 1

    def _find(self, exact: Tensor) -> List[List[Candidates]]:
        """Find the matches of features ``(h, w, C)``.

        Returns:
            Per reference candidates ``(h * w, K)``: of each of its reference
            frames, then of the latest frames in its context.
        """
        search = self._search
        queries = search.prepare(exact)
        starts = [self._context_of(one)[0] for one in self.references]
        segments = split_context(self.time, self.context, starts)
        latest = search.in_window(queries, segments)
        counted = [
            [
                candidates
                for segment, candidates in zip(segments, latest)
                if segment.first >= start
            ]
            for start in starts
        ]
        return [
            [
                *(
                    self._search_reference(frame, queries, others)
                    for frame in reference.frames
                ),
                *others,
            ]
            for reference, others in zip(self.references, counted)
        ]

    def _search_reference(
        self,
        frame: int,
        queries: Union[Tensor, Prepared],
        rivals: Sequence[Candidates],
    ) -> Candidates:
        """Find the matches of ``(h, w, C)`` in one reference frame, next to
        those of the latest frames."""
        keys = self._keys[frame]
        if not self.reference_in_window:
            return self._search.anywhere(keys, queries, rivals)
        only = [Segment(0, 0, 1)]
        (found,) = self._search.in_window(queries, only, keys)
        return found

    def _sum_labels(
        self, reference: Reference, parts: List[Candidates]
    ) -> Tensor:
        """Sum the labels of a reference's channels, ``(h * w, M)``.

        Args:
            reference: One of the references.
            parts: Its candidates, see :meth:`_find`.
        """
        area, own = len(parts[0].cells), len(reference.frames)
        # The labels of its own frames come after those of the ring.
        rows = [(self.context + i) * area for i in range(own)]
        rows += [0] * (len(parts) - own)
        scores = torch.cat([one.scores for one in parts], dim=1)
        cells = torch.cat(
            [one.cells + first for one, first in zip(parts, rows)], dim=1
        )
        copies = torch.ones(self.context + own, device=cells.device)
        if self.time - reference.time <= self.context:
            _, count = self._context_of(reference)
            # Not by assignment, for which a GPU is waited for.
            copies[reference.time % self.context].fill_(count)
        weights, cells = merge_candidates(
            Candidates(scores, cells),
            copies[cells // area],
            self.topk,
            self.temperature,
        )
        return weighted_labels(reference.labels, weights, cells)

    @torch.no_grad()
    def observe(
        self,
        features: Tensor,
        predicted: Optional[Tensor],
        new_labels: Optional[Tensor] = None,
        corrections: Optional[Mapping[int, Tensor]] = None,
    ) -> Tensor:
        """Keep a frame whose prediction is known: :meth:`step` without it.

        Args:
            features: As in :meth:`step`.
            predicted: ``(1, M, h, w)``; not looked at on the first frame.
            new_labels: As in :meth:`step`.
            corrections: As in :meth:`step`.

        Returns:
            The labels that the frame is kept with, ``(1, M, h, w)``.

        Raises:
            ValueError: As :meth:`step` does.
        """
        self._check_features(features)
        corrections = corrections or {}
        self._check_corrections(corrections, features)
        brought: List[int] = []
        if new_labels is not None:
            self._check_labels(new_labels, features)
            # Before they go to a GPU, which would be waited for.
            present = new_labels[0].flatten(1).any(dim=1)
            brought = present.nonzero()[:, 0].tolist()
            new_labels = _full(new_labels).to(
                features.device, non_blocking=True
            )
        if self.time == 0:
            if new_labels is None:
                raise ValueError(
                    'the first frame after reset() must bring new_labels '
                    '(1, M, h, w), got None'
                )
            labels = new_labels
            # Background is the first reference's even where an object
            # covers the whole frame.
            brought = sorted({0, *brought})
        else:
            labels = _pad_channels(_full(predicted), self._channels)
            if new_labels is not None:
                labels = self._merge(labels, new_labels, brought)
            if corrections:
                labels = correct_labels(labels, corrections)
                # An object too small for the grid begins when it is not.
                missed = set(corrections) - self.known_channels()
                brought = sorted({*brought, *missed})
        self._keep(features, labels, brought, bool(corrections))
        return labels

    def _merge(
        self, predicted: Tensor, new_labels: Tensor, brought: List[int]
    ) -> Tensor:
        """Lay new objects over a prediction, both ``(1, M, h, w)``."""
        known = self.known_channels()
        if known & set(brought):
            raise ValueError(
                f'frame {self.time} brings channels '
                f'{sorted(known & set(brought))}, already known are '
                f'{sorted(known)}: only new objects may bring labels (0 is '
                'background)'
            )
        channels = max(self._channels, new_labels.shape[1])
        predicted = _pad_channels(predicted, channels)
        if not brought:
            return predicted
        new_labels = _pad_channels(new_labels.to(predicted), channels)
        share = new_labels.sum(dim=1, keepdim=True)
        return (1 - share) * predicted + share * new_labels

    def _keep(
        self,
        features: Tensor,
        labels: Tensor,
        brought: List[int],
        is_corrected: bool,
    ) -> None:
        """Keep a frame, as a reference if it brought or corrected labels."""
        frame, rows = _to_cells(features), labels[0].flatten(1).t()
        if self._search is None:
            self._start(frame)
        keys = self._search.prepare(frame)
        self._search.write(self.time, keys)
        if brought or is_corrected:
            # Copied: the frame may be part of a batch, which would stay
            # with it.
            self._keys.append(keys.clone())
        if is_corrected:
            self.references = [
                self._begin_anew(reference, rows)
                for reference in self.references
            ]
        if brought:
            self._add_reference(rows, brought)
        if self.context:
            first = self.time % self.context * len(rows)
            for reference in self.references:
                table = reference.labels[first : first + len(rows)]
                table[:] = rows[:, reference.channels]
        self._shape, self._channels = tuple(features.shape), labels.shape[1]
        self._label_dtype = labels.dtype
        self.time += 1

    def _add_reference(self, rows: Tensor, brought: List[int]) -> None:
        """Make the newest reference frame, of labels ``(h * w, M)``, that of
        channels which it brought."""
        channels = torch.tensor(brought).to(rows.device, non_blocking=True)
        self._known |= {*brought}
        table = rows.new_zeros((self.context + 1) * len(rows), len(brought))
        table[-len(rows) :] = rows[:, channels]
        frames = (len(self._keys) - 1,)
        self.references.append(Reference(self.time, channels, frames, table))

    def _begin_anew(self, reference: Reference, rows: Tensor) -> Reference:
        """Give a reference the newest reference frame, with its labels
        ``(h * w, M)``, as one more."""
        return reference._replace(
            time=self.time,
            frames=(*reference.frames, len(self._keys) - 1),
            labels=torch.cat([reference.labels, rows[:, reference.channels]]),
        )

    def _start(self, frame: Tensor) -> None:
        """Make room for a video of frames ``(h, w, C)``."""
        self._warn_of_wide_window(*frame.shape[:2])
        self._search = make_search(
            frame,
            self.window,
            self.topk,
            self.context,
            self.compute_dtype,
            self.native,
        )

    def describe_search(self, device: torch.device) -> str:
        """Tell what searches float32 features on a device, in a few words."""
        return describe_search(device, self.compute_dtype, self.native)

    def _warn_of_wide_window(self, height: int, width: int) -> None:
        if not holds_grid(self.window, height, width):
            return
        warnings.warn(
            f'a radius of {self.window.radius:g} cells exceeds the grid of '
            f'{height}x{width} cells: any cell may match any other '
            '(radius=None says that; a finer stride makes more cells)',
            stacklevel=2,
        )

    def _check_features(self, features: Tensor) -> None:
        shape = tuple(features.shape)
        if len(shape) != 4 or shape[0] != 1 or 0 in shape:
            raise ValueError(f'features must be (1, C, h, w), got {shape}')
        if self.time and shape != self._shape:
            raise ValueError(
                f'features of frame {self.time} have shape {shape}, those '
                f'before had {self._shape}: call reset() between videos'
            )
        # A GPU would be waited for: there the codec finds it in the labels.
        if features.device.type == 'cpu':
            extremes = torch.stack(_full(features).aminmax())
            if not extremes.isfinite().all():
                raise ValueError(
                    f'features of frame {self.time} hold values from '
                    f'{float(extremes[0])} to {float(extremes[1])}; expected '
                    'finite ones'
                )

    def _check_labels(self, labels: Tensor, features: Tensor) -> None:
        shape = tuple(labels.shape)
        grid = tuple(features.shape[2:])
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != grid:
            raise ValueError(
                f'new_labels of frame {self.time} have shape {shape}, '
                f'expected (1, M, h, w) = (1, M, {grid[0]}, {grid[1]}) to '
                'fit the features'
            )
        if shape[1] < 1 or not labels.is_floating_point():
            raise ValueError(
                f'new_labels must be floating point with M >= 1 channels, '
                f'got {labels.dtype} of shape {shape}'
            )

    def _check_corrections(
        self, corrections: Mapping[int, Tensor], features: Tensor
    ) -> None:
        unknown = sorted(set(corrections) - {*range(1, self._channels)})
        if unknown:
            raise ValueError(
                f'frame {self.time} corrects channels {unknown}, but only '
                f'{self._channels} have begun before it, and 0, the '
                'background, is what the others leave'
            )
        for channel, labels in corrections.items():
            shape, grid = tuple(labels.shape), tuple(features.shape[2:])
            if shape != grid or not labels.is_floating_point():
                raise ValueError(
                    f'the correction of channel {channel} is {labels.dtype} '
                    f'of shape {shape}, expected floating point (h, w) = '
                    f'{grid} to fit the features'
                )


@MODELS.register_module(name='DenseLabelPropagator')
def _refuse_dense(**_: Any) -> NoReturn:
    raise ValueError(
        'DenseLabelPropagator is gone: LabelPropagator gives the same '
        'result; hvc_mm.models.vos.propagate is the dense formula'
    )


def _refuse(removed: dict) -> None:
    for name in removed:
        if name in _REMOVED:
            raise ValueError(f'LabelPropagator: {name} is gone: {_INSTEAD}')
        raise TypeError(f'LabelPropagator has no argument {name!r}')


def split_context(
    time: int, slots: int, starts: Sequence[int]
) -> List[Segment]:
    """Split the latest frames where references begin to count them.

    Frame ``t`` is in slot ``t % slots`` of a ring. Frames that a reference
    counts are those from its start on: nested suffixes in time.

    Args:
        time: The next frame; the ``slots`` ones before it are live.
        slots: Latest frames that are kept.
        starts: Per reference, time of the first frame that it counts.

    Returns:
        Segments that cover every live frame once. Without a start among
        the live frames it is a single one: within it, the order of the
        frames does not matter.
    """
    oldest = max(0, time - slots)
    # Where all live frames count, the start may be the oldest.
    cuts = {start for start in starts if oldest < start < time}
    if not cuts and oldest < time:
        return [Segment(oldest, 0, min(time, slots))]
    # The newest frames may have started a further round of the ring.
    rounds = {t for t in range(oldest, time) if t % slots == 0}
    edges = sorted({oldest, time} | cuts | rounds)
    return [
        Segment(low, low % slots, low % slots + high - low)
        for low, high in zip(edges, edges[1:])
    ]


def merge_candidates(
    found: Candidates, copies: Tensor, topk: int, temperature: float
) -> Tuple[Tensor, Tensor]:
    """Weigh the ``topk`` best matches among candidates of several frames.

    A frame that is ``m`` times in the context offers each of its cells
    ``m`` times. Such a cell is kept once, with the number of its copies that
    are among the ``topk`` best: of the copies ahead of it, ``c``, there is
    room for ``topk - c`` more. The weights are the softmax over the copies.

    Args:
        found: ``(n, K)``: of every set of frames at least the ``topk`` best.
        copies: How often each is in the context, ``(n, K)``.
        topk: Matches kept, copies included.
        temperature: Divides the scores before the softmax.

    Returns:
        ``weights (n, k)`` that sum to one and ``cells (n, k)``,
        ``k = min(topk, K)``.
    """
    scores, order = found.scores.topk(min(topk, found.scores.shape[1]))
    copies = copies.gather(1, order).to(scores)
    ahead = copies.cumsum(dim=1) - copies
    copies = (topk - ahead).clamp_(min=0).minimum(copies)
    weights = copies * ((scores - scores[:, :1]) / temperature).exp_()
    weights /= weights.sum(dim=1, keepdim=True)
    return weights, found.cells.gather(1, order)


def correct_labels(
    labels: Tensor, corrections: Mapping[int, Tensor]
) -> Tensor:
    """Put corrected channels in the place of predicted ones.

    Args:
        labels: ``(1, M, h, w)``.
        corrections: By channel, ``(h, w)`` in [0, 1], at most 1 in sum.

    Returns:
        ``(1, M, h, w)`` that sum to one in every cell: the corrected
        channels as they are given, and of the others their shares of what
        is left, by ``labels``. Where these are zero it is background.
    """
    channels = list(corrections)
    given = torch.stack([corrections[c] for c in channels]).to(labels)
    others = labels.clone()
    others[:, channels] = 0
    total = others.sum(dim=1, keepdim=True)
    others[:, :1] += total == 0
    total.masked_fill_(total == 0, 1)
    left = (1 - given.sum(dim=0)).clamp_(min=0)
    labels = others / total * left
    labels[:, channels] = given
    return labels


def weighted_labels(table: Tensor, weights: Tensor, cells: Tensor) -> Tensor:
    """Sum the rows ``cells`` ``(n, K)`` of a table ``(rows, M)`` by weight
    to ``(n, M)``."""
    weights = weights.to(table.dtype)
    return F.embedding_bag(
        cells, table, mode='sum', per_sample_weights=weights
    )


def _full(values: Tensor) -> Tensor:
    """Turn half types to float32; wider types stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _to_cells(features: Tensor) -> Tensor:
    """``(1, C, h, w)`` to contiguous ``(h, w, C)``."""
    return _full(features[0].permute(1, 2, 0)).contiguous()


def _pad_channels(labels: Tensor, channels: int) -> Tensor:
    """Append zero channels to ``(N, M, h, w)`` up to ``channels``."""
    missing = channels - labels.shape[1]
    return F.pad(labels, (0, 0, 0, 0, 0, missing)) if missing > 0 else labels
