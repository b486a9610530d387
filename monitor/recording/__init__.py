"""What a PBX sent, kept in a file with its people hidden, and played back as a PBX that sends the same again."""
