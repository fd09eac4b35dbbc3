"""What a loader's worker met is told without its traceback."""

import pytest
from torch.utils.data import DataLoader

from hvc_mm.utils.worker_errors import reason_of


class Broken:
    """A data set whose items can't be read."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise ValueError('cannot read a.jpg: it is cut off')


@pytest.mark.parametrize('workers', [0, 1])
def test_the_message_alone_is_left(workers):
    with pytest.raises(ValueError) as caught:
        next(iter(DataLoader(Broken(), num_workers=workers)))
    assert ('Traceback' in str(caught.value)) is bool(workers)
    assert reason_of(caught.value) == 'cannot read a.jpg: it is cut off'
