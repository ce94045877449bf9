"""A face for voice agents of other frameworks: Pipecat and LiveKit Agents. See docs/integrations.md."""
