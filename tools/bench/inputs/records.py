"""Python at work on records: objects, dictionaries, strings, JSON and sorting. Usage: records.py COUNT"""
import json
import sys


class Order:
    def __init__(self, number, customer, items):
        self.number = number
        self.customer = customer
        self.items = items

    def total(self):
        return sum(price * count for _, price, count in self.items)


def numbers(seed):
    while True:
        seed = (seed * 1103515245 + 12345) % 2147483648
        yield seed >> 8


def make_orders(count, draw):
    for number in range(count):
        items = [("part-%d" % (next(draw) % 5000), next(draw) % 900 + 100, next(draw) % 9 + 1)
                 for _ in range(next(draw) % 8 + 1)]
        yield Order(number, "customer %d" % (next(draw) % 1000), items)


def main():
    draw = numbers(7)
    check = 0
    for _ in range(3):
        orders = list(make_orders(int(sys.argv[1]), draw))
        by_customer = {}
        for order in orders:
            by_customer.setdefault(order.customer, []).append(order)
        text = json.dumps([{"customer": name, "totals": [order.total() for order in group]}
                           for name, group in sorted(by_customer.items())])
        check += sum(len(group["totals"]) * len(group["customer"]) for group in json.loads(text))
        words = " ".join(name.upper() for order in orders for name, _, _ in order.items).split(" ")
        counts = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        ranked = sorted(counts.items(), key=lambda pair: pair[::-1])
        check += sum(rank * count for rank, (_, count) in enumerate(ranked))
    print(check)


main()
