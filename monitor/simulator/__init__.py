"""A 3CX v20 look-alike: token, Call Control with its WebSocket, XAPI, and a traffic generator."""
