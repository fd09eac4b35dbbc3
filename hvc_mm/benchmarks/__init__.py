"""Speed and memory of the hot paths against their dense references.

Each subcommand of ``tools/analysis_tools/benchmark.py`` is a module here of
the same name with ``add_arguments(parser)`` for its own options and
``run(args) -> Report``. ``args`` always has ``device``, ``quick`` and
``repeats``; ``measure`` and ``report`` hold what all of them share.
``tools/analysis_tools/measure_all.py`` runs them, a training and its scores
as the ``stages`` of a ``programme``.
"""
