"""What is known about one training image and its two views."""

from mmengine.structures import BaseDataElement


class PairedViewSample(BaseDataElement):
    """Meta information of a pre-training sample; it holds no tensors.

    The views themselves travel as batched ``inputs``. Meta information:

    - ``img_path`` (str): the source image.
    - ``ori_shape`` (int, int): its height and width in pixels.
    - ``box1``, ``box2`` (np.ndarray): ``(4,)`` float32, the normalised crop
      ``(x1, y1, x2, y2)`` of each view, in units of the image's last column
      and row: 0 is the first pixel's centre, 1 the last one's.

    Example:
        >>> import numpy as np
        >>> box = np.array([0, 0, 1, 1], np.float32)
        >>> sample = PairedViewSample(metainfo=dict(box1=box, box2=box))
        >>> sample.box1.shape
        (4,)
    """
