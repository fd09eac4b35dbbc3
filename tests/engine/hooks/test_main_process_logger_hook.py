"""Run as a script: one of two processes (gloo) that end a test."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.registry import HOOKS

import hvc_mm.engine  # noqa: F401 (registers the hook)

TIMES = (0.5, 0.25)


class _LogProcessor:
    """Gives the scores, which are shared, and each process's own time."""

    def get_log_after_epoch(self, *_args, **_kwargs):
        return {'davis/J&F': 61.5, 'time': TIMES[dist.get_rank()]}, 'scores'


def _end_test(rank, folder, kind):
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    hook = HOOKS.build(dict(type=kind))
    hook.json_log_path = 'scores.json'
    runner = SimpleNamespace(
        log_dir=folder,
        log_processor=_LogProcessor(),
        logger=MMLogger.get_instance('test'),
        test_dataloader=[None],
    )
    for writer in (0, 1):  # the main process first: the last to write counts
        if rank == writer:
            hook.after_test_epoch(runner, {})
        dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ('kind', 'writer'),
    [('LoggerHook', 1), ('hvc_mm.MainProcessLoggerHook', 0)],
)
def test_the_main_process_writes_the_scores(kind, writer, tmp_path):
    """With mmengine's own hook each process writes them to the one file."""
    processes = [
        subprocess.Popen([sys.executable, __file__, rank, tmp_path, kind])
        for rank in '01'
    ]
    assert [process.wait() for process in processes] == [0, 0]
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert scores == {'davis/J&F': 61.5, 'time': TIMES[writer]}


if __name__ == '__main__':
    _end_test(int(sys.argv[1]), *sys.argv[2:])
