-- A row's last decisions after `seq`, and where the view stands, at one moment.   KEYS: state tail   ARGV: seq count
return {
  redis.call('HGET', KEYS[1], 'applied') or '-1',
  redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2]),
  redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1),
  redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1),
}
