"""What each command of ``ichnode`` does; loaded only when it is called."""
