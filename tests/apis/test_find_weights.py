"""Which checkpoint a tool takes."""

import pytest

from hvc_mm.apis import find_weights


def test_what_is_given_is_taken(tmp_path):
    file = tmp_path / 'a.pth'
    file.touch()
    assert find_weights(str(file)) == str(file)
    assert find_weights('https://host/a.pth') == 'https://host/a.pth'
    assert find_weights('none') is None


def test_the_last_checkpoint_is_the_default(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_7.pth')
    assert find_weights(work_dir=str(tmp_path)) == 'epoch_7.pth'


def test_nothing_to_find_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match='--checkpoint'):
        find_weights(work_dir=str(tmp_path / 'never'))
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        find_weights(str(tmp_path / 'gone.pth'))
