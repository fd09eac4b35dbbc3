"""The page in a real browser: load, paint, run, correct, download."""

import json
import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hvc_mm.web.page import missing_for_page, serve
from hvc_mm.web.uploads import Limits

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.skipif(
        bool(missing_for_page()), reason='the extra `web` is not installed'
    ),
    pytest.mark.skipif(not BROWSER, reason='there is no Chromium or Chrome'),
]
OPTIONS = (
    *('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update'),
    '--disable-sync',
)
# A name is what the page's own code calls the canvas.
CANVAS = '#canvas canvas'


@pytest.fixture
def root(tiny_model):
    """The folder of a page's files, and its address."""
    with serve(tiny_model, limits=Limits(frames=20, megabytes=1)) as url:
        yield Path(os.environ['GRADIO_TEMP_DIR']).parent, url


@pytest.fixture
def browser():
    api = pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed'
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, headless=True, args=OPTIONS
        )
        yield browser
        browser.close()


class Visitor:
    """A tab, and what somebody does in it."""

    def __init__(self, browser, url):
        self.page = browser.new_page(viewport={'width': 1280, 'height': 960})
        self.page.set_default_timeout(30_000)
        self.requests, self.complaints = [], []
        self.page.on('request', lambda r: self.requests.append(r.url))
        self.page.on('pageerror', lambda e: self.complaints.append(str(e)))
        self.page.on(
            'console',
            lambda m: m.type == 'error' and self.complaints.append(m.text),
        )
        self.page.goto(url)
        self.page.wait_for_selector(CANVAS)

    def load(self, *paths):
        self.page.set_input_files('#upload input', [str(p) for p in paths])
        self.wait_for('Read: ')

    def click(self, name):
        self.page.get_by_role('button', name=name, exact=True).click()

    def wait_for(self, text, at='#status'):
        self.page.wait_for_function(
            '([at, text]) => document.querySelector(at).innerText'
            '.includes(text)',
            arg=[at, text],
        )

    def go_to(self, frame):
        self.page.locator('input[type=number]').fill(str(frame))
        self.page.wait_for_selector(f'{CANVAS}[data-frame="{frame}"]')

    def drag(self, start, end, size=(48, 64)):
        """Drag in pixels of the frame: x and y."""
        box = self.page.locator(CANVAS).bounding_box()
        scale = min(box['width'] / size[1], box['height'] / size[0])
        left = box['x'] + (box['width'] - scale * size[1]) / 2
        top = box['y'] + (box['height'] - scale * size[0]) / 2
        mouse = self.page.mouse
        (x, y), (to_x, to_y) = (
            (left + scale * (x + 0.5), top + scale * (y + 0.5))
            for x, y in (start, end)
        )
        mouse.move(x, y)
        mouse.down()
        mouse.move(to_x, to_y, steps=4)
        mouse.up()

    def colors(self):
        """The canvas' pixels, RGB (H, W, 3)."""
        width, height, pixels = self.page.evaluate(
            """(at) => {
              const { width, height } = document.querySelector(at);
              const context = document.querySelector(at).getContext('2d');
              const { data } = context.getImageData(0, 0, width, height);
              return [width, height, Array.from(data)];
            }""",
            CANVAS,
        )
        return np.array(pixels, np.uint8).reshape(height, width, 4)[..., :3]

    def download(self, suffix, folder):
        with self.page.expect_download() as waiting:
            self.page.locator(f'#files a[href$="{suffix}"]').first.click()
        path = folder / f'got{suffix}'
        waiting.value.save_as(path)
        return path


def test_load_paint_run_correct_download(
    browser, root, video, tmp_path, moving_square
):
    folder, url = root
    visitor = Visitor(browser, url)
    visitor.load(video)
    visitor.page.wait_for_selector(f'{CANVAS}[data-frame="0"]')
    # A box over the square, and a stroke of a second object.
    visitor.click('Box')
    visitor.drag((8, 16), (24, 32))
    visitor.click('+ Object')
    visitor.page.fill('#canvas .name', 'bar')
    visitor.page.fill('#canvas .radius', '3')
    visitor.drag((40, 6), (56, 6))
    visitor.click('Propagate')
    visitor.wait_for('Propagated: 8 of 8 frames')
    visitor.wait_for('confidence: ', at='#report')
    (masks,) = folder.glob('session-*/video_1/masks')
    assert len(list(masks.iterdir())) == 8
    assert visitor.page.locator('#canvas .objects').inner_text() == (
        'object 1\nbar'
    )
    # Correct a frame: the bar goes, and the run goes on from there.
    visitor.go_to(4)
    visitor.click('Eraser')
    visitor.page.fill('#canvas .radius', '20')
    visitor.drag((40, 0), (63, 8))
    kept = (masks / '00003.png').stat().st_mtime_ns
    visitor.click('Propagate')
    visitor.wait_for('masks given on frames: 0, 4', at='#report')
    visitor.wait_for('Propagated: 8 of 8 frames')
    assert (masks / '00003.png').stat().st_mtime_ns == kept
    visitor.click('Make files to download')
    visitor.wait_for('Written: 8 of 8 frames')
    with zipfile.ZipFile(visitor.download('_masks.zip', tmp_path)) as packed:
        assert len(packed.namelist()) == 9
    coco = json.loads(visitor.download('_coco.json', tmp_path).read_text())
    assert [c['name'] for c in coco['categories']] == ['object 1', 'bar']
    assert visitor.download('_overlay.mp4', tmp_path).stat().st_size > 500
    # Nothing left this machine, and nothing was complained about.
    hosts = {
        re.sub(r'^\w+:(//)?([^/]*).*', r'\2', u) for u in visitor.requests
    }
    print(hosts)
    assert visitor.complaints == []
    # A closed tab takes its files with it.
    visitor.page.close()
    for _ in range(100):
        if not list(folder.glob('session-*')):
            break
        time.sleep(0.1)
    assert not list(folder.glob('session-*'))
