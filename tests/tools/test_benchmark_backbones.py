"""tools/benchmark_backbones.py: the scoreboard as a user makes it."""

import json
import shutil

import pytest

from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet, LabelPropagator

TOOL = 'benchmark_backbones.py'
QUICK = ['test_dataloader.num_workers=0', 'test_evaluator.num_workers=0']


@pytest.fixture
def board(call_tool, sample_dir, capsys):
    """Run the tool in this process; its status, report and output."""

    def run(out, backbones, *arguments, options=QUICK):
        status = call_tool(
            *(TOOL, '--backbones', *backbones, '--out', out, *arguments),
            *('--cfg-options', f'data_root={sample_dir}', *options),
        )
        found = json.loads((out / 'scoreboard.json').read_text())
        return status, found, capsys.readouterr().out

    return run


def by_names(found):
    return {
        (r['backbone']['name'], r['benchmark']['name']): r
        for r in found['runs']
    }


@pytest.mark.slow  # and as a process of its own, to compare
def test_a_report(board, pretrained, run_tool, root_dir, sample_dir, tmp_path):
    out = tmp_path / 'report'
    backbones = [f'hvc={pretrained}', 'random=HVCResNet:depth=18,stage=2']
    names = ('davis', 'davis16', 'jhmdb')
    status, found, printed = board(out, backbones, '--benchmarks', *names)
    assert status == 0
    # The sample has no JHMDB: said, and no reason to stop.
    assert 'JHMDB split 1 is skipped: there is no folder' in printed
    (skipped,) = found['skipped']
    assert skipped['benchmark'] == 'jhmdb' and 'JHMDB' in skipped['why']
    text = (out / 'scoreboard.md').read_text()
    scores = {n: r['scores']['J&F'] for n, r in by_names(found).items()}
    assert set(scores) == {
        (backbone, benchmark)
        for backbone in ('hvc', 'random')
        for benchmark in ('davis', 'davis16')
    }
    for score in scores.values():
        assert 1 < score < 100
        assert f'| {score:.1f} |' in text
    assert len(set(scores.values())) == 4
    pictures = {path.name for path in out.glob('*.png')}
    assert pictures == {
        'score_against_time.png',
        'davis_sequences.png',
        'davis_j_over_time.png',
        'davis16_sequences.png',
        'davis16_j_over_time.png',
    }
    assert all(f'({name})' in text for name in pictures)

    # The same number as by hand.
    tested = run_tool(
        'test.py',
        root_dir / 'configs/hvc_davis.py',
        pretrained,
        f'--work-dir={tmp_path / "work"}',
        '--cfg-options',
        *QUICK,
        data_root=sample_dir,
    )
    assert tested.returncode == 0, tested.stdout
    (path,) = (tmp_path / 'work').glob('[0-9]*/*.json')
    by_hand = json.loads(path.read_text())['davis/J&F']
    assert scores['hvc', 'davis'] == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.slow
def test_parts_and_joints(call_tool, sample_tool, tmp_path):
    spec = '--size=96x160 --videos=2 --frames=4 --benchmarks vip jhmdb'
    assert not sample_tool.main([str(tmp_path / 'data'), *spec.split()])
    out = tmp_path / 'report'
    # The second one's cells are twice as large: joints are pixels.
    backbones = ['fine=HVCResNet:stage=1,strides=(2,)']
    backbones += ['coarse=HVCResNet:stage=2,strides=(2,2)']
    status = call_tool(
        *(TOOL, '--backbones', *backbones, '--out', out),
        *('--cfg-options', f'data_root={tmp_path / "data"}', QUICK[0]),
    )
    assert status == 0
    results = by_names(json.loads((out / 'scoreboard.json').read_text()))
    assert len(results) == 4
    for (_, benchmark), result in results.items():
        head = {'vip': 'mIoU', 'jhmdb': 'PCK@0.1'}[benchmark]
        assert 1 < result['scores'][head] < 100
        assert len(result['sequences']) == 2
        assert result['seconds_per_frame'] > 0 and not result['curves']
    for backbone in ('fine', 'coarse'):
        result = results[backbone, 'jhmdb']
        assert 'grid=40' in result['protocol']['text']
        # Joints in cells of another size would all be wrong.
        assert result['scores']['PCK@0.5'] > 50
    assert {p.name for p in out.glob('*.png')} == {
        'score_against_time.png',
        'vip_sequences.png',
        'jhmdb_sequences.png',
    }


def test_goes_on_and_starts_anew(board, tmp_path):
    backbones = ['a=HVCResNet:depth=18,stage=1']
    davis = ('--benchmarks', 'davis')
    one = ['test_dataloader.dataset.max_frames=3', *QUICK]
    _, first, _ = board(tmp_path, backbones, *davis, options=one)
    (path,) = tmp_path.rglob('result.json')
    written = path.stat().st_mtime_ns
    # One backbone more: the first one's result is taken as it is.
    backbones.append('b=HVCResNet:depth=18,stage=2')
    _, both, _ = board(tmp_path, backbones, *davis, options=one)
    assert both['runs'][0] == first['runs'][0]
    assert [r['backbone']['name'] for r in both['runs']] == ['a', 'b']
    assert path.stat().st_mtime_ns == written
    # Another size of the frames is another setting.
    small = ('--input-size', '48x80')
    _, resized, _ = board(tmp_path, backbones, *davis, *small, options=one)
    small, large = resized['runs'][0], first['runs'][0]
    assert small['protocol']['input_size'] == [48, 80]
    assert small['key'] != large['key']
    assert small['scores'] != large['scores']


def test_protocols_side_by_side(board, tmp_path):
    few = ['test_dataloader.dataset.max_frames=3', *QUICK]
    status, found, printed = board(
        *(tmp_path, ['a=HVCResNet:depth=18,stage=1']),
        *('--benchmarks', 'davis', 'vip', '--input-size', '48x80'),
        *('--protocols', 'own', 'dino', 'crw_jhmdb', 'dino'),
        options=few,
    )
    assert status == 0
    own, dino = found['runs']
    assert own['protocol']['name'] is None
    assert dino['protocol']['name'] == 'dino'
    assert dino['protocol']['model']['propagator']['topk'] == 5
    assert dino['protocol']['input_size'] == [48, 64]
    assert own['scores'] != dino['scores']
    for run, name in ((own, 'own'), (dino, 'dino')):
        path = tmp_path / f'runs/a/davis/{name}/{run["key"]}/result.json'
        assert json.loads(path.read_text()) == run
    # What does not fit is told in one line.
    assert printed.count('protocol crw_jhmdb propagates joints') == 1
    assert dict(benchmark='davis', protocol='crw_jhmdb') in [
        {k: v for k, v in each.items() if k != 'why'}
        for each in found['skipped']
    ]
    text = (tmp_path / 'scoreboard.md').read_text()
    assert '### Protocol: dino but for the size of frames' in text
    assert f'| a | dino | {dino["scores"]["J&F"]:.1f} |' in text


def test_a_protocol_that_fails_is_alone(board, tmp_path, monkeypatch):
    """Though it shares the features with others."""
    step = LabelPropagator.step

    def broken(self, *arguments):
        if self.temperature == 0.07:
            raise RuntimeError('no such step')
        return step(self, *arguments)

    monkeypatch.setattr(LabelPropagator, 'step', broken)
    status, found, _ = board(
        *(tmp_path, ['a=HVCResNet:depth=18,stage=1']),
        *('--benchmarks', 'davis', '--input-size', '48x80'),
        *('--protocols', 'crw', 'vfs'),
        options=['test_dataloader.dataset.max_frames=3', *QUICK],
    )
    assert status == 1
    assert [r['protocol']['name'] for r in found['runs']] == ['crw']
    (told,) = found['failures']
    assert told['protocol'] == 'vfs' and 'no such step' in told['why']


@pytest.mark.parametrize(
    'protocols, message',
    [
        (['dino', 'dinov4'], "no protocol 'dinov4'; did you mean dinov3"),
        (['crw_vip', 'crw_jhmdb'], 'none of these protocols fits'),
    ],
)
def test_protocols_that_cannot_be(board, tmp_path, protocols, message):
    with pytest.raises(SystemExit, match=message):
        board(
            *(tmp_path / 'report', ['HVCResNet:stage=1']),
            *('--benchmarks', 'davis', '--protocols', *protocols),
        )
    assert not (tmp_path / 'report').exists()


@pytest.mark.parametrize('failure', [RuntimeError, TypeError])
def test_a_failure_is_told_and_the_rest_is_scored(
    board, tmp_path, monkeypatch, failure
):
    forward = HVCResNet.forward

    def broken(self, x):
        # It works when it is tried, and fails on the data.
        if self.out_indices == (0,) and x.any():
            raise failure('out of memory')
        return forward(self, x)

    monkeypatch.setattr(HVCResNet, 'forward', broken)
    status, found, printed = board(
        tmp_path,
        ['bad=HVCResNet:depth=18,stage=1', 'good=HVCResNet:depth=18,stage=2'],
        '--benchmarks',
        'davis',
        options=['test_dataloader.dataset.max_frames=3', *QUICK],
    )
    assert status == 1
    (told,) = found['failures']
    assert told['backbone'] == 'bad'
    assert told['why'] == f'{failure.__name__}: out of memory'
    assert [r['backbone']['name'] for r in found['runs']] == ['good']
    text = (tmp_path / 'scoreboard.md').read_text()
    assert f'bad on davis by own: failed, {told["why"]}' in text


def test_a_frame_that_a_worker_cannot_read_is_one_line(
    board, sample_dir, tmp_path
):
    shutil.copytree(sample_dir / 'DAVIS', tmp_path / 'data/DAVIS')
    image = max((tmp_path / 'data/DAVIS/JPEGImages').rglob('*.jpg'))
    image.write_bytes(image.read_bytes()[:900])
    status, found, printed = board(
        tmp_path / 'report',
        ['HVCResNet:depth=18,stage=1'],
        *('--benchmarks', 'davis'),
        options=[
            f'data_root={tmp_path}/data',
            'test_dataloader.num_workers=1',
        ],
    )
    assert status == 1
    (told,) = found['failures']
    assert told['why'].startswith(
        f'BrokenImageError: cannot read the image {image}: '
    )
    assert '\n' not in told['why']


@pytest.mark.parametrize(
    'backbone, message',
    [
        ('r=HVCResNet:stage=9', 'backbone r: HVCResNet, stage 9 cannot'),
        ('r=BROKEN', r"backbone r: .*broken\.pth: can't be read"),
    ],
)
def test_mistakes_come_before_the_first_run(
    board, tmp_path, backbone, message
):
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'PK\x03\x04 cut off')
    backbone = backbone.replace('BROKEN', str(broken))
    with pytest.raises(SystemExit, match=message):
        board(tmp_path / 'report', ['HVCResNet:stage=1', backbone])
    assert not (tmp_path / 'report').exists()


@pytest.mark.parametrize(
    'out, message',
    [
        ('data/DAVIS/report', 'report/scoreboard.json is in .*DAVIS'),
        ('data/DAVIS', 'DAVIS/scoreboard.json is in .*DAVIS, which'),
        ('mine', 'mine/scoreboard.md exists already, and no earlier run'),
        ('file', 'file'),
    ],
)
def test_a_report_is_written_over_nothing_of_others(
    call_tool, sample_dir, tmp_path, out, message
):
    (tmp_path / 'data').symlink_to(sample_dir)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/scoreboard.md').write_text('my own notes')
    (tmp_path / 'file').write_text('mine')
    before = {path: path.read_bytes() for path in sample_dir.rglob('*.*')}
    with pytest.raises(SystemExit, match=message):
        call_tool(
            *(TOOL, '--backbones', 'HVCResNet:stage=1', '--benchmarks'),
            *('davis', '--out', tmp_path / out),
            *('--cfg-options', f'data_root={tmp_path / "data"}'),
        )
    assert (tmp_path / 'mine/scoreboard.md').read_text() == 'my own notes'
    after = {path: path.read_bytes() for path in sample_dir.rglob('*.*')}
    assert after == before


def test_data_that_are_not_there(load_tool, tmp_path):
    missing_data = load_tool(TOOL).missing_data
    cfg = read_config('hvc_davis')
    dataset = cfg.test_dataloader.dataset
    root = tmp_path / 'DAVIS'
    dataset.update(data_root=str(root), ann_file='lists/val.txt')
    assert missing_data(cfg) == f'there is no folder {root}'
    (root / 'lists').mkdir(parents=True)
    assert 'there is no list' in missing_data(cfg)
    (root / 'lists/val.txt').write_text('')
    assert missing_data(cfg) is None
    dataset.pop('ann_file')
    assert missing_data(cfg) is None


def test_no_data_at_all(call_tool, tmp_path):
    with pytest.raises(SystemExit, match='HVC_DATA_ROOT'):
        call_tool(
            *(TOOL, '--backbones', 'HVCResNet:stage=1'),
            *('--out', tmp_path / 'r', '--cfg-options'),
            f'data_root={tmp_path}',
        )


@pytest.mark.parametrize('size', ['240', '240x', '0x3', 'axb'])
def test_sizes(load_tool, size, capsys):
    parse_args = load_tool(TOOL).parse_args
    arguments = ['--backbones', 'X', '--out', 'r', '--input-size']
    with pytest.raises(SystemExit):
        parse_args([*arguments, size])
    assert 'is no size; expected HEIGHTxWIDTH' in capsys.readouterr().err
    assert parse_args([*arguments, '240x432']).input_size == (240, 432)


def test_help_tells_how_to_name_a_backbone(call_tool, capsys):
    with pytest.raises(SystemExit, match='0'):
        call_tool(TOOL, '--help')
    printed = capsys.readouterr().out
    for part in ('[NAME=][SCOPE.]TYPE[:KEY=VALUE,...]', 'stage=N', 'map=I'):
        assert part in printed
