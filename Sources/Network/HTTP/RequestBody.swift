import Runtime
import Synchronization

/// Bytes of request bodies that are held at once, over all connections that share the budget.
public final class BodyBudget: Sendable {
    public let limit: Int
    private let used = Atomic<Int>(0)

    public init(limit: Int) { self.limit = limit }

    public var bytes: Int { used.load(ordering: .relaxed) }

    fileprivate func take(_ count: Int) -> Bool {
        let now = used.add(count, ordering: .relaxed).newValue
        guard now > limit else { return true }
        used.subtract(count, ordering: .relaxed)
        return false
    }

    fileprivate func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }
}

/// A request's body while it comes in. The loop's thread fills it, and whoever answers has it afterwards.
final class RequestBody: @unchecked Sendable {
    private(set) var bytes: [UInt8] = []
    private let budget: BodyBudget
    private let limit: Int
    private var stage: Stage

    private enum Stage {
        case plain(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailer
        case done
    }

    enum Progress {
        case wantsMore, done
    }

    /// - Parameter limit: bytes.
    init(_ body: RequestHead.Body, limit: Int, budget: BodyBudget) {
        self.limit = limit
        self.budget = budget
        switch body {
        case .none: stage = .done
        case .length(let count): stage = .plain(left: count)
        case .chunked: stage = .chunkSize
        }
    }

    deinit { budget.give(bytes.count) }

    /// Takes what belongs to the body from `input`, and says how much that was.
    func take(_ input: Span<UInt8>) throws(RequestHead.Fault) -> (progress: Progress, taken: Int) {
        var at = 0
        while true {
            switch stage {
            case .done: return (.done, at)
            case .plain(let left):
                let count = try keep(input, at, left)
                at += count
                if count == left { stage = .done } else { stage = .plain(left: left - count) }
            case .chunk(let left):
                let count = try keep(input, at, left)
                at += count
                if count == left { stage = .chunkEnd } else { stage = .chunk(left: left - count) }
            case .chunkSize:
                guard let line = try line(input, at) else { return (.wantsMore, at) }
                let size = try size(line)
                at += line.count + 2
                stage = size == 0 ? .trailer : .chunk(left: size)
            case .chunkEnd:
                guard let line = try line(input, at) else { return (.wantsMore, at) }
                guard line.isEmpty else { throw .bad("a chunk is longer than it says") }
                at += 2
                stage = .chunkSize
            case .trailer:
                guard let line = try line(input, at) else { return (.wantsMore, at) }
                at += line.count + 2
                if line.isEmpty { stage = .done }
            }
            guard at < input.count else {
                if case .done = stage { return (.done, at) }
                return (.wantsMore, at)
            }
        }
    }

    private func keep(_ input: Span<UInt8>, _ start: Int, _ most: Int) throws(RequestHead.Fault) -> Int {
        let count = min(most, input.count - start)
        guard bytes.count + count <= limit else { throw RequestHead.Fault(status: 413, reason: "body too long") }
        guard budget.take(count) else {
            throw RequestHead.Fault(status: 503, reason: "too many bodies at once")
        }
        bytes.append(bytes: input.extracting(start..<start + count))
        return count
    }

    /// Up to the end of the line, which stays outside; nil when it is not there yet.
    private func line(_ input: Span<UInt8>, _ start: Int) throws(RequestHead.Fault) -> [UInt8]? {
        var line: [UInt8] = []
        for index in start..<input.count {
            switch input[index] {
            case 0x0D:
                guard index + 1 < input.count else { return nil }
                guard input[index + 1] == 0x0A else { throw .bad("a carriage return without a line feed") }
                return line
            case 0x0A: throw .bad("a line feed without a carriage return")
            case let byte: line.append(byte)
            }
            guard line.count <= 256 else { throw .bad("a line between chunks is too long") }
        }
        return nil
    }

    private func size(_ line: [UInt8]) throws(RequestHead.Fault) -> Int {
        let digits = line.prefix { $0 != UInt8(ascii: ";") }
        guard (1...8).contains(digits.count), digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let size = Int(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw .bad("no size of a chunk") }
        return size
    }
}
