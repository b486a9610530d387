"""Compare what callmon holds of simulated calls with what people did: see :mod:`tests.truth`.

No sockets and no waiting: the traffic plays in a time of its own, every event is read at once, and
ActiveCalls is read now and then, so that what passes between two reads is really missed.
"""
