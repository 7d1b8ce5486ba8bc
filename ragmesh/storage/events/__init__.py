"""Events: what one process tells others, durably. `port` states the promise.

Every event begins as a row of the outbox, in the transaction of what it tells of. `outbox` lets consumers take it
out there, which the embedded mesh does; `relay` moves it on to Kafka, where `kafka` takes it out.
"""
