"""Events: what one process tells others, durably. `port` states the promise, `outbox` is the embedded adapter."""
