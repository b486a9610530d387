"""Talk to a 3CX PBX: a client library that knows nothing of Redis or of the tracker."""
