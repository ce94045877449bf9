"""The few lines that diffusers' schedulers lack."""
