"""A face for a voice, in real time: `portrait` without any network, `server` and its page for a browser."""
