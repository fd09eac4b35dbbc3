"""Loading a video's frames: here a damaged one is an error."""

from __future__ import annotations

from functools import lru_cache

from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS

from ..image_io import read_image, read_image_size

# One header a video is enough, however many of its frames are loaded.
_first_frame_size = lru_cache(maxsize=8)(read_image_size)


@TRANSFORMS.register_module()
class LoadFrame(BaseTransform):
    """Read a frame and see to it that a video has frames of one size.

    Required keys: ``img_path``; ``first_img_path``, the first frame of the
    video, where sizes are to be compared. Added keys: ``img`` (``(H, W, 3)``
    uint8, BGR), ``img_shape`` and ``ori_shape`` (both ``(H, W)``).
    """

    def transform(self, results: dict) -> dict:
        """Load ``results['img_path']``.

        Raises:
            BrokenImageError: The file is missing, truncated or no image.
            ValueError: The frame has another size than the first one.
        """
        image = read_image(results['img_path'])
        first = results.get('first_img_path')
        if first is not None and first != results['img_path']:
            height, width = _first_frame_size(str(first))
            if image.shape[:2] != (height, width):
                raise ValueError(
                    f'the frame {results["img_path"]} has '
                    f'{image.shape[1]}x{image.shape[0]} pixels; expected '
                    f'{width}x{height} as in the first frame of its video'
                )
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
