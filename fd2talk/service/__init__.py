"""`fd2talk serve`: videos over HTTP. Needs the extra `serve`; see docs/service.md."""
