-- The gateway's memory of event ids: for each, 1 when the same id was seen with another body.
-- KEYS: one key an id   ARGV: seconds, then one body hash an id
local clashes = {}
for i, key in ipairs(KEYS) do
  local body = ARGV[i + 1]
  local known = redis.call('SET', key, body, 'NX', 'GET', 'EX', ARGV[1])
  clashes[i] = (known and known ~= body) and 1 or 0
end
return clashes
