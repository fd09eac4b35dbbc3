"""Agreement with the dense form in float64 on features of real frames."""

import cv2
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.backbones import HVCResNet
from hvc_mm.models.vos import DenseLabelPropagator, LabelPropagator
from hvc_mm.models.vos.propagation import outside_disc

SIZE = 432, 240
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CONTEXT = 12


@pytest.fixture(scope='module')
def clip(shared_dir):
    """Features ``(1, 1024, 30, 54)`` of frames, and the first's labels."""
    data = shared_dir / 'data'
    (weights,) = (data / 'weights').glob('resnet50_*.pth')
    net = HVCResNet(50, out_indices=2, style='caffe').eval()
    state = torch.load(weights, map_location='cpu', weights_only=True)
    net.load_state_dict({k: v.float() for k, v in state.items()})
    root = data / 'DAVIS'
    frames = sorted((root / 'JPEGImages/480p/dogs-jump').glob('*.jpg'))[:20]
    features = []
    with torch.no_grad():
        for path in frames:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            image = torch.from_numpy(cv2.resize(image, SIZE)).float()
            image = (image - torch.tensor(MEAN)) / torch.tensor(STD)
            maps = net(image.permute(2, 0, 1)[None])
            maps = maps[0] if isinstance(maps, tuple) else maps
            features.append(F.normalize(maps, dim=1))
    ids = read_ids(root / 'Annotations/480p/dogs-jump/00000.png')
    planes = F.one_hot(ids, 4).permute(2, 0, 1)[None].float()
    grid = features[0].shape[2:]
    planes = F.interpolate(planes, grid, mode='bilinear', align_corners=True)
    return features, planes


def read_ids(path):
    from PIL import Image

    with Image.open(path) as image:
        ids = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        return ids.view(image.height, image.width).long()


@pytest.mark.slow
def test_ids_equal_those_of_the_exact_form(clip):
    """Wherever the last kept and the first dropped affinity differ by more
    than float32 can tell."""
    features, planes = clip
    assert features[0].shape == (1, 1024, 30, 54)
    settings = {'radius': 12, 'topk': 15, 'context': CONTEXT}
    mine = LabelPropagator(**settings)
    exact = DenseLabelPropagator(**settings)
    excused = cells = 0
    for t, frame in enumerate(features):
        if t == 0:
            mine.step(frame, planes)
            exact.step(frame.double(), planes.double())
            continue
        found = mine.predict(frame)
        if t in (1, 2, 7, CONTEXT, CONTEXT + 2, len(features) - 1):
            wide = frame.double()
            expected = exact.predict(wide)
            clear = gap_at_k(exact, wide) >= 1e-6
            error = (found - expected).abs().amax(1).flatten()
            assert error[clear].max() < 2e-5
            equal = (found.argmax(1) == expected.argmax(1)).flatten()
            assert equal[clear].all()
            excused += int((~clear).sum())
            cells += clear.numel()
            assert found.argmax(1).unique().numel() == 4, 'objects got lost'
        # Both go on from the same labels.
        mine.observe(frame, found)
        exact.observe(frame.double(), found.double())
    assert excused < 0.01 * cells


def gap_at_k(dense, features):
    """Last kept affinity minus the first dropped one, ``(h * w,)``."""
    (reference,) = dense.references
    keys, _ = dense.gather(reference)
    queries = features[0].flatten(1).t()
    times = torch.tensor(dense.context_of(reference.time))
    gaps = []
    area = len(queries)
    for cells in torch.arange(area).split(200):
        scores = queries[cells].expand(len(keys), -1, -1) @ keys.flatten(2)
        far = outside_disc(cells, *features.shape[2:], dense.radius)
        scores[1:].masked_fill_(far, float('-inf'))
        flat = scores.transpose(0, 1).flatten(1)
        top, index = flat.topk(dense.topk + 1, dim=1)
        # Copies of one frame tie, and it does not matter which is taken.
        cell = times[index // area] * area + index % area
        gap = top[:, -2] - top[:, -1]
        gap[cell[:, -2] == cell[:, -1]] = 1
        gaps.append(gap)
    return torch.cat(gaps)
