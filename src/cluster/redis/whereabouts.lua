-- KEYS[1]: as in arrive.lua. Yields where each session is that is still kept.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for _, it in ipairs(redis.call('HVALS', KEYS[1])) do
    local till, text = string.match(it, '^(%d+) (.*)$')
    if tonumber(till) > now then
        answer[#answer + 1] = text
    end
end
return answer
