"""The benchmarks compare like with like, and hold to the right targets."""

import json
import math
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from PIL import Image

from hvc_mm.models.vos import LabelPropagator
from hvc_mm.models.vos.native_search import find_kernel

ARGUMENTS = dict(
    device='cpu',
    quick=True,
    repeats=1,
    seed=0,
    radius=0.1,
    samples=None,
    whole_samples=2,
    cases=None,
    chunks=99,
    compute_dtype=None,
    native='auto',
    features='noise',
    video=None,
    parts=False,
    config=None,
    checkpoint=None,
)


@pytest.fixture
def training(load_tool):
    return load_tool('analysis_tools/benchmark_training.py')


@pytest.fixture
def propagation(load_tool, monkeypatch):
    module = load_tool('analysis_tools/benchmark_propagation.py')
    monkeypatch.setattr(module, 'RADIUS', 4)
    monkeypatch.setattr(module, 'peak_flops', lambda device: 1e9)
    small = (
        module.Case('one', (12, 14), 8, 4, 6, None, 1e9, 0.5, quick=True),
        module.Case('two', (12, 14), 8, 4, 6, 3),
    )
    monkeypatch.setattr(module, 'SMALL', small, raising=False)
    return module


@pytest.fixture
def small_maps(training, monkeypatch):
    monkeypatch.setattr(training, 'CHANNELS', 16)
    monkeypatch.setattr(training, 'GRID', (12, 12))
    monkeypatch.setattr(training, 'peak_flops', lambda device: 1e9)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize('build', ['pair_term', 'whole_loss'])
def test_both_losses_give_the_same(training, small_maps, build):
    torch.manual_seed(0)
    runs, pairs = getattr(training, build)(2, 0.3, 'cpu')
    assert pairs > 0
    ours, dense = runs['ours'](), runs['dense']()
    assert len(ours) == len(dense) > 3
    for one, other in zip(ours, dense):
        assert other.abs().max() > 0
        error = (one - other).abs().max() / other.abs().max()
        assert error < 1e-4


def test_crops_overlap_as_the_recipe_says(training):
    """46.5 pairs a sample on average, none for 14.5%, by the source."""
    torch.manual_seed(0)
    first, second = training.coco_like_boxes(1500)
    assert first.shape == second.shape == (1500, 4)
    assert first.min() >= 0 and first.max() <= 1
    pairs = training.find_positive_pairs(first, second, (32, 32), 0.1)
    assert 42 < pairs.count.float().mean() < 51
    assert 0.12 < (pairs.count == 0).float().mean() < 0.17


@pytest.mark.parametrize(
    'samples, whole, radius, bounds',
    [
        (8, 2, 0.1, [28, 1 / 12, None, None]),
        (2, 32, 0.1, [None, None, 3.3, 0.36]),
        (8, 32, 0.2, [None] * 4),
    ],
)
def test_the_loss_is_held_to_the_recipes_targets(
    training, small_maps, samples, whole, radius, bounds
):
    given = dict(samples=[samples], whole_samples=whole, radius=radius)
    report = training.measure_loss(Namespace(**{**ARGUMENTS, **given}))
    assert [row['what'] for row in report.rows] == [
        f'pair term N={samples}',
        f'whole loss N={whole}',
    ]
    assert [target.bound for target in report.targets] == bounds
    assert [t.at_most for t in report.targets] == [False, True] * 2
    for row in report.rows:
        assert row['largest difference'] < 1e-3
        assert row['time ratio'] == row['dense s'] / row['ours s']


def test_both_propagations_give_the_same(propagation, monkeypatch):
    monkeypatch.setattr(propagation, 'CASES', propagation.SMALL)

    def measured(**given):
        args = Namespace(**{**ARGUMENTS, **given})
        return propagation.measure_propagation(args)

    report = measured(quick=False)
    assert [row['what'] for row in report.rows] == ['one', 'two']
    for row in report.rows:
        assert row['largest difference'] < 1e-5
        assert row['equal ids'] == 1
        assert row['time ratio'] == row['dense s'] / row['ours s']
    gain, memory, same, _ = report.targets
    assert gain.missed, 'a ratio of a thousand million was asked for'
    assert (memory.bound, memory.at_most) == (0.5, True)
    assert same.value == 1 and not same.missed
    (row,) = measured(compute_dtype='bfloat16').rows
    assert row['what'] == 'one'  # of --quick
    (same,) = measured(compute_dtype='bfloat16').targets
    assert same.name == 'equal ids'
    # A difference is seen.
    whole = propagation.dense_labels
    monkeypatch.setattr(
        propagation, 'dense_labels', lambda *given: whole(*given).flip(0)
    )
    report = measured(cases=['two'], quick=False)
    assert report.rows[0]['largest difference'] > 0.01
    assert [target.missed for target in report.targets] == [True]


def test_protocols_against_their_whole_affinity(load_tool, monkeypatch):
    module = load_tool('analysis_tools/benchmark_protocol.py')
    monkeypatch.setattr(module, 'CHANNELS', 8)
    args = Namespace(**ARGUMENTS, names=module.PROTOCOLS)
    report = module.measure_protocol(args)
    assert [row['what'] for row in report.rows] == ['dino', 'dinov3']
    for row, target in zip(report.rows, report.targets):
        assert row['largest difference'] < 1e-5
        assert target.value == row['whole s'] / row['ours s']
    # A window of another shape is seen.
    near = module.window_mask
    monkeypatch.setattr(
        module, 'window_mask', lambda *given: near(*given).roll(1)
    )
    for row in module.measure_protocol(args).rows:
        assert row['largest difference'] > 0.01


@pytest.mark.skipif(find_kernel() is None, reason='the kernel was not built')
def test_the_kernel_next_to_torch(propagation, monkeypatch):
    monkeypatch.setattr(propagation, 'CASES', propagation.SMALL)
    args = Namespace(**{**ARGUMENTS, 'native': 'both', 'quick': False})
    for row in propagation.measure_propagation(args).rows:
        assert row['largest difference'] < 1e-5
        assert row['over torch'] == row['torch s'] / row['ours s']


def test_triton_is_measured_on_a_gpu_alone(propagation):
    args = Namespace(**{**ARGUMENTS, 'native': 'triton'})
    with pytest.raises(SystemExit, match='needs --device cuda:0'):
        propagation.measure_propagation(args)


def test_features_of_a_video(propagation, tmp_path):
    # Not flat: equal features would tie.
    noise = np.random.default_rng(0).integers(256, size=(64, 96, 3))
    for i in range(5):
        picture = np.roll(noise, i, axis=1).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f'{i}.png')
    real = dict(video=str(tmp_path), config='hvc_davis', checkpoint=None)
    args = Namespace(**{**ARGUMENTS, **real})
    report = propagation.measure_propagation(args)
    (row,) = report.rows
    assert row['what'] == '8x12 C=256, video'
    assert row['equal ids'] > 0.95 and not report.targets
    for i in range(3):
        (tmp_path / f'{i}.png').unlink()
    with pytest.raises(SystemExit, match='has 2 frames, at least 3'):
        propagation.measure_propagation(args)


def test_real_features_are_of_the_first_video_of_davis(
    propagation, tmp_path, monkeypatch
):
    monkeypatch.setenv('HVC_DATA_ROOT', str(tmp_path))
    with pytest.raises(SystemExit, match='has no video.*make_sample.py'):
        propagation.first_video('hvc_davis')
    for name in ('bear', 'ant'):
        (tmp_path / f'DAVIS/JPEGImages/480p/{name}').mkdir(parents=True)
    assert propagation.first_video('hvc_davis').endswith('480p/ant')
    given = []
    monkeypatch.setattr(propagation, 'read_features', given.append)
    monkeypatch.setattr(propagation, 'case_of_video', lambda features: None)
    monkeypatch.setattr(propagation, 'measure_case', lambda *_: {})
    args = Namespace(**{**ARGUMENTS, 'features': 'real'})
    assert propagation.measure_propagation(args).rows == [{}]
    assert given == [args]


def test_a_video_next_to_noise(propagation, monkeypatch):
    monkeypatch.setattr(propagation, 'CASES', propagation.SMALL[:1])
    video = [
        torch.nn.functional.normalize(torch.randn(1, 8, 9, 10), dim=1)
        for _ in range(5)
    ]
    monkeypatch.setattr(propagation, 'read_features', lambda args: video)
    for features, rows in (
        ('real', ['9x10 C=8, video']),
        ('both', ['9x10 C=8, video', 'one']),
        ('noise', ['one']),
    ):
        args = Namespace(**{**ARGUMENTS, 'features': features})
        report = propagation.measure_propagation(args)
        assert [row['what'] for row in report.rows] == rows


def test_targets_of_the_shipped_cases(propagation):
    """As asked for, each with the setting it was asked for."""
    found = {
        (case.grid, case.channels, case.context, case.time, case.second): (
            case.gain,
            case.memory,
        )
        for case in propagation.CASES
        if case.gain
    }
    assert found == {
        ((30, 54), 256, 20, 25, None): (2.7, None),
        ((30, 54), 256, 20, 10, 3): (6, None),
        ((60, 107), 256, 50, 55, None): (12, None),
        ((60, 107), 256, 50, 10, None): (30, None),
        ((60, 107), 1280, 50, 55, None): (10, 0.1),
    }


@pytest.mark.parametrize(
    'seconds, gain, missed',
    [
        (0.008, 10, [False, False]),
        (0.0081, 10, [False, True]),
        (0.007, 9.9, [True, False]),
    ],
)
def test_a_gpu_is_held_to_targets_of_its_own(
    propagation, seconds, gain, missed
):
    row = {'ours s': seconds, 'time ratio': gain, 'memory share': 1.0}
    args = Namespace(**{**ARGUMENTS, 'device': 'cuda:0'})
    targets = propagation.case_targets(propagation.CASES[-1], row, args)
    assert [target.missed for target in targets] == missed
    assert propagation.case_targets(propagation.CASES[0], row, args) == []


def test_triton_has_times_of_its_own(propagation):
    args = Namespace(**{**ARGUMENTS, 'device': 'cuda:0', 'native': 'triton'})
    limits = {}
    for case in propagation.CASES:
        row = {'ours s': 1e-4, 'time ratio': 99.0, 'memory share': 1.0}
        for target in propagation.case_targets(case, row, args):
            if target.name == 'its time':
                limits[case.name] = target.bound
    assert limits == {'60x107 C=256': 1e-3, '60x107 C=1280': 2.5e-3}


def test_the_dense_form_runs_chunks_over_the_whole_grid(propagation):
    cells = torch.arange(950)
    assert torch.equal(propagation.spread(cells, 10), cells)
    some = propagation.spread(cells, 3)
    assert some.tolist()[::100] == [0, 300, 600] and len(some) == 300


def test_needed_products(propagation, monkeypatch):
    """By counting pairs on a small grid."""
    monkeypatch.setattr(propagation, 'RADIUS', 3)
    case = propagation.Case('', (5, 6), 3, 4, 9, 2)
    cells = [(y, x) for y in range(5) for x in range(6)]
    pairs = sum(
        (y - v) ** 2 + (x - u) ** 2 < 9 for y, x in cells for v, u in cells
    )
    expected = 2 * 3 * (4 * pairs + 2 * 30**2)
    assert propagation.needed_flop(case) == expected


def test_inference_of_all_forms_gives_the_same_masks(propagation, monkeypatch):
    monkeypatch.setattr(propagation, 'SIZES', ((64, 96),))
    args = Namespace(**ARGUMENTS, frames=2)
    report = propagation.measure_inference(args)
    names = [row['what'] for row in report.rows]
    assert names == ['64x96', '64x96, folded batch norm']
    for row in report.rows:
        assert row['equal ids'] > 0.999
        gain = row['dense s a frame'] / row['ours s a frame']
        assert row['time ratio'] == gain
    models = propagation.make_models('cpu').values()
    norms = [
        sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
        for model in models
    ]
    assert norms[0] == norms[1] > norms[2] == 0


def test_where_a_frames_time_goes(propagation, monkeypatch):
    monkeypatch.setattr(propagation, 'SIZES', ((64, 96),))
    args = Namespace(**{**ARGUMENTS, 'parts': True}, frames=1)
    report = propagation.measure_inference(args)
    (row,) = report.rows
    parts = [row[part] for part in sys.modules['benchmark_frame'].PARTS]
    assert min(parts) > 0 and sum(parts) == pytest.approx(row['all'])
    bar, forms, letters = report.notes
    assert bar.count('b') == pytest.approx(60 * parts[1] / row['all'], abs=1)
    assert 'as tested x1.00' in forms and 'p: propagation' in letters


def test_the_parts_of_a_users_model_and_video(
    propagation, monkeypatch, tmp_path
):
    monkeypatch.setattr(propagation, 'SIZES', ((64, 96),))
    frame = sys.modules['benchmark_frame']
    weights = frame.build_model('hvc_davis', None, 'cpu').backbone.state_dict()
    torch.save(weights, tmp_path / 'hvc.pth')
    picture = np.random.default_rng(0).integers(0, 256, (80, 120, 3))
    for t in range(5):
        Image.fromarray(np.roll(picture, t, 1).astype(np.uint8)).save(
            tmp_path / f'{t}.png'
        )
    given = dict(
        parts=True,
        config='hvc_davis',
        checkpoint=str(tmp_path / 'hvc.pth'),
        video=str(tmp_path),
    )
    args = Namespace(**{**ARGUMENTS, **given}, frames=2)
    (row,) = propagation.measure_inference(args).rows
    assert row['what'] == '64x96 hvc_davis' and row['propagation'] > 0
    # More than there are: four frames are timed, and counted.
    clock = frame.Clock('cpu')
    clock.seconds.update(dict.fromkeys(frame.PARTS, 4.0))
    monkeypatch.setattr(frame, 'time_parts', lambda *given: clock)
    args.frames = 9
    (row,) = propagation.measure_inference(args).rows
    assert row['propagation'] == 1000
    args.parts = False
    with pytest.raises(SystemExit, match='need --parts'):
        propagation.measure_inference(args)
    for t in range(2, 5):
        (tmp_path / f'{t}.png').unlink()
    args.parts = True
    with pytest.raises(SystemExit, match='has 2 frames, at least 3'):
        propagation.measure_inference(args)


def test_the_parts_are_a_test_of_the_frames(load_tool, tmp_path):
    """A still picture is followed: its masks are its first one."""
    frame = load_tool('analysis_tools/benchmark_frame.py')
    model = frame.build_model('hvc_davis', None, 'cpu')
    clip = frame.make_clip(tmp_path, (64, 96), 3, None)
    clip = clip._replace(frames=clip.frames[:1] * 3)
    clock = frame.time_parts(model, clip, 2, 'cpu')
    assert set(clock.seconds) == set(frame.PARTS)
    written = np.array(Image.open(tmp_path / 'pred/00000.png'))
    assert (written == clip.ids).mean() > 0.9 and set(np.unique(written)) == {
        *range(frame.OBJECTS + 1)
    }
    forms = frame.time_backbones(
        model,
        frame.read_frame(model, clip.frames[0], clip.ids),
        Namespace(**ARGUMENTS),
    )
    assert len(forms) == 5 and min(forms.values()) > 0


@pytest.fixture
def exactness(load_tool, monkeypatch):
    module = load_tool('analysis_tools/benchmark_exactness.py')
    monkeypatch.setattr(module, 'CONTEXT', 4)
    for used in module, sys.modules['benchmark_propagation']:
        monkeypatch.setattr(used, 'RADIUS', 4)

    def measure(features, frames=3, **options):
        monkeypatch.setattr(module, 'read_features', lambda args: features)
        args = Namespace(**{**ARGUMENTS, 'quick': False, **options})
        args.frames = frames
        report = module.measure_exactness(args)
        return {row['what']: row for row in report.rows}, report.targets

    return measure


def noise_features(count=8, grid=(9, 11)):
    torch.manual_seed(0)
    shape = (1, 16, *grid)
    return [
        torch.nn.functional.normalize(torch.randn(shape), dim=1)
        for _ in range(count)
    ]


def test_all_forms_are_held_to_float64(exactness):
    rows, targets = exactness(noise_features(), compute_dtype='bfloat16')
    assert {'dense', 'torch', 'torch, bfloat16'} <= set(rows)
    assert ('kernel' in rows) == (find_kernel() is not None)
    for row in rows.values():
        assert row['cells'] == 3 * 99 and row['other ids'] == 0
        assert row['not by a tie'] == 0
        assert 0 < row['largest difference but for ties'] < 1e-5
    assert not any(target.missed for target in targets)


def test_a_wrong_match_is_told_from_a_tie(exactness, monkeypatch):
    """Rounded features choose other cells; equal cells are tied."""
    real = LabelPropagator.predict

    def rounded(self, features):
        return real(self, features.bfloat16().float())

    with monkeypatch.context() as patch:
        patch.setattr(LabelPropagator, 'predict', rounded)
        rows, targets = exactness(noise_features())
    assert rows['torch']['not by a tie'] > 10
    assert any(target.missed for target in targets)
    with monkeypatch.context() as patch:
        patch.setattr(
            LabelPropagator, 'predict', lambda *given: math.nan * real(*given)
        )
        rows, targets = exactness(noise_features())
    assert rows['torch']['not by a tie'] == 3 * 99
    assert any(target.missed for target in targets)
    # In a still video whatever is kept is tied.
    rows, targets = exactness(noise_features(1) * 7)
    assert not any(target.missed for target in targets)
    # Two halves of the grid alike: each cell's matches come in pairs, of
    # which an odd number of places leaves one out.
    features = [
        torch.cat([one[..., :6], one[..., :6]], dim=3)
        for one in noise_features()
    ]
    rows, _ = exactness(features, frames=1)
    assert rows['torch']['not by a tie'] == 0


def test_in_fp32_both_forms_are_the_same_training_step(training, monkeypatch):
    box = torch.tensor([[0.1, 0.2, 0.8, 0.9]]).repeat(3, 1)
    monkeypatch.setattr(training, 'coco_like_boxes', lambda n: (box, box))
    monkeypatch.setattr(
        training, 'BF16OptimWrapper', lambda adam, **_: OptimWrapper(adam)
    )
    steps = training.build_steps(3, 64, 'cpu', seed=0)
    plain, lean = (step.losses for step in steps.values())
    weights = steps['lean'].held()
    for step in steps.values():
        step()
        step()
    assert plain[0] != plain[1]
    # The first step is exact; Adam then magnifies rounding.
    assert lean[0] == pytest.approx(plain[0], abs=1e-4)
    assert lean[1] == pytest.approx(plain[1], abs=5e-2)
    # A step holds weights, target and, once it was taken, the moments.
    model = steps['lean'].model
    count = sum(4 * p.numel() for p in model.parameters())
    assert count < weights < 1.01 * count
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    moments = steps['lean'].held() - weights - 8 * trained
    assert 0 <= moments < 1000  # Adam counts steps


@pytest.mark.parametrize(
    'samples, size, threads, bf16, bound',
    [(8, 256, 2, True, 2.3), (None, 256, 2, True, None)]
    + [(8, 128, 2, True, None), (8, 256, 1, True, None)]
    + [(8, 256, 2, False, None)],
)
def test_the_training_steps_target_is_for_its_setting(
    training, monkeypatch, samples, size, threads, bf16, bound
):
    class Step:
        losses = (0.0,)
        wrapper = Namespace(enabled=bf16)

        def __call__(self):
            pass

    steps = {'plain': Step(), 'lean': Step()}
    monkeypatch.setattr(training, 'build_steps', lambda *_: steps)
    monkeypatch.setattr(
        training, 'best_times', lambda *_: {'plain': 2.0, 'lean': 1.0}
    )
    given = dict(samples=samples, size=size, threads=threads)
    args = Namespace(**{**ARGUMENTS, **given})
    report = training.measure_train_step(args)
    (target,) = report.targets
    (note,) = report.notes
    assert ('is fp32' in note) != bf16
    assert 'holds only with bfloat16 units' in note
    assert (target.value, target.bound) == (2.0, bound)
    assert target.missed is (bound is not None)


def test_every_step_of_the_pipeline_is_timed(training, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / 'a.jpg')
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    args = Namespace(**ARGUMENTS, images=str(tmp_path), number=5)
    report = training.measure_data(args)
    each = {row['what']: row['ms an image'] for row in report.rows}
    steps = [
        'LoadPretrainImage',
        'PairedRandomResizedCrop',
        'PackPairedViews',
        'collate',
    ]
    assert list(each)[:4] == steps
    worker = each['a worker, all of it']
    assert worker == pytest.approx(sum(each[name] for name in steps))
    assert report.targets[0].value == pytest.approx(1e3 / worker)
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(ValueError, match='none of 5 images'):
        training.measure_data(args)


def test_the_command_ends_with_its_targets(run_tool, tmp_path):
    out = tmp_path / 'loss.json'
    done = run_tool(
        *('analysis_tools/benchmark.py', 'loss', '--quick', '--repeats=1'),
        *('--samples=2', '--whole-samples=2', f'--json={out}'),
    )
    last = done.stdout.splitlines()[-1]
    assert last.startswith('pair term N=2 x'), done.stdout
    assert 'whole loss N=2 x' in last and done.returncode == 0
    figures = json.loads(out.read_text())
    assert len(figures['rows']) == 2 and figures['environment']['torch']
    assert len(figures['marks']) == 4 and figures['marks'][0]['bound'] is None
    out.write_text('mine')
    done = run_tool('analysis_tools/benchmark.py', 'loss', f'--json={out}')
    assert done.returncode == 1 and out.read_text() == 'mine'
    assert f'error: {out} exists already' in done.stdout


@pytest.mark.parametrize(
    'command, said',
    [
        (('exactness', '--video', 'no'), 'error: no video no'),
        (('exactness', '--compute-dtype=int8'), "got 'int8'"),
        (('propagation', '--video=setup.py'), 'cannot read the video'),
        (('inference', '--parts', '--checkpoint=no.pth'), 'no.pth: neither'),
        (('inference', '--parts', '--config=no'), 'error: '),
        (('inference', '--video=no'), 'need --parts'),
    ],
)
def test_what_cannot_be_used_is_one_line(
    load_tool, monkeypatch, command, said
):
    tool = load_tool('analysis_tools/benchmark.py')
    monkeypatch.setattr('sys.argv', ['benchmark.py', *command])
    with pytest.raises(SystemExit) as stop:
        tool.main()
    assert said in str(stop.value) and str(stop.value).startswith('error: ')


def test_a_missed_target_is_the_exit_status(load_tool, monkeypatch, capsys):
    tool = load_tool('analysis_tools/benchmark.py')
    measuring = load_tool('analysis_tools/measuring.py')
    report = measuring.Report('all', [{'what': 'a', 's': 0.01, 'MB': None}])

    def measured(args):
        """Give the report."""
        return report

    monkeypatch.setitem(tool.COMMANDS, 'loss', measured)
    monkeypatch.setattr('sys.argv', ['benchmark.py', 'loss'])
    report.targets = [measuring.Target('speed', 3.0, 2)]
    assert tool.main() == 0
    report.targets.append(measuring.Target('memory', 0.5, 0.1, True))
    assert tool.main() == 1
    printed = capsys.readouterr().out
    assert 'n/a' in printed and 'MISSED' in printed.splitlines()[-1]
