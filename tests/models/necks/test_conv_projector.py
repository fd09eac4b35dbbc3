import torch
import torch.nn.functional as F

from hvc_mm.models.necks import ConvProjector


def test_formula():
    torch.manual_seed(0)
    neck = ConvProjector(6, hidden_channels=5, out_channels=4).eval()
    neck.bn1.running_mean.uniform_(-1, 1)
    x = torch.randn(2, 6, 3, 4)
    h = F.linear(
        x.permute(0, 2, 3, 1), neck.conv1.weight[..., 0, 0], neck.conv1.bias
    )
    h = (h - neck.bn1.running_mean) / (1 + 1e-5) ** 0.5
    h = torch.where(h > 0, h, 0.01 * h)
    y = F.linear(h, neck.conv2.weight[..., 0, 0], neck.conv2.bias) + h
    y = y / (1 + 1e-5) ** 0.5
    y = torch.where(y > 0, y, 0.01 * y)
    out = F.linear(y, neck.conv3.weight[..., 0, 0], neck.conv3.bias)
    torch.testing.assert_close(neck(x), out.permute(0, 3, 1, 2))


def test_takes_the_last_of_a_backbones_maps():
    neck = ConvProjector(6)
    maps = (torch.randn(2, 3, 4, 4), torch.randn(2, 6, 2, 2))
    assert neck.eval()(maps).shape == (2, 256, 2, 2)
    torch.testing.assert_close(neck(maps), neck(maps[1]))
