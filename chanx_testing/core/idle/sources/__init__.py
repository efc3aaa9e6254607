"""What may still wake a loop, one module for each kind of thing.

A source says whether it is open and what may still come of it, see
:class:`~chanx_testing.core.idle.sources.source.Source`; the monitor has a list of them.
Beside the sources there are the timers, which are asked for a moment rather than for a
yes or a no, and what a source needs to know: which threads are parked, which jobs wait
for a thread, which finalizers run.
"""
