-- What changed since it was last marked clean, only if the view stands at `expected`.
-- KEYS: state rows ids dirty   ARGV: expected slots
if (redis.call('HGET', KEYS[1], 'applied') or '-1') ~= ARGV[1] then return false end
local marks, found = redis.call('HGETALL', KEYS[4]), {}
for i = 1, #marks, 2 do
  local fields = {}
  for slot = 0, tonumber(ARGV[2]) - 1 do fields[slot + 1] = marks[i] .. '\n' .. slot end
  found[#found + 1] = {marks[i], marks[i + 1], redis.call('HGET', KEYS[2], marks[i]), redis.call('HMGET', KEYS[3], unpack(fields))}
end
return found
