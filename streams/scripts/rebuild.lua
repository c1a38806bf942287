-- Replace a partition in counted pieces, so that two that rebuild at once cannot mix theirs.
-- KEYS: state rows ids live outbox dirty
-- ARGV: 'begin' token tail_prefix
--       'piece' token n (row packed seq m (slot chunk)*m)* with tail_prefix as ARGV[4]
--       'finish' token n applied checksum
local state, rows, ids, live, outbox, dirty = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local step, token = ARGV[1], ARGV[2]
if step == 'begin' then
  for _, row in ipairs(redis.call('HKEYS', rows)) do redis.call('DEL', ARGV[3] .. row) end
  redis.call('DEL', rows, ids, live, outbox, dirty)
  redis.call('HSET', state, 'applied', 'rebuilding:' .. token .. ':0')
  return 1
end
if redis.call('HGET', state, 'applied') ~= 'rebuilding:' .. token .. ':' .. ARGV[3] then return 0 end
if step == 'piece' then
  local at = 5
  while at <= #ARGV do
    local row, packed, seq, chunks = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
    at = at + 4
    redis.call('HSET', rows, row, packed)
    for _ = 1, chunks do
      redis.call('HSET', ids, row .. '\n' .. ARGV[at], ARGV[at + 1])
      at = at + 2
    end
    redis.call('DEL', ARGV[4] .. row)
    if seq ~= '0' then redis.call('XADD', ARGV[4] .. row, seq .. '-0', 'reset', '1') end
  end
  redis.call('HSET', state, 'applied', 'rebuilding:' .. token .. ':' .. (tonumber(ARGV[3]) + 1))
  return 1
end
redis.call('HSET', state, 'applied', ARGV[4], 'sum', ARGV[5])
if tonumber(ARGV[4]) >= 0 then
  redis.call('XADD', live, (tonumber(ARGV[4]) + 1) .. '-0', 'reset', '1')
end
return 1
