"""Edit motion: what stays is given to the model at every step, what does not is generated anew around it."""
