from motion_models.tiny import GainTask


def build_task(config):
    return GainTask("sway", **config.get("settings", {}))
