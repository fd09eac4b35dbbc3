"""A page in the browser to segment one's own video with.

`server` serves it; `page` is what is seen and clicked, on gradio; `canvas`
the picture that is painted on. The others know nothing of browsers:
`sessions` (whose files are whose), `uploads` (what is taken), `video_work`
(masks given, propagated and corrected), `features` (kept, so that a
correction is quick) and `export`.
"""

import os

# gradio reads it when it is imported: nothing is sent anywhere.
os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
