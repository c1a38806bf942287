-- Append events to one partition of a log, but for those whose id was seen with another body within `seconds`.
-- KEYS: ends stream   ARGV: topic seconds (id body key value headers)*
-- Returns the offset of each, -1 for those refused. An id is remembered in the step that appends it, or not at all.
local found = {}
for i = 3, #ARGV, 5 do
  local known = redis.call('SET', ARGV[i], ARGV[i + 1], 'NX', 'GET', 'EX', ARGV[2])
  if known and known ~= ARGV[i + 1] then
    found[#found + 1] = -1
  else
    local n = redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
    redis.call('XADD', KEYS[2], n .. '-0', 'k', ARGV[i + 2], 'v', ARGV[i + 3], 'h', ARGV[i + 4])
    found[#found + 1] = n - 1
  end
end
return found
