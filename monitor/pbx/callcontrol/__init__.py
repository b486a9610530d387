"""Follow the Call Control API: its event socket and its participants."""
