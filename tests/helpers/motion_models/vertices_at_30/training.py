from motion_models.tiny import GainTask


def build_task(config):
    return GainTask("vertices_at_30", speech_encoder="log-mel")
