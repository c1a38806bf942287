-- Append records to one partition of a log; entry ids are whole numbers, offset + 1.
-- KEYS: ends stream   ARGV: topic (key value headers)*   Returns the offset of the first.
local n = 0
for i = 2, #ARGV, 3 do
  n = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('XADD', KEYS[2], n .. '-0', 'k', ARGV[i], 'v', ARGV[i + 1], 'h', ARGV[i + 2])
end
return n - (#ARGV - 1) / 3
