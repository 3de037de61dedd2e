"""What a line says: one catalogue per emitter, used by every frame that emitter writes."""
