-- Take entries out of the outbox.   KEYS: outbox   ARGV: name*
for i = 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
