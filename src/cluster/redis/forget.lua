-- KEYS[1]: a session's record, which begins with its node. ARGV: the node that may forget it.
local record = redis.call('GET', KEYS[1])
if record and string.sub(record, 1, #ARGV[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
