"""tools/analysis_tools/eval_tracker.py: the tracker on videos of DAVIS."""

import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from hvc_mm.datasets import write_id_mask
from hvc_mm.engine.other_projects import lacks_tracking
from hvc_mm.models import HVCResNet
from hvc_mm.utils.environment import installed_versions

TOOL = 'analysis_tools/eval_tracker.py'


@pytest.fixture
def davis(tmp_path, moving_square):
    """One video; the lower right corner is a second object, 255 is void."""
    for time, (image, mask) in enumerate(zip(*moving_square)):
        mask = mask.copy()
        mask[40:, 48:] = 2
        mask[:2] = 255
        for kind in ('JPEGImages', 'Annotations'):
            (tmp_path / kind / '480p/square').mkdir(
                parents=True, exist_ok=True
            )
        name = f'480p/square/{time:05d}'
        cv2.imwrite(str(tmp_path / f'JPEGImages/{name}.jpg'), image)
        write_id_mask(tmp_path / f'Annotations/{name}.png', mask)
    return tmp_path


def test_detections_are_eroded_and_say_no_identity(davis, load_tool):
    pytest.importorskip('pycocotools')
    tool = load_tool(TOOL)
    detector = tool.ErodedMasks(str(davis / 'Annotations/480p'), 2, seed=0)
    first = set()
    for time in range(8):
        path = davis / f'JPEGImages/480p/square/{time:05d}.jpg'
        sample = SimpleNamespace(img_path=str(path))
        detector.predict(None, [sample])
        found = sample.pred_instances
        assert found.masks.dtype == torch.bool
        # 12 x 12 of the square; the image's own edge takes nothing away.
        areas = found.masks.flatten(1).sum(1).tolist()
        assert sorted(areas) == [6 * 14, 12 * 12]
        first.add(areas[0])
        assert found.labels.tolist() == [0, 0]
        assert found.scores.tolist() == [1, 1]
        assert set(found.keys()) == {'masks', 'bboxes', 'labels', 'scores'}
    assert len(first) == 2  # in another order now and then


def test_the_annotation_is_that_of_youtube_vis(davis, load_tool):
    coco_mask = pytest.importorskip('pycocotools.mask')
    content = load_tool(TOOL).annotate(str(davis), 'square')
    assert [i['frame_id'] for i in content['images']] == list(range(8))
    ids = [a['instance_id'] for a in content['annotations']]
    assert ids == [1, 2] * 8
    third = content['annotations'][6]
    assert third['bbox'] == [14, 16, 16, 16] and third['area'] == 256
    mask = coco_mask.decode(third['segmentation'])
    assert np.argwhere(mask)[0].tolist() == [16, 14]


@pytest.mark.slow
def test_detections_on_every_frame_keep_their_identity(davis, run_tool):
    versions = installed_versions()
    if not versions['mmtrack'] and (not versions['mmdet'] or lacks_tracking()):
        pytest.skip('neither MMTracking nor MMDetection >= 3.1 is installed')
    torch.manual_seed(0)
    torch.save(HVCResNet(18, out_indices=(2,)).state_dict(), davis / 'r.pth')
    done = run_tool(
        TOOL,
        *('--data-root', davis, '--weights', davis / 'r.pth'),
        *('--videos', 'square', '--every', 1, '--erode', 0),
    )
    assert done.returncode == 0, done.stdout
    assert 'square, 8 frames, 2 objects:' in done.stdout
    scores = re.findall(r'AP50 (\S+)  detections on (.+)', done.stdout)
    assert [title for _, title in scores] == [
        'the first frame',
        'one of 1 frames',
        'one of 1 frames, lost objects not found again',
    ]
    assert scores[1][0] == scores[2][0] == '1.000'


def test_misuse(davis, call_tool, load_tool, capsys):
    pytest.importorskip('pycocotools')
    arguments = ['--data-root', davis, '--weights', 'a.pth']
    for wrong, said in (
        (['--every', 0], '--every is 0; expected at least 1'),
        (['--erode', -1], '--erode is -1; expected at least 0'),
        (['--data-root', davis / 'gone'], 'gone has no folder JPEGImages'),
    ):
        with pytest.raises(SystemExit):
            call_tool(TOOL, *arguments, *wrong)
        assert said in capsys.readouterr().err
    tool = load_tool(TOOL)
    with pytest.raises(SystemExit, match='--videos gone: no frames in'):
        tool.annotate(str(davis), 'gone')
