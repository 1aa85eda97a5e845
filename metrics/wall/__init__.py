"""The wall: boards of widgets built from the newest snapshot, and the wins worth interrupting them for."""
