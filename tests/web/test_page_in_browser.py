"""The page in a real browser: load, paint, run, correct, download."""

import json
import os
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from hvc_mm.apis import propagate_in_video
from hvc_mm.datasets import read_id_mask
from hvc_mm.web.server import missing_for_page, serve
from hvc_mm.web.uploads import Limits

pytestmark = pytest.mark.skipif(
    bool(missing_for_page()), reason='the extra `web` is not installed'
)
OPTIONS = (
    *('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'),
    *('--disable-background-networking', '--disable-component-update'),
    '--disable-sync',
)
CANVAS = '#canvas canvas'


@pytest.fixture
def root(tiny_model):
    """The folder of a page's files, and its address."""
    with serve(tiny_model, limits=Limits(frames=20, megabytes=1)) as url:
        yield Path(os.environ['GRADIO_TEMP_DIR']).parent, url


@pytest.fixture
def browser(chromium):
    api = pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed'
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=OPTIONS
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

    def hosts(self):
        """Whom the page asked for anything."""
        asked = {urlsplit(address) for address in self.requests}
        return {a.netloc for a in asked if a.scheme not in ('data', 'blob')}

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


def changed(visitor, action):
    """Where a drag changed the picture, (H, W) bool."""
    visitor.page.wait_for_timeout(200)
    before = visitor.colors()
    action()
    visitor.page.wait_for_timeout(200)
    return (visitor.colors() != before).any(-1)


def test_load_paint_run_correct_download(
    browser, root, video, tmp_path, tiny_model
):
    folder, url = root
    visitor = Visitor(browser, url)
    visitor.load(video)
    visitor.page.wait_for_selector(f'{CANVAS}[data-frame="0"]')
    # A box over the square, and a stroke of a second object.
    visitor.click('Box')
    square = changed(visitor, lambda: visitor.drag((8, 16), (24, 32)))
    assert square[16:32, 8:24].all() and square.sum() == 16 * 16
    visitor.click('+ Object')
    visitor.page.fill('#canvas .name', 'bar')
    visitor.page.fill('#canvas .radius', '3')
    visitor.click('Brush')
    bar = changed(visitor, lambda: visitor.drag((40, 6), (56, 6)))
    assert bar[3:10, 40:57].all() and not bar[:, :37].any()
    visitor.click('Propagate')
    visitor.wait_for('Propagated: 8 of 8 frames')
    (masks,) = folder.glob('session-*/video_1/masks')
    assert len(list(masks.iterdir())) == 8
    names = visitor.page.locator('#canvas .objects button').all_inner_texts()
    assert names == ['object 1', 'bar']
    # Correct a frame: some of the square goes, and it goes on from there.
    visitor.go_to(4)
    visitor.click('Eraser')
    erased = changed(visitor, lambda: visitor.drag((16, 18), (32, 18)))
    left = (read_id_mask(masks / '00004.png') == 1) & ~erased
    kept = (masks / '00003.png').stat().st_mtime_ns
    visitor.click('Propagate')
    visitor.wait_for('masks given on frames: 0, 4', at='#report')
    visitor.wait_for('Propagated: 8 of 8 frames')
    assert (masks / '00003.png').stat().st_mtime_ns == kept
    visitor.click('Point')
    visitor.drag((20, 20), (20, 20))
    visitor.page.wait_for_selector('input[value=affinity]:checked')
    visitor.click('Make files to download')
    visitor.wait_for('Written: 8 of 8 frames')
    coco = json.loads(visitor.download('_coco.json', tmp_path).read_text())
    assert [c['name'] for c in coco['categories']] == ['object 1', 'bar']
    assert visitor.download('_overlay.mp4', tmp_path).stat().st_size > 500
    given = {0: {1: square, 2: bar}, 4: {1: left}}
    expected = propagate_in_video(tiny_model, video, given)
    with zipfile.ZipFile(visitor.download('_masks.zip', tmp_path)) as packed:
        for index, ids, found in expected:
            with Image.open(packed.open(f'masks/{index:05d}.png')) as image:
                pixels = np.array(image)
                for object_id, mask in zip(ids, found):
                    np.testing.assert_array_equal(pixels == object_id, mask)
    # Nothing left this machine, and nothing complained.
    assert visitor.hosts() == {url.split('/')[2]}
    assert visitor.complaints == []
    # A closed tab takes its files with it.
    visitor.page.close()
    deadline = time.time() + 20
    while list(folder.glob('session-*')) and time.time() < deadline:
        time.sleep(0.1)
    assert not list(folder.glob('session-*'))


def test_what_is_no_video_is_told(browser, root, tmp_path):
    _, url = root
    visitor = Visitor(browser, url)
    (tmp_path / 'notes.mp4').write_text('of the user')
    visitor.page.set_input_files('#upload input', tmp_path / 'notes.mp4')
    toast = visitor.page.locator('[data-testid="toast-body"]')
    assert 'notes.mp4 is no video; expected mp4' in toast.inner_text()
    # The console and other hosts are heard: else silence proved nothing.
    visitor.page.evaluate("fetch('http://nowhere.invalid/a').catch(String)")
    visitor.page.evaluate("console.error('heard')")
    assert visitor.hosts() == {url.split('/')[2], 'nowhere.invalid'}
    assert 'heard' in visitor.complaints
