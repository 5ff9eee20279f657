-- KEYS[1]: a session's record: "node hops JSON". ARGV: a newer one's hops, all of it, and how long (ms) it is kept.
local record = redis.call('GET', KEYS[1])
local hops = record and tonumber(string.match(record, '^%S+ (%d+) '))
if not hops or hops <= tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
