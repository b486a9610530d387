"""Reckon what callmon must show of calls, from the journal of what people did alone.

Nothing here knows how callmon or the simulator infers anything. The only thing imported is
:mod:`monitor.simulator.calls.acts`; a test holds that. :mod:`tests.comparison` compares.
"""
