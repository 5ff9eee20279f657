-- ARGV: node, conversation, its node that is gone, after so long (us) a node is dead, how long (ms) this is kept.
-- Yields who has the conversation: whoever asked first, unless that node is gone in its turn.
local key = base .. 'home:' .. ARGV[2]
local home = redis.call('GET', key)
if home and home ~= ARGV[3] and home ~= ARGV[1] then
    local spoke = redis.call('ZSCORE', base .. 'alive', home)
    if spoke and micros() - spoke < tonumber(ARGV[4]) then
        return home
    end
end
redis.call('SET', key, ARGV[1], 'PX', ARGV[5])
return ARGV[1]
