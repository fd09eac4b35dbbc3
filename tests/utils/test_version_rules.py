import pytest

from hvc_mm.utils.version_rules import (
    below,
    from_on,
    from_two_sources,
    matching_torchvision,
    mmcv_line,
    numpy_range,
    pair_line,
    wants_operators,
)


@pytest.mark.parametrize(
    ('version', 'bound', 'older'),
    [
        ('0.9.0', '0.10.0', True),  # numbers, not text
        ('2.0.0rc4', '2.0.0', True),
        ('2.0.0rc4', '2.0.0rc4', False),
        ('3.0.0rc6', '3.0.0rc5', False),
        ('2.6.0+cu124', '2.6.0', False),
        ('1.13.1+cu117', '2.0', True),
    ],
)
def test_below_and_from_on_are_opposites(version, bound, older):
    assert below(version, bound) is older
    assert from_on(version, bound) is not older


@pytest.mark.parametrize('version', [None, 'of my own'])
def test_an_unknown_version_is_neither_older_nor_newer(version):
    assert not below(version, '1.0')
    assert not from_on(version, '1.0')


@pytest.mark.parametrize(
    ('torch', 'vision'),
    [
        ('2.0.1', '0.15'),
        ('2.1.0a0+29c30b1', '0.16'),
        ('2.6.0+cpu', '0.21'),
        ('2.13.0', '0.28'),
        ('1.13.1', None),
        ('unknown', None),
    ],
)
def test_matching_torchvision(torch, vision):
    assert matching_torchvision(torch) == vision


@pytest.mark.parametrize(
    ('torch', 'vision', 'mixed'),
    [
        ('2.6.0', '0.21.0', False),
        ('2.6.0+cpu', '0.21.0+cpu', False),
        ('2.6.0+cu124', '0.21.0+cu124', False),
        ('2.6.0+cu124', '0.21.0', False),
        ('2.6.0+cpu', '0.21.0', True),
        ('2.6.0', '0.21.0+cpu', True),
        ('2.6.0+cpu', '0.21.0+cu124', True),
        ('2.6.0+git1234', '0.21.0+cpu', False),
    ],
)
def test_from_two_sources(torch, vision, mixed):
    assert from_two_sources(torch, vision) is mixed


@pytest.mark.parametrize(
    ('line', 'versions', 'start'),
    [
        # The torch that is there is kept.
        (
            pair_line,
            {'torch': '2.4.1+cu121'},
            '"torch==2.4.1" "torchvision==0.19.*" "numpy<2"',
        ),
        # That of MMTracking's column.
        (
            pair_line,
            {'mmtrack': '1.0.0rc1'},
            '"torch==2.0.1" "torchvision==0.15.2" "numpy<1.24"',
        ),
        # Without neighbours no compiler is needed.
        (mmcv_line, {'torch': '2.6.0'}, '"mmcv-lite=='),
    ],
)
def test_lines_for_pip(line, versions, start):
    assert line(versions).startswith(f'pip install {start}')


@pytest.mark.parametrize(
    ('versions', 'mmcv'),
    [
        ({'torch': '2.0.1', 'mmdet': '3.0.0rc5'}, '2.0.0rc4'),
        ({'torch': '2.6.0', 'mmdet': '3.3.0'}, '2.1.0'),
        ({'torch': '2.6.0', 'mmcv': '2.0.0'}, '2.1.0'),
        ({'mmtrack': '1.0.0rc1'}, '2.0.0rc4'),
    ],
)
def test_mmcv_line_builds_operators_where_wanted(versions, mmcv):
    line = mmcv_line(versions)
    assert f'"mmcv=={mmcv}"' in line
    assert 'MMCV_WITH_OPS=1' in line and '--no-build-isolation' in line
    assert '"numpy<' in line and '"opencv-python==' in line


def test_numpy_range_and_operators_follow_the_neighbours():
    assert numpy_range({'mmdet': '3.0.0rc5'}) == '"numpy<1.24"'
    assert numpy_range({'mmdet': '3.3.0'}) == '"numpy<2"'
    assert wants_operators({'mmdet': '3.3.0'})
    assert not wants_operators({'mmcv-lite': '2.1.0'})
