"""tools/analysis_tools/eval_masks.py: any method's masks, any protocol."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets import read_id_mask, read_image_size, write_id_mask
from hvc_mm.datasets.jhmdb import read_joints

TOOL = 'analysis_tools/eval_masks.py'


@pytest.fixture
def score(call_tool, root_dir):
    """Run the tool in this process on one of the data configs."""

    def run(config, data_root, pred, *options):
        folder = root_dir / 'configs/_base_/datasets'
        if not Path(config).is_file():
            config = folder / f'{config}.py'
        arguments = (config, '--pred', pred, *options)
        return call_tool(TOOL, *arguments, data_root=data_root)

    return run


@pytest.fixture
def davis_masks(sample_dir, tmp_path):
    """The sample's own annotations, as somebody's predictions."""
    folder = tmp_path / 'masks'
    shutil.copytree(sample_dir / 'DAVIS/Annotations/480p', folder)
    return folder


def test_the_annotation_itself_is_perfect(
    score, sample_dir, davis_masks, tmp_path
):
    for video in davis_masks.iterdir():
        masks = sorted(video.iterdir())
        masks[0].unlink()  # the protocol leaves both out
        masks[-1].unlink()
    found = score(
        'davis17_val',
        sample_dir,
        davis_masks,
        f'--results-dir={tmp_path / "scores"}',
        '--per-sequence',
    )
    assert found['davis/J&F'] == found['davis/J_mean'] == 100
    summary = json.loads((tmp_path / 'scores/davis/results.json').read_text())
    assert summary['overall']['J&F'] == 100
    with open(tmp_path / 'scores/davis/results.csv') as file:
        assert {row['J_mean'] for row in csv.DictReader(file)} == {'100.0'}


def test_a_shifted_mask_is_not(score, sample_dir, davis_masks, tmp_path):
    for path in davis_masks.rglob('*.png'):
        write_id_mask(path, np.roll(read_id_mask(path), 9, axis=1))
    # What a config says about writing is not for masks that are there.
    found = score(
        'davis17_val',
        sample_dir,
        davis_masks,
        '--cfg-options',
        'test_evaluator.format_only=True',
        f'test_evaluator.out_dir={tmp_path / "out"}',
    )
    assert 10 < found['davis/J_mean'] < 90
    assert not (tmp_path / 'out').exists()
    merged = score('davis16_val', sample_dir, davis_masks)
    assert merged['davis/J_mean'] > found['davis/J_mean']


def test_masks_of_one_object_with_smooth_edges(
    score, sample_dir, davis_masks, tmp_path
):
    """Refused as ids, also where all ids are merged for scoring."""
    for path in davis_masks.rglob('*.png'):
        image = Image.fromarray((read_id_mask(path) > 0) * np.uint8(255))
        small = image.resize((80, 48), Image.BILINEAR)
        small.resize((160, 96), Image.BICUBIC).save(path)
    with pytest.raises(SystemExit, match=r'error: .*smooth.*--binarize'):
        score('davis16_val', sample_dir, davis_masks)
    found = score('davis16_val', sample_dir, davis_masks, '--binarize')
    assert found['davis/J_mean'] > 90


def test_published_masks(score, shared_dir):
    published = shared_dir / 'golden/published_davis17'
    scores = json.loads((published / 'scores.json').read_text())
    found = score(
        'davis17_val',
        shared_dir / 'data',
        published,
        '--cfg-options',
        'test_dataloader.dataset.videos=[blackswan,car-shadow]',
    )
    for measure in 'JF':
        means = [100 * v[measure]['mean'][0] for v in scores.values()]
        expected = pytest.approx(np.mean(means), abs=1e-9)
        assert found[f'davis/{measure}_mean'] == expected


def test_youtube_vos(score, shared_dir, root_dir, tmp_path):
    folder = shared_dir / 'data/YTVOS/train'
    dataset = dict(
        data_root=str(folder),
        ann_file='meta.json',
        data_prefix=dict(
            _delete_=True, img_path='JPEGImages', ann_path='Annotations'
        ),
        all_frames=False,
    )
    config = tmp_path / 'ytvos_train.py'
    base = root_dir / 'configs/_base_/datasets/ytvos18_val.py'
    loader = dict(dataset=dataset)
    config.write_text(f'_base_ = {str(base)!r}\ntest_dataloader = {loader}\n')
    found = score(config, shared_dir / 'data', folder / 'Annotations')
    assert found['ytvos/overall'] == found['ytvos/J_seen'] == 100


def test_parts_and_joints(score, run_tool, tmp_path):
    made = run_tool(
        'dataset_converters/make_sample.py',
        *(tmp_path / 'sample', '--benchmarks', 'vip', 'jhmdb'),
        *('--size=96x160', '--videos=1', '--frames=4', '--force'),
    )
    assert made.returncode == 0, made.stdout
    sample = tmp_path / 'sample'
    masks = sample / 'VIP/VIP_Fine/Annotations/Category_ids'
    found = score('vip_val', sample, masks)
    assert found['vip/mIoU'] == found['vip/overall_accuracy'] == 100

    folder = sample / 'JHMDB/joint_positions'
    for path in folder.rglob('*.mat'):
        clip = path.parent.relative_to(folder)
        frames = sample / 'JHMDB/Rename_Images' / clip
        height, width = read_image_size(frames / '00001.png')
        size = np.array([width, height]).reshape(2, 1, 1)
        out = tmp_path / f'joints/{clip}.npy'
        out.parent.mkdir(parents=True, exist_ok=True)
        np.save(out, np.maximum(read_joints(str(path)) / size * 40, 0))
    found = score('jhmdb_split1', sample, tmp_path / 'joints')
    assert found['jhmdb/PCK@0.1'] == 100


def test_wrong_input_is_named(
    score, sample_dir, davis_masks, tmp_path, capsys
):
    (tmp_path / 'file').touch()
    (tmp_path / 'old/davis').mkdir(parents=True)
    (tmp_path / 'old/davis/results.json').write_text('of somebody')
    video = min(davis_masks.iterdir())
    (video / '00002.png').unlink()
    with pytest.raises(SystemExit, match=rf'{video.name}/00002\.png'):
        score('davis17_val', sample_dir, davis_masks)
    with pytest.raises(SystemExit):
        score('davis17_val', sample_dir, tmp_path / 'nowhere')
    assert 'nowhere: there is no such folder' in capsys.readouterr().err
    for place, complaint in (
        (davis_masks / 'scores', 'scores is in .*masks, which this run'),
        (sample_dir / 'DAVIS/Annotations/480p', '480p/davis is in'),
        (tmp_path / 'old', r'old/davis/results\.json exists already'),
        (tmp_path / 'file', 'file'),
    ):
        with pytest.raises(SystemExit, match=complaint):
            score(
                'davis17_val',
                sample_dir,
                davis_masks,
                f'--results-dir={place}',
            )
    with pytest.raises(SystemExit, match='has no test_dataloader'):
        score('paired_views', sample_dir, tmp_path)


def test_as_a_user_calls_it(run_tool, root_dir, sample_dir, davis_masks):
    """The data set's place by the environment, and by an option."""
    config = root_dir / 'configs/hvc_davis.py'
    option = ('--cfg-options', f'data_root={sample_dir}')
    for name, data_root, options in (
        (config, sample_dir, ()),
        ('hvc_davis', 'elsewhere', option),
    ):
        done = run_tool(
            TOOL,
            *(name, f'--pred={davis_masks}', *options),
            data_root=data_root,
        )
        assert done.returncode == 0, done.stdout
        assert 'J&F' in done.stdout and '100.0' in done.stdout
