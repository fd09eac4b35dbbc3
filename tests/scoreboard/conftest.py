"""Results as runs write them, with figures of the test's choice."""

import pytest

SHA = 'abcdef0123456789' * 4


@pytest.fixture(scope='session')
def result_of():
    """Make the result of a backbone, by a protocol."""

    def result(
        backbone,
        protocol=None,
        score=50.0,
        seconds=0.5,
        sequences=(),
        curves=(),
        benchmark=('davis', 'DAVIS-2017 val', 'J&F'),
        **others,
    ):
        name, title, head = benchmark
        return {
            'format': 2,
            'backbone': {
                'name': backbone,
                'title': 'ResNet-18, layer3',
                'config': {'type': 'HVCResNet', 'depth': 18},
                'weights': {'epoch_20.pth': SHA},
                'channels': 256,
                'stride': 8.0,
                'parameters': 2_780_000,
            },
            'benchmark': {
                'name': name,
                'title': title,
                'headline': head,
                'counts': {'videos': 4, 'frames': 236},
                'whole': {'name': title, 'videos': 30, 'frames': 1999},
                'fingerprint': SHA,
            },
            'protocol': {
                'name': protocol,
                'text': f'LabelPropagator(radius={12 if protocol else 11})',
                'model': {
                    'propagator': {'type': 'LabelPropagator', 'topk': 15},
                    'codec': {'type': 'MaskCodec'},
                    'data_preprocessor': {'type': 'P', 'mean': [0.5, 1, 2]},
                    'warmup_zero_image': None,
                    'feature_stride': None,
                },
                'frames': {'type': 'ResizeFrame', 'short_side': 480},
                'input_size': None,
            },
            'key': f'{backbone}-{protocol}',
            'unit': 'percent',
            'scores': {head: score},
            'sequences': {n: {head: v} for n, v in dict(sequences).items()},
            'curves': dict(curves),
            'seconds_per_frame': seconds,
            'seed': 42,
            'versions': {'hvc_mm': '0.2.0', 'device': 'EPYC', 'threads': 2},
            'strips': 'strips',
            **others,
        }

    return result
