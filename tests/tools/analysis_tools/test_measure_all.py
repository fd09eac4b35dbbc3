"""The whole programme by one command; small, and on a CPU."""

import json

import pytest
import torch

SMALL = (
    '--extra=data=--number 4 --repeats 1',
    '--extra=training=train_dataloader.batch_size=2 '
    'train_dataloader.dataset.pipeline.1.size=64 '
    'train_dataloader.num_workers=1',
    '--extra=scores=test_dataloader.dataset.max_frames=3 '
    'test_dataloader.num_workers=0 test_evaluator.num_workers=0',
)


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/measure_all.py')


@pytest.fixture
def arguments(sample_dir, tmp_path):
    return [
        f'--images={sample_dir}/coco/train2017',
        f'--davis={sample_dir}/DAVIS',
        f'--out={tmp_path}/new/report.json',
        '--device=cpu',
    ]


@pytest.mark.slow
def test_everything_ends_in_one_file(run_tool, arguments, tmp_path):
    done = run_tool(
        'analysis_tools/measure_all.py',
        *arguments,
        *SMALL,
        '--minutes=0.05',
        *('--stages', 'training', 'scores', 'data'),
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / 'new/report.json').read_text())
    assert report['note'].startswith('no GPU in use')
    stages = report['stages']
    assert list(stages) == ['training', 'scores', 'data']
    assert {stage['status'] for stage in stages.values()} == {'done'}
    curve = stages['training']['result']['curve']
    assert len(curve['loss']) == stages['training']['result']['iterations'] > 0
    results = stages['scores']['result']['results']
    assert list(results) == ['hvc', 'random']
    checkpoint = stages['training']['result']['checkpoint']
    assert list(results['hvc']['weights']) == [checkpoint]
    assert results['hvc']['scores'] != results['random']['scores']
    last = done.stdout.splitlines()[-1]
    assert last.startswith('last loss') and 'J&F of hvc' in last


def test_mistakes_come_before_anything_is_run(tool, arguments, tmp_path):
    def message(*more):
        with pytest.raises(SystemExit) as error:
            tool.main([*arguments, *more])
        return str(error.value)

    missing = tmp_path / 'missing'
    assert f'no such image folder: {missing}' in message(f'--images={missing}')
    assert str(missing) in message(f'--davis={missing}')
    assert 'r50.pth' in message('--resnet50=r50.pth')
    assert 'at most 7' in message('--minutes=8')
    assert 'more than 0' in message('--minutes=0')
    assert 'blanks' in message('--davis=my data/DAVIS')
    assert "'loss'" in message('--extra=loss')
    assert 'with a stage of' in message('--extra=nothing=--x')
    if not torch.cuda.is_available():
        assert 'no GPU' in message('--device=cuda')
    assert not (tmp_path / 'new/report.json').exists()
