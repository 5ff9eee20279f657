-- KEYS[1]: where someone's sessions are, a hash: session -> until when (ms since 1970) it is kept, a space,
-- and where it is. ARGV: session, where it is, most sessions, how long (ms) they are kept, and the nodes
-- that live (with spaces). Yields those that give way, which stand there no more.
local session, most, life, nodes = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local here = cjson.decode(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local others = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    if all[i] ~= session then
        local till, text = string.match(all[i + 1], '^(%d+) (.*)$')
        if tonumber(till) <= now then
            redis.call('HDEL', KEYS[1], all[i])
        else
            local it = cjson.decode(text)
            it.text = text
            it.same = here.device ~= cjson.null and it.device == here.device
            it.lives = string.find(nodes, it.node, 1, true) ~= nil
            others[#others + 1] = it
        end
    end
end
-- Of the same device first; then of nodes that are not known to live; then the oldest.
table.sort(others, function(one, other)
    if one.same ~= other.same then
        return one.same
    end
    if one.lives ~= other.lives then
        return other.lives
    end
    if one.began ~= other.began then
        return one.began < other.began
    end
    return one.session < other.session
end)
local over = #others + 1 - math.max(most, 1)
local gone = {}
for i, it in ipairs(others) do
    if it.same or i <= over then
        redis.call('HDEL', KEYS[1], it.session)
        gone[#gone + 1] = it.text
    end
end
redis.call('HSET', KEYS[1], session, string.format('%.0f ', now + life) .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], life)
return gone
