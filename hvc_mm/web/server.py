"""Serving the page, and removing all its files at the end."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from hvc_mm.models import LabelPropagationVOS

from .page import Page
from .sessions import Sessions
from .uploads import Limits

try:
    import gradio as gr
except ImportError:
    gr = None


def missing_for_page() -> Optional[str]:
    """Tell what has to be installed for the page; None if nothing has."""
    if gr is None:
        return "the page needs gradio: pip install 'hvc_mm[web]'"
    return None


@contextmanager
def serve(
    model: LabelPropagationVOS,
    host: str = '127.0.0.1',
    port: Optional[int] = None,
    limits: Optional[Limits] = None,
) -> Iterator[str]:
    """Serve the page as long as the ``with`` statement runs.

    All files are in one temporary folder, which is removed at the end; those
    of a session are when its tab is closed.

    Args:
        model: From :func:`~hvc_mm.apis.init_model`.
        host: Address to listen at; by default this machine alone can see it.
        port: Of the address; None takes a free one from 7860 on.
        limits: What may be loaded.

    Yields:
        The page's address.

    Raises:
        OSError: The port is taken, or the host no address of this machine.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix='hvc_web-') as root:
        os.environ['GRADIO_TEMP_DIR'] = str(Path(root) / 'uploads')
        # Else what is downloaded would be copied to the uploads.
        gr.set_static_paths([root])
        page = Page(Sessions(root, model, limits))
        try:
            yield _launch(page, host, port, limits)
        finally:
            page.blocks.close(verbose=False)


def _launch(page: Page, host: str, port: Optional[int], limits: Limits) -> str:
    # No fonts from elsewhere.
    sans, mono = (gr.themes.Font(f) for f in ('sans-serif', 'monospace'))
    try:
        _, url, _ = page.blocks.launch(
            server_name=host,
            server_port=port,
            theme=gr.themes.Default(font=sans, font_mono=mono),
            max_file_size=f'{limits.megabytes}mb',
            footer_links=[],
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise OSError(
            f'cannot listen at {host}, port {port or "7860 and later ones"}: '
            'it is taken, or no address of this machine'
        ) from error
    return url
