import Databases
import Glibc
import Runtime

/// The names of what the demo's shop keeps in Redis. A few of each are asked for most of the time.
private struct Shop {
    private var random = SystemRandomNumberGenerator()

    static let (visitors, products, pages) = (3000, 600, 400)

    /// Two kilobytes that compress as pages do.
    static func html(of page: Int) -> String {
        "<h1>Page \(page)</h1>" + String(repeating: "<li class=\"offer\"><a href=\"/offer\">Offer</a></li>", count: 40)
    }

    /// One of `count`, the first most often: as often as Zipf's law says, for an exponent of 1.
    mutating func favourite(of count: Int) -> Int {
        Int(exp(Double.random(in: 0..<log(Double(count)), using: &random))) - 1
    }

    mutating func happens(oneIn number: Int) -> Bool { Int.random(in: 0..<number, using: &random) == 0 }
}

/// Behaves as a shop's service does towards its Redis, which it believes the proxy to be: pages, sessions and baskets that
/// expire, products as hashes, several prices at once; nine reads for one write, and an order in a transaction now and then.
actor RedisShopper {
    private let thread = BlockingThread("demo-load")
    private let address: RedisAddress
    private var shop = Shop()

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(port: UInt16) throws { address = try RedisAddress(parsing: "redis://127.0.0.1:\(port)/0") }

    /// Until it is cancelled.
    func visit() async {
        await repeatOnConnection(to: address, named: "demo-shop", every: .milliseconds(25)) { connection, deadline in
            let page = shop.favourite(of: Shop.pages)
            let visitor = shop.favourite(of: Shop.visitors)
            let found = try connection.pipeline(reads(page: page, visitor: visitor), by: deadline)
            _ = try connection.pipeline(writes(after: found, page: page, visitor: visitor), by: deadline)
        }
    }

    private func reads(page: Int, visitor: Int) -> [RedisCommand] {
        var product: String { "product:\(shop.favourite(of: Shop.products))" }
        var price: String { "price:\(shop.favourite(of: Shop.products))" }
        return [
            RedisCommand("GET", "page:\(page)"), RedisCommand("GET", "session:\(visitor)"),
            RedisCommand("HGETALL", product), RedisCommand("HGETALL", product), RedisCommand("HGETALL", product),
            RedisCommand("HGET", product, "stock"), RedisCommand("GET", price),
            RedisCommand("MGET", price, price, price, price), RedisCommand("GET", "page:0"),
            RedisCommand("GET", "basket:\(visitor)"),
        ]
    }

    /// What was not found is put there, as services do; the other writes are a visit's own.
    private func writes(after found: [RedisReply], page: Int, visitor: Int) -> [RedisCommand] {
        var commands: [RedisCommand] = []
        if case .null = found[0] {
            commands.append(RedisCommand("SET", "page:\(page)", Shop.html(of: page), "EX", "30"))
        }
        if case .null = found[1] {
            commands.append(RedisCommand("SET", "session:\(visitor)", "{\"visitor\":\(visitor)}", "EX", "120"))
        }
        let product = shop.favourite(of: Shop.products)
        if shop.happens(oneIn: 3) {
            commands.append(RedisCommand("SET", "basket:\(visitor)", "{\"products\":[\(product)]}", "EX", "600"))
        }
        if shop.happens(oneIn: 2) { commands.append(RedisCommand("ZINCRBY", "ranking", "1", "\(product)")) }
        if shop.happens(oneIn: 4) {
            commands += [RedisCommand("LPUSH", "mails", "\(visitor)"), RedisCommand("LTRIM", "mails", "0", "99")]
        }
        if shop.happens(oneIn: 10) {
            commands += [
                RedisCommand("MULTI"), RedisCommand("HINCRBY", "product:\(product)", "stock", "-1"),
                RedisCommand("XADD", "orders", "MAXLEN", "~", "1000", "*", "product", "\(product)"),
                RedisCommand("EXEC"),
            ]
        }
        return commands
    }
}

/// Somebody who knows nothing of the proxy and changes products and prices at Redis itself.
actor RedisOutsider {
    private let thread = BlockingThread("demo-outside")
    private let address: RedisAddress
    private var shop = Shop()

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(port: UInt16) throws { address = try RedisAddress(parsing: "redis://127.0.0.1:\(port)/0") }

    /// Until it is cancelled.
    func change() async {
        await repeatOnConnection(to: address, named: "demo-outsider", every: .milliseconds(200)) {
            connection, deadline in
            let product = shop.favourite(of: Shop.products)
            _ = try connection.pipeline(
                [
                    RedisCommand("HSET", "product:\(product)", "name", "Product \(product)", "stock", "100"),
                    RedisCommand("SET", "price:\(product)", "\(product % 90 + 10)", "EX", "600"),
                ], by: deadline)
        }
    }
}

extension Actor {
    /// Does something again and again on a connection that is opened anew whenever it is lost, until the task is
    /// cancelled.
    fileprivate func repeatOnConnection(
        to address: RedisAddress, named name: String, every pause: Duration,
        _ body: (RedisConnection, Deadline) throws -> Void
    ) async {
        var connection: RedisConnection?
        while !Task.isCancelled {
            do {
                let deadline = Deadline.after(.seconds(2))
                let open = try connection ?? RedisConnection(to: address, clientName: name, by: deadline)
                connection = open
                try body(open, deadline)
            } catch {
                // Somebody may stop the demo's Redis to see what the sidecar says; the load goes on when it is back.
                connection = nil
                Log.debug("demo load", ["error": "\(error)"])
            }
            try? await Task.sleep(for: pause)
        }
    }
}
