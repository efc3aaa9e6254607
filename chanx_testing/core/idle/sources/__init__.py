"""What may still wake a loop, one module for each kind of thing.

A source has :meth:`~chanx_testing.core.idle.sources.source.Source.is_open` and
``phrases()``, and stands in the list of the monitor. Beside the sources there are the
timers, which are asked for a moment and not for a yes or a no, and what a source needs
to know: which threads are parked, which jobs wait for a thread, which finalizers run.
"""
