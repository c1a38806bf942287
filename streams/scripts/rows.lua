-- Rows and their id chunks, only if the view stands at `expected`.   KEYS: state rows ids   ARGV: expected slots row*
if (redis.call('HGET', KEYS[1], 'applied') or '-1') ~= ARGV[1] then return false end
local slots, found = tonumber(ARGV[2]), {}
for i = 3, #ARGV do
  local fields = {}
  for slot = 0, slots - 1 do fields[slot + 1] = ARGV[i] .. '\n' .. slot end
  found[i - 2] = {redis.call('HGET', KEYS[2], ARGV[i]), redis.call('HMGET', KEYS[3], unpack(fields))}
end
return found
