"""All layouts: the promised steps, bytes and repeatability."""

from dataclasses import replace

import pytest

from hvc_mm.datasets.sample import LAYOUTS, SampleFolder, write_layout


def content(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


@pytest.fixture(scope='module')
def tiny(spec):
    return replace(spec, videos=1, frames=6, images=4)


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
def test_steps_and_bytes(layout, tmp_path, tiny, photos):
    steps = []
    with SampleFolder(tmp_path) as folder:
        counts, size = write_layout(
            layout, folder, tiny, lambda: steps.append(1)
        )
    assert len(steps) == LAYOUTS[layout].steps(tiny)
    files = content(tmp_path)
    del files['sample.json']
    assert size == sum(map(len, files.values())) > 0
    assert sum(counts.values()) > 0


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
def test_same_seed_same_bytes(layout, tmp_path, tiny, write_sample):
    write_sample(tmp_path / 'a', tiny, layout)
    write_sample(tmp_path / 'b', tiny, layout)
    write_sample(tmp_path / 'c', replace(tiny, seed=4), layout)
    first, again, other = (content(tmp_path / x) for x in 'abc')
    assert first == again
    assert first != other


def test_more_videos_begin_with_the_same_ones(
    tmp_path, tiny, sample, spec, write_sample
):
    few = replace(spec, videos=2)
    write_sample(tmp_path, few, 'davis')
    there = content(sample / 'DAVIS/JPEGImages')
    mine = content(tmp_path / 'DAVIS/JPEGImages')
    assert mine and mine.items() <= there.items()


def test_unknown_layout(tmp_path, tiny):
    with pytest.raises(KeyError, match='no layout'):
        write_layout('imagenet', SampleFolder(tmp_path), tiny)
