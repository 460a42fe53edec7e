"""What whoever runs the service sees of it: metrics and traces. Nothing here is imported unless it is switched on."""
