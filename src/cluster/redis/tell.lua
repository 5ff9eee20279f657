-- ARGV: note, most notes of an inbox, and the node, or none for every node that is known.
local nodes = { ARGV[3] }
if not ARGV[3] then
    nodes = redis.call('HKEYS', base .. 'cards')
elseif redis.call('HEXISTS', base .. 'cards', ARGV[3]) == 0 then
    return
end
for _, node in ipairs(nodes) do
    put(node, ARGV[1], ARGV[2])
end
