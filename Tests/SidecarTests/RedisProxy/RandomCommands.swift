import RedisTesting
import TestTools

/// A command with its words, and how it is to be written.
struct Invocation: Sendable {
    let words: [[UInt8]]
    var isInline = false

    init(_ words: [[UInt8]], isInline: Bool = false) {
        self.words = words
        self.isInline = isInline
    }

    init(_ words: String...) { self.init(words.map { Array($0.utf8) }) }

    var bytes: [UInt8] {
        guard isInline else { return command(words) }
        return Array(words.joined(separator: [32])) + [13, 10]
    }

    /// Words that an inline command can carry without quotes.
    var canBeInline: Bool {
        words.allSatisfy {
            !$0.isEmpty && $0.count < 200 && $0.allSatisfy { $0 > 32 && $0 < 127 && $0 != 34 && $0 != 39 }
        }
    }

    var name: String { words.first.map { String(decoding: $0, as: UTF8.self).uppercased() } ?? "" }
}

/// Random commands from templates: a word that begins with `%` is replaced by something of its kind.
struct RandomCommands {
    private var serial = 0

    /// Templates of a kind, and how often they are drawn.
    struct Group: Sendable {
        let weight: Int
        let templates: [[String]]

        init(_ weight: Int, _ templates: String) {
            self.weight = weight
            // A template a line; a word that begins with `@` stands for a script.
            self.templates = templates.split(separator: "\n").map { line in
                line.split(separator: " ").map { String($0) }
            }
        }
    }

    private static let drawn: [[[String]]] = spread(groups)
    private static let drawnPlain: [[[String]]] = spread(plainGroups)

    private static func spread(_ groups: [Group]) -> [[[String]]] {
        groups.flatMap { [[[String]]](repeating: $0.templates, count: $0.weight) }
    }

    /// - Parameter plain: only what depends on nothing but its keys.
    mutating func next(plain: Bool, _ random: inout Seeded) -> Invocation {
        serial += 1
        let template = random.pick(random.pick(plain ? Self.drawnPlain : Self.drawn))
        var words = template.map { word($0, &random) }
        // Now and then a word too many, too few, or another name.
        // For every channel that is left there is a reply.
        let leaves = template[0].hasSuffix("UNSUBSCRIBE")
        if !leaves, random.chance(0.015) { words.append(Array(random.pick(["x", "NX", "1", "GET", ""]).utf8)) }
        // Without a count the dice of Redis decide.
        let isDice = template[0].contains("RAND") || template[0] == "SPOP"
        if !isDice, random.chance(0.015), words.count > 1 { words.removeLast() }
        let invocation = Invocation(words)
        return Invocation(words, isInline: random.chance(0.03) && invocation.canBeInline)
    }

    private func word(_ pattern: String, _ random: inout Seeded) -> [UInt8] {
        guard pattern.hasPrefix("%") else {
            if let script = Self.scripts[pattern] { return Array(script.utf8) }
            switch Int.random(in: 0..<20, using: &random) {
            case 0: return Array(pattern.lowercased().utf8)
            default: return Array(pattern.utf8)
            }
        }
        func pick(_ choices: [String]) -> [UInt8] { Array(random.pick(choices).utf8) }
        switch pattern.dropFirst() {
        case "V": return value(&random)
        case "F": return pick(["f", "g", "h", "1", "2", "", "long field", "member"])
        case "I": return pick(["0", "1", "-1", "5", "-5", "100", "9223372036854775807", "x", "", "1.5"])
        case "O": return pick(["0", "1", "2", "5", "7", "8", "30", "100", "-1"])
        case "N": return pick(["1", "0.5", "-2.25", "3e3", "1e18", "inf", "-inf", "nan", "x", "100.25", "7"])
        case "t": return pick(["5000", "100000", "100000", "0", "-1", "x", "9223372036854775807"])
        case "p": return pick(["5000000", "100000000", "-5", "9223372036854775807"])
        case "a": return pick(["1", "9000000000", "8000000000", "-3"])
        // What SET stores as expired already is there for some commands until Redis comes across it.
        case "b": return pick(["9000000000", "8000000000", "-3"])
        case "D": return pick(["0", "1", "2", "0", "1", "2", "16", "-1", "x"])
        case "q": return Array("\(serial)-1".utf8)
        case "r": return pick(["1-1", "5-1", "0", "-", "+", "\(serial)", "\(max(0, serial - 500))", "x"])
        case "u": return pick(["0", "-1", "1", "+inf", "-inf", "(1", "3", "x"])
        case "y": return pick(["-", "+", "[f", "(g", "[2", "f"])
        case "K": return key(random.pick(Self.types), &random)
        default:
            let type = String(pattern.dropFirst())
            return key(random.chance(0.07) ? random.pick(Self.types) : type, &random)
        }
    }

    private static let types = ["S", "H", "L", "E", "Z", "X", "B", "P"]

    private func key(_ type: String, _ random: inout Seeded) -> [UInt8] {
        Array((type.lowercased() + random.pick(["1", "2", "3"])).utf8)
    }

    private func value(_ random: inout Seeded) -> [UInt8] {
        switch Int.random(in: 0..<40, using: &random) {
        case 0: [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: 20_000)
        case 1: random.bytes(upTo: 60)
        default: Array(random.pick(Self.values).utf8)
        }
    }

    private static let values = [
        "", "1", "-7", "10", "text", "3.25", "1e3", "  1", "9223372036854775807", "ünï", "a\r\nb", "$-1\r\n", "+OK\r\n",
        "-ERR no\r\n", "*1\r\n", "short", "a value of more than forty-four bytes is stored as raw string",
    ]

    private static let scripts: [String: String] = [
        "@set": "return redis.call('SET', KEYS[1], ARGV[1])",
        "@get": "return redis.call('GET', KEYS[1])",
        "@undeclared": "redis.call('SET', ARGV[1], ARGV[2]) return redis.call('GET', ARGV[1])",
        "@made": "return redis.call('INCR', 's' .. (1 + #ARGV[1] % 3))",
        "@many": "for i = 1, 3 do redis.call('HSET', 'h' .. i, ARGV[1], i) end return {1, 'two', {3, false}, true}",
        "@fails": "redis.call('SET', KEYS[1], 'before') return redis.call('HGET', KEYS[1], 'x')",
        "@caught": "return redis.pcall('LPUSH', KEYS[1], ARGV[1])",
        "@error": "return redis.error_reply('MINE it is')",
        "@deep": "redis.setresp(3) return {double={double=1.5}, map={map={a=1}}, null=false}",
        "@select": "redis.call('SELECT', 1) return redis.call('SET', KEYS[1], ARGV[1])",
        "@flush": "return redis.call('FLUSHDB')",
        "@syntax": "return (",
        "@sha": "d3c21d0c2b9ca22f82737626a27bcaf5d288f99f",
        "@library": """
        #!lua name=lib
        redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
        redis.register_function('sneak', function(keys, args) return redis.call('SET', args[1], args[2]) end)
        redis.register_function{
          function_name='look', callback=function(keys) return redis.call('GET', keys[1]) end, flags={'no-writes'}}
        """,
    ]
}
