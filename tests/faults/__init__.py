"""Judge two monitors under random mixtures of faults from outside: ``make soak-monitors``.

Nothing here imports what it tests. Processes are started as a site starts them; keys are made and
audit logs read by the command line; everything else is asked over HTTP and WebSocket, of callmon
and of the simulated PBX alike.
"""
