-- Where a partition stands, and what is still to be sent, at one moment.   KEYS: state outbox
return {redis.call('HMGET', KEYS[1], 'applied', 'sum', 'high'), redis.call('HGETALL', KEYS[2])}
