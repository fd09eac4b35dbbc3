"""From versions and findings to problems, with invented ones."""

import json

import pytest

COLUMN_B = {
    'torch': '2.6.0',
    'torchvision': '0.21.0',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'numpy': '1.26.4',
    'setuptools': '69.5.1',
}


@pytest.fixture
def tool(load_tool):
    return load_tool('misc/env_verdict.py')


@pytest.fixture
def judge(tool):
    """Problems of column B with one finding changed."""

    def judged(versions=COLUMN_B, doubled=(), driver=None, **changed):
        findings = {
            name: tool.Finding(True, 'fine')
            for name in ('pair', 'opencv', 'operators', 'mmdet')
        }
        findings['gpu'] = gpu(tool)
        findings.update(changed)
        return tool.judge(versions, findings, list(doubled), driver)

    return judged


def gpu(tool, devices=(), code=('sm_80', 'sm_90'), cuda='12.4'):
    said = dict(devices=devices, code=code, cuda=cuda)
    return tool.Finding(True, json.dumps(said))


def test_nothing_wrong_is_no_problem(judge):
    assert judge() == []


@pytest.mark.parametrize(
    ('probe', 'mend', 'fatal'),
    [
        ('pair', 'pip uninstall -y torch torchvision && pip install', True),
        ('opencv', '"opencv-python-headless==', True),
        ('operators', 'pip install --no-cache-dir --no-build-isol', False),
        ('mmdet', 'pip install "mmdet==3.3.0"', False),
    ],
)
def test_a_probe_that_fails_is_a_problem(tool, judge, probe, mend, fatal):
    failed = tool.Finding(False, 'ImportError: undefined symbol')
    (problem,) = judge(**{probe: failed})
    assert problem.what.endswith(': ImportError: undefined symbol')
    assert mend in problem.mend
    assert problem.fatal is fatal


def test_what_the_versions_explain_is_told_once(tool, judge):
    failed = tool.Finding(False, 'RuntimeError: nms does not exist')
    versions = {**COLUMN_B, 'torchvision': '0.15.2'}
    (problem,) = judge(versions, pair=failed, operators=failed, mmdet=failed)
    assert 'goes with torchvision 0.21' in problem.what


def test_doubled_metadata_is_a_problem(judge):
    (problem,) = judge(doubled=['matplotlib'])
    assert problem.what == 'matplotlib left two copies of its metadata.'
    assert problem.mend.endswith('pip install matplotlib')


def test_doubled_metadata_counts_within_one_folder(tool):
    names = [
        ('/site', 'matplotlib'),
        ('/site', 'Matplotlib'),
        ('/site', 'hvc_mm'),
        ('/checkout', 'hvc-mm'),
    ]
    assert tool.doubled_metadata(names) == ['matplotlib']


def test_a_gpu_that_torch_has_no_code_for(tool, judge):
    finding = gpu(tool, [['H200', [9, 0]]], ['sm_80', 'sm_86'], '11.7')
    (problem,) = judge(gpu=finding, driver='H200')
    assert 'no code for H200 (compute capability 9.0)' in problem.what
    assert problem.mend == 'make env COLUMN=b'


def test_a_gpu_that_torch_can_use(tool, judge):
    assert judge(gpu=gpu(tool, [['H200', [9, 0]]]), driver='H200') == []


def test_a_gpu_that_a_torch_without_cuda_cannot_see(tool, judge):
    (problem,) = judge(gpu=gpu(tool, cuda=None), driver='H200')
    assert 'H200 is there' in problem.what
    assert 'built without CUDA' in problem.what
    assert problem.mend.startswith('pip uninstall -y torch torchvision && ')


def test_a_gpu_that_is_hidden(tool, judge):
    (problem,) = judge(gpu=gpu(tool), driver='H200')
    assert 'nvidia-smi' in problem.mend


@pytest.mark.parametrize(
    ('capability', 'built_for', 'good'),
    [
        ((8, 6), ['sm_80'], True),
        ((8, 0), ['sm_86'], False),
        ((9, 0), ['sm_80', 'sm_86'], False),
        ((9, 0), ['sm_80', 'compute_80'], True),
        ((7, 5), ['compute_80'], False),
        ((9, 0), ['sm_90a'], True),
        ((9, 1), ['sm_90a'], False),
        ((12, 0), ['sm_90', 'sm_120'], True),
        ((9, 0), [], False),
    ],
)
def test_has_code_for(tool, capability, built_for, good):
    assert tool.has_code_for(capability, built_for) is good


@pytest.mark.parametrize(
    ('versions', 'column'),
    [
        ({'mmtrack': '1.0.0rc1', 'mmcv': '2.0.0rc4'}, 'a'),
        ({'mmcv': '2.0.0rc4'}, 'a'),
        ({'mmcv': '2.1.0'}, 'b'),
        ({'mmcv-lite': '2.1.0'}, 'minimal'),
        ({}, 'minimal'),
    ],
)
def test_likely_column(tool, versions, column):
    assert tool.likely_column(versions) == column
