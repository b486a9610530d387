"""A 3CX client library; knows nothing of Redis or of the tracker."""
