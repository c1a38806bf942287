-- What changed since it was last marked clean, only if the view stands at `expected`: without rows the marks of all, else
-- what is stored of these. In pieces, so that nobody else waits long.
-- KEYS: state rows ids dirty   ARGV: expected slots [row...]
if (redis.call('HGET', KEYS[1], 'applied') or '-1') ~= ARGV[1] then return false end
if #ARGV == 2 then return redis.call('HGETALL', KEYS[4]) end
local found = {}
for i = 3, #ARGV do
  local fields = {}
  for slot = 0, tonumber(ARGV[2]) - 1 do fields[slot + 1] = ARGV[i] .. '\n' .. slot end
  found[#found + 1] = {redis.call('HGET', KEYS[2], ARGV[i]), redis.call('HMGET', KEYS[3], unpack(fields))}
end
return found
