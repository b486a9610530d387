"""The entities of all topics: calls, extensions, queues, contacts, statistics. Pure."""
