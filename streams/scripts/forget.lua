-- Take batches out of the outbox.   KEYS: outbox   ARGV: last*
for i = 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
