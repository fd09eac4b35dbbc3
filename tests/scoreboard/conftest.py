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


@pytest.fixture
def whole():
    """A result with all of its fields, one video and no time."""
    return dict(
        format=2,
        backbone=dict(
            name='small',
            title='ResNet-18',
            config=dict(type='HVCResNet'),
            weights={'a.pth': '0123'},
            channels=128,
            stride=8.0,
            parameters=683072,
        ),
        benchmark=dict(
            name='davis',
            title='DAVIS-2017 val',
            headline='J&F',
            counts=dict(videos=1),
            whole=dict(name='DAVIS-2017 val', videos=30),
            fingerprint='4567',
        ),
        protocol=dict(
            name='dino',
            text='text',
            model=dict(
                propagator=dict(type='LabelPropagator', radius=12),
                codec=dict(type='MaskCodec'),
                data_preprocessor=dict(type='VOSDataPreprocessor'),
                warmup_zero_image=None,
                feature_stride=None,
            ),
            frames=dict(type='ResizeFrame', short_side=480),
            input_size=[240, 432],
        ),
        key='abc',
        unit='percent',
        scores={'J&F': 51.5, 'J': 50},
        sequences=dict(one={'J&F': 51.5, 'J': 50}),
        pooled=dict(
            of_nothing=None,
            videos=dict(
                one=dict(
                    numerators={'J&F': [103.0], 'J': [100.0]}, denominators=[2]
                )
            ),
        ),
        curves=dict(one=[50.0, 51.0]),
        seconds_per_frame=None,
        seed=0,
        versions=dict(torch='2.6.0', threads=1),
        strips=None,
    )
