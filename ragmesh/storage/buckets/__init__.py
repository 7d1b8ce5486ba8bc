"""Rate limits: token buckets as a port, in this process's memory and in Redis for all instances together."""
