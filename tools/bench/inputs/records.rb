# Ruby at work on records: objects, hashes and strings. Usage: records.rb COUNT
Item = Struct.new(:part, :price, :count) do
  def total
    price * count
  end
end

Order = Struct.new(:number, :customer, :items)

$seed = 7

def draw(limit)
  $seed = ($seed * 1103515245 + 12345) % 2147483648
  ($seed >> 8) % limit
end

check = 0
3.times do
  orders = (1..ARGV[0].to_i).map do |number|
    items = (0..draw(8)).map { Item.new("part-#{draw(5000)} from the catalogue", 100 + draw(900), 1 + draw(9)) }
    Order.new(number, "customer #{draw(1000)}", items)
  end
  orders.group_by(&:customer).sort.each do |name, group|
    check += name.size * group.sum { |order| order.items.sum(&:total) } % 1009
  end
  lines = orders.map { |order| order.items.map { |item| "#{item.part}=#{item.count}x#{item.price}" }.join(';') }
  counts = Hash.new(0)
  lines.each { |line| line.split(';').each { |text| counts[text[/\Apart-\d+/].upcase] += 1 } }
  counts.sort_by { |part, count| [count, part] }.each_with_index { |(_, count), rank| check += rank * count }
end
puts check
