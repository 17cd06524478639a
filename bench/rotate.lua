-- Each request to the next of COUNT apps: wrk ... -- COUNT DOMAIN. They are named app-1, app-2 and so on.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local requests, last = {}, 0

init = function(arguments)
    for number = 1, tonumber(arguments[1]) do
        wrk.headers["Host"] = string.format("app-%d.%s", number, arguments[2])
        requests[number] = wrk.format("GET", "/")
    end
end

request = function()
    last = last % #requests + 1
    return requests[last]
end
