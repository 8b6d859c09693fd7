-- Lua at work on records: tables, closures and strings. Usage: records.lua COUNT
local seed = 7

local function draw(limit)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return (seed >> 8) % limit
end

local check = 0
for _ = 1, 3 do
    local by_customer, lines = {}, {}
    for number = 1, tonumber(arg[1]) do
        local items, texts = {}, {}
        for i = 1, draw(8) + 1 do
            local item = {part = "part-" .. draw(5000), price = draw(900) + 100, count = draw(9) + 1}
            item.total = function() return item.price * item.count end
            items[i] = item
            texts[i] = item.part .. "=" .. item.count .. "x" .. item.price
        end
        local customer = "customer " .. draw(1000)
        by_customer[customer] = by_customer[customer] or {}
        table.insert(by_customer[customer], {number = number, items = items})
        lines[number] = table.concat(texts, ";")
    end
    local counts, parts = {}, {}
    for _, line in ipairs(lines) do
        for part, count, price in line:gmatch("(part%-%d+)=(%d+)x(%d+)") do
            if not counts[part] then
                counts[part] = 0
                parts[#parts + 1] = part
            end
            counts[part] = counts[part] + tonumber(count) * tonumber(price)
        end
    end
    table.sort(parts)
    for rank, part in ipairs(parts) do
        check = check + rank * counts[part] % 1009
    end
    for _, orders in pairs(by_customer) do
        for _, order in ipairs(orders) do
            for _, item in ipairs(order.items) do
                check = check + item.total()
            end
        end
    end
end
print(check)
