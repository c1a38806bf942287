-- Move one partition of the view from `expected` to `last`, whole or not at all.
-- KEYS: state rows ids live outbox dirty
-- ARGV: expected last checksum live_max tail_max tail_prefix
--       n (row packed m (slot chunk)*m)*n      rows
--       n (entry row seq body)*n               live entries; body '' points to decision seq
--       emitted                                into the outbox, under last; '' where there is none
--       n (ends stream topic key value headers)*n   into topic streams   (standalone)
--       n last*n                               out of the outbox: batches that are in their topics
-- Everything is checked before the first write: a script that fails half way keeps what it wrote.
local state, rows, ids, live, outbox, dirty = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local applied = redis.call('HGET', state, 'applied') or '-1'
if applied ~= ARGV[1] then return 0 end
for _, key in ipairs({rows, ids, outbox, dirty}) do redis.call('HLEN', key) end

local function last_number(stream)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if #newest == 0 then return 0 end
  return tonumber(string.match(newest[1][1], '^(%d+)'))
end

local at = 7
local function take() at = at + 1; return ARGV[at - 1] end

-- First pass over the live entries: would every XADD be accepted?
local n_rows = tonumber(ARGV[at]); local scan = at + 1
for _ = 1, n_rows do scan = scan + 3 + 2 * tonumber(ARGV[scan + 2]) end
local n_live = tonumber(ARGV[scan]); scan = scan + 1
local highest = n_live > 0 and last_number(live) or 0
local tails = {}
for i = 1, n_live do
  local entry, row, seq, body = tonumber(ARGV[scan]), ARGV[scan + 1], tonumber(ARGV[scan + 2]), ARGV[scan + 3]
  if entry <= highest then return redis.error_reply('SEGUE live entry ' .. entry .. ' is behind ' .. highest) end
  highest = entry
  if body ~= '' then
    local newest = tails[row] or last_number(ARGV[6] .. row)
    if seq <= newest then return redis.error_reply('SEGUE decision ' .. seq .. ' is behind ' .. newest) end
    tails[row] = seq
  end
  scan = scan + 4
end

take()
for _ = 1, n_rows do
  local row, packed, chunks = take(), take(), tonumber(take())
  redis.call('HSET', rows, row, packed)
  for _ = 1, chunks do
    local slot = take()
    redis.call('HSET', ids, row .. '\n' .. slot, take())
  end
  redis.call('HSET', dirty, row, ARGV[2])
end
take()
for _ = 1, n_live do
  local entry, row, seq, body = take(), take(), take(), take()
  redis.call('XADD', live, 'MAXLEN', '~', ARGV[4], entry .. '-0', 'r', row, 's', seq, 'b', body)
  if body ~= '' then
    redis.call('XADD', ARGV[6] .. row, 'MAXLEN', '~', ARGV[5], seq .. '-0', 'b', body)
  end
end
local emitted = take()
if emitted ~= '' then redis.call('HSET', outbox, ARGV[2], emitted) end
for _ = 1, tonumber(take()) do
  local ends, stream, topic, key, value, headers = take(), take(), take(), take(), take(), take()
  local n = redis.call('HINCRBY', ends, topic, 1)
  redis.call('XADD', stream, n .. '-0', 'k', key, 'v', value, 'h', headers)
end
for _ = 1, tonumber(take()) do redis.call('HDEL', outbox, take()) end
redis.call('HSET', state, 'applied', ARGV[2], 'sum', ARGV[3])
local high = redis.call('HGET', state, 'high')
if not high or tonumber(high) < tonumber(ARGV[2]) then redis.call('HSET', state, 'high', ARGV[2]) end
return 1
