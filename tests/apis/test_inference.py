"""Models from configs; the generator gives what a benchmark gives."""

from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from hvc_mm.apis import (
    init_model,
    open_frames,
    propagate_in_video,
    video_features,
)
from hvc_mm.apis.inference import frame_pipeline
from hvc_mm.datasets import VOSDataset, write_id_mask
from hvc_mm.models import LabelPropagator


def test_weights_reach_the_backbone(tiny_cfg, tiny_model, tmp_path):
    weights = {
        name: torch.randn_like(tensor) if tensor.ndim else tensor
        for name, tensor in tiny_model.backbone.state_dict().items()
    }
    torch.save(weights, tmp_path / 'w.pth')
    model = init_model(tiny_cfg, tmp_path / 'w.pth', device='cpu')
    assert not model.training
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_config_forms_and_options(tiny_cfg):
    options = {'model.propagator.topk': 2}
    for form in (tiny_cfg, Config(tiny_cfg)):
        with DefaultScope.overwrite_default_scope('mmengine'):
            with pytest.warns(UserWarning, match='random'):
                model = init_model(form, device='cpu', cfg_options=options)
            scope = DefaultScope.get_current_instance()
            assert scope.scope_name == 'mmengine'
        assert model.propagator.topk == 2
        assert model.cfg.model.propagator.topk == 2
    assert tiny_cfg['model']['propagator']['topk'] == 5


def test_what_cannot_be_used_is_named(tiny_cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.pth'):
        init_model(tiny_cfg, tmp_path / 'no.pth')
    with pytest.raises(TypeError, match='hvc_coco.*type HVC'):
        init_model('hvc_coco', device='cpu')
    (tmp_path / 'bad.pth').write_bytes(b'<html>')
    with pytest.raises(ValueError, match='bad.pth'):
        init_model(tiny_cfg, tmp_path / 'bad.pth')
    torch.save({'fc.weight': torch.ones(2)}, tmp_path / 'fc.pth')
    with pytest.raises(ValueError, match='fc.pth: none of the tensors'):
        init_model(tiny_cfg, tmp_path / 'fc.pth')


def test_same_ids_as_a_benchmark(
    tiny_model, frame_folder, moving_square, late_mask, tmp_path
):
    images, masks = moving_square
    first = masks[0]
    for index, ids in ((0, first), (3, late_mask)):
        write_id_mask(tmp_path / f'ann/square/{index}.png', ids)
    folders = dict(img_path=str(tmp_path), ann_path=str(tmp_path / 'ann'))
    steps = ('LoadFrame', 'LoadPrompt', 'PackVOSInputs')
    dataset = VOSDataset(
        ann_file='',
        data_prefix=folders,
        videos=['square'],
        prompt_at='new_objects',
        pipeline=[dict(type=f'hvc_mm.{step}') for step in steps],
    )
    expected = [
        tiny_model.test_step(pseudo_collate([dataset[i]]))[0].pred_ids
        for i in range(len(dataset))
    ]
    for frames, batch_size in ((images, 1), (frame_folder, 3)):
        results = list(
            propagate_in_video(
                tiny_model, frames, {0: first, 3: late_mask}, batch_size
            )
        )
        assert [index for index, _, _ in results] == list(range(8))
        for (index, ids, found), wanted in zip(results, expected):
            assert ids == ([1] if index < 3 else [1, 5])
            assert found.shape == (len(ids), 48, 64) and found.dtype == bool
            for object_id, mask in zip(ids, found):
                np.testing.assert_array_equal(mask, wanted == object_id)
        followed, true = results[-1][2][0], masks[-1] == 1
        assert (followed & true).sum() / (followed | true).sum() > 0.7


def test_first_mask_in_the_middle_and_one_added_on_the_way(
    tiny_model, moving_square, late_mask
):
    images, masks = moving_square
    given = {2: masks[2]}
    seen = {}
    for index, ids, found in propagate_in_video(tiny_model, images, given):
        seen[index] = (ids, found)
        if index == 4:
            given[5] = late_mask
    assert seen[1][0] == [] and seen[1][1].shape == (0, 48, 64)
    assert seen[2][0] == seen[4][0] == [1] and seen[4][1].any()
    assert seen[5][0] == [1, 5] and seen[7][1][1].any()


def test_a_mask_given_again_is_followed_from_there(tiny_model):
    """A square jumps out of every window, so that it is lost."""
    ground = np.random.default_rng(0).integers(0, 90, (48, 64, 3), np.uint8)
    images, truth = [], []
    for left in (4, 6, 40, 42, 44, 46):
        image, mask = ground.copy(), np.zeros((48, 64), bool)
        image[12:28, left : left + 16] = 200, 120, 40
        mask[12:28, left : left + 16] = True
        images.append(image), truth.append(mask)
    tiny_model.propagator = LabelPropagator(
        3, topk=5, context=4, reference_in_window=True
    )

    def play(masks, batch_size=1):
        frames = propagate_in_video(tiny_model, images, masks, batch_size)
        found = [found[0] for _, ids, found in frames if ids == [1]]
        return [(a & b).sum() / (a | b).sum() for a, b in zip(found, truth)]

    plain = play({0: truth[0]})
    fixed = play({0: truth[0], 3: truth[3]})
    assert fixed[:3] == plain[:3] and max(plain[3:]) < 0.2
    assert min(fixed[3:]) > 0.7
    assert play({0: truth[0], 3: {1: truth[3]}}, batch_size=4) == fixed
    gone = play({0: truth[0], 2: {1: np.zeros((48, 64), bool)}})
    assert gone[:2] == plain[:2] and not any(gone[2:])


def test_soft_labels_on_request(tiny_model, moving_square, late_mask):
    images, masks = moving_square
    given = {1: masks[1] * 7, 3: late_mask}
    plain = propagate_in_video(tiny_model, images, given)
    asked = propagate_in_video(
        tiny_model, images, given, return_soft_labels=True
    )
    for (index, ids, found), (*same, soft) in zip(plain, asked):
        assert same[:2] == [index, ids] and soft.dtype == np.float32
        np.testing.assert_array_equal(same[2], found)
        assert soft.shape == (len(ids) + 1, 48, 64)
        largest = np.array([0, *ids])[soft.argmax(0)]
        for object_id, mask in zip(ids, found):
            np.testing.assert_array_equal(largest == object_id, mask)
        if index < 3:
            np.testing.assert_allclose(soft.sum(0), 1, atol=1e-5)


def test_frames_are_read_as_needed_and_memory_stays_flat(
    tiny_model, moving_square, monkeypatch
):
    images, masks = moving_square
    read, sizes = [], []
    stream = tiny_model.new_stream()
    monkeypatch.setattr(tiny_model, 'new_stream', lambda: stream)
    frames = (read.append(t) or images[t % 8] for t in range(24))
    for index, _, _ in propagate_in_video(tiny_model, frames, masks[0]):
        assert len(read) == index + 1
        sizes.append(held_bytes(stream))
    assert sizes[0] > 0
    assert max(sizes) == max(sizes[:8])


def held_bytes(thing, seen=None):
    """Bytes of all tensors that an object holds, directly or in containers."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        return thing.untyped_storage().nbytes()
    if isinstance(thing, dict):
        return sum(held_bytes(v, seen) for v in thing.values())
    if isinstance(thing, (list, tuple, set)) or hasattr(thing, 'popleft'):
        return sum(held_bytes(v, seen) for v in thing)
    return held_bytes(vars(thing), seen) if hasattr(thing, '__dict__') else 0


@pytest.fixture
def two_videos(moving_square, late_mask):
    """Frames and masks of two, of other sizes and with other objects."""
    images, masks = moving_square
    small = [np.ascontiguousarray(image[::-1, 8:]) for image in images]
    first = np.ascontiguousarray(masks[0][::-1, 8:])
    late = np.ascontiguousarray(late_mask[:, 8:])
    return [
        (images, {0: masks[0], 3: late_mask, 5: {1: masks[5] == 1}}),
        (small[:7], {1: first * 9, 2: late}),
    ]


def _assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one[:2] == other[:2]
        np.testing.assert_array_equal(one[2], other[2])


def test_videos_in_turn_on_one_model(tiny_model, two_videos):
    """Each has a state of its own, and the model keeps its own one, too."""
    alone = [list(propagate_in_video(tiny_model, *v)) for v in two_videos]
    assert {i for _, ids, _ in sum(alone, []) for i in ids} == {1, 5, 9}
    for sizes in ((1, 1), (3, 2)):
        streams = [
            propagate_in_video(tiny_model, *video, size)
            for video, size in zip(two_videos, sizes)
        ]
        turns = list(zip_longest(*streams))
        for found, expected in zip(zip(*turns), alone):
            _assert_same([one for one in found if one], expected)
    assert tiny_model.propagator.time == 0


def test_videos_in_threads_on_one_model(tiny_cfg, two_videos):
    """Also the first frames ever, which warm the model up."""
    tiny_cfg['model']['warmup_zero_image'] = (64, 64)

    def model():
        torch.manual_seed(0)
        with pytest.warns(UserWarning, match='random'):
            return init_model(tiny_cfg, device='cpu')

    one, shared = model(), model()
    alone = [list(propagate_in_video(one, *video)) for video in two_videos]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(
            lambda video: list(propagate_in_video(shared, *video)),
            two_videos * 2,
        )
        for one, expected in zip(found, alone * 2):
            _assert_same(one, expected)


def test_bad_input_shows_before_the_first_frame(
    tiny_model, moving_square, tmp_path
):
    images, masks = moving_square
    first = masks[0]
    for frames, given, complaint in (
        (tmp_path / 'gone.mp4', first, 'gone.mp4'),
        (images, None, 'no mask'),
        (images, {0: first, 8: first}, r'frames \[8\]'),
        (images, first[:-1], 'expected 64x48'),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=complaint):
            next(propagate_in_video(tiny_model, frames, given))
    with pytest.raises(ValueError, match='batch_size'):
        propagate_in_video(tiny_model, images, first, batch_size=0)


def test_a_mask_past_the_end_is_an_error(tiny_model, moving_square, video):
    """At once for a file, whose length is an estimate; else at the end."""
    images, masks = moving_square
    complaint = r'frames \[8\], but \w+ has 8 frames, 0 to 7'
    with pytest.raises(ValueError, match=complaint):
        propagate_in_video(tiny_model, video, {8: masks[0]})
    stream = propagate_in_video(
        tiny_model, (image for image in images), {8: masks[0]}
    )
    assert next(stream)[1] == []
    with pytest.raises(ValueError, match=complaint):
        list(stream)
    # Where other masks were used, the result is good.
    both = {0: masks[0], 8: masks[0]}
    frames = propagate_in_video(tiny_model, (i for i in images), both)
    assert len(list(frames)) == 8


def test_objects_that_the_grid_cannot_hold_are_told(tiny_model, moving_square):
    ids = moving_square[1][0].copy()
    ids[3, 50] = 7  # a pixel, between cells
    with pytest.warns(
        UserWarning, match=r'00000: objects \[7\] are too small'
    ):
        next(propagate_in_video(tiny_model, moving_square[0], ids))


def test_pipeline_keeps_all_but_loading(moving_square):
    steps = [
        dict(type='LoadFrame'),
        dict(type='hvc_mm.LoadPrompt'),
        dict(type='ResizeFrame', size=(24, 32)),
        dict(type='PackVOSInputs'),
    ]
    cfg = dict(test_dataloader=dict(dataset=dict(pipeline=steps)))
    item = dict(img=moving_square[0][0], ori_shape=(48, 64))
    packed = frame_pipeline(cfg)(dict(item))
    assert packed['inputs'].shape == (3, 24, 32)
    assert packed['data_samples'].ori_shape == (48, 64)
    assert frame_pipeline()(dict(item))['inputs'].shape == (3, 48, 64)


def test_unit_features_of_chosen_frames(tiny_model, moving_square):
    source = open_frames(moving_square[0])
    every = {f.index: m for f, m in video_features(tiny_model, source)}
    some = {f.index: m for f, m in video_features(tiny_model, source, {2, 5})}
    assert list(every) == list(range(8)) and list(some) == [2, 5]
    for index, features in some.items():
        assert features.shape == (64, 12, 16)
        assert torch.equal(features, every[index])
        length = features.norm(dim=0)
        torch.testing.assert_close(length, torch.ones_like(length))
    image = torch.from_numpy(moving_square[0][2]).permute(2, 0, 1)
    batch = tiny_model.data_preprocessor(dict(inputs=[image]))
    expected = tiny_model.extract_feat(batch['inputs'])[0][0]
    torch.testing.assert_close(some[2], expected)
