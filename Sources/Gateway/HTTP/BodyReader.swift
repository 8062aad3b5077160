import Runtime

/// Finds the end of a body, and what of the bytes before it belongs to the body. Looks at each byte once.
struct BodyReader {
    enum Event: Equatable {
        /// Bytes of the body; `next` is asked again from `upTo`.
        case data(Range<Int>, upTo: Int)
        /// The message is over; what follows from here on is another one.
        case end(at: Int)
        /// Everything before this place is dealt with.
        case needsMore(from: Int)
        case failed(HTTPFault)
    }

    private enum State: Equatable {
        case done
        case plain(left: Int)
        case untilClose
        case chunkSize(digits: Int, size: Int)
        case chunkExtension(size: Int)
        case chunkSizeEnd(size: Int)
        case chunk(left: Int)
        case chunkEnd
        case chunkEndFeed
        case trailers
    }

    private let limits: MessageLimits
    private var state: State
    private var extensionBytes = 0
    private var trailerBytes = 0
    private var trailerLines = 0
    /// `Name: value` lines of the trailers that may be passed on.
    private(set) var trailers: [UInt8] = []
    /// Of the body so far, as it is understood.
    private(set) var count = 0

    init(_ framing: Framing, _ limits: MessageLimits) {
        self.limits = limits
        switch framing {
        case .none, .length(0): state = .done
        case .length(let count): state = .plain(left: count)
        case .chunked: state = .chunkSize(digits: 0, size: 0)
        case .untilClose: state = .untilClose
        }
    }

    var isDone: Bool { state == .done }

    /// The other side sends no more.
    ///
    /// - Returns: whether the body is whole.
    mutating func inputEnded() -> Bool {
        if state == .untilClose { state = .done }
        return state == .done
    }

    mutating func next(_ input: Span<UInt8>, from start: Int) -> Event {
        var place = start
        while true {
            switch state {
            case .done: return .end(at: place)
            case .untilClose:
                guard place < input.count else { return .needsMore(from: place) }
                count += input.count - place
                return .data(place..<input.count, upTo: input.count)
            case .plain(let left):
                guard place < input.count else { return .needsMore(from: place) }
                let end = place + min(left, input.count - place)
                count += end - place
                state = left == end - place ? .done : .plain(left: left - (end - place))
                return .data(place..<end, upTo: end)
            case .chunk(let left):
                guard place < input.count else { return .needsMore(from: place) }
                let end = place + min(left, input.count - place)
                count += end - place
                state = left == end - place ? .chunkEnd : .chunk(left: left - (end - place))
                return .data(place..<end, upTo: end)
            case .trailers: return readTrailers(input, from: place)
            default:
                guard place < input.count else { return .needsMore(from: place) }
                if let fault = step(input[place]) { return .failed(fault) }
                place += 1
            }
        }
    }

    /// One byte between chunks.
    private mutating func step(_ byte: UInt8) -> HTTPFault? {
        switch state {
        case .chunkSize(let digits, let size):
            if let value = byte.hexadecimalValue {
                // 15 digits are more than any disk holds, and cannot overflow.
                guard digits < 15 else { return .chunkSize }
                state = .chunkSize(digits: digits + 1, size: size << 4 | Int(value))
                return nil
            }
            guard digits > 0 else { return .chunkSize }
            switch byte {
            case 0x0D: state = .chunkSizeEnd(size: size)
            case 0x3B: state = .chunkExtension(size: size)
            case 0x0A: return .bareLineFeed
            default: return .chunkSize
            }
        case .chunkExtension(let size):
            extensionBytes += 1
            guard extensionBytes <= limits.chunkExtensions else { return .chunkExtensionTooLong }
            if byte == 0x0D {
                state = .chunkSizeEnd(size: size)
            } else if byte == 0x0A {
                return .bareLineFeed
            } else if !byte.isValueByte {
                return .forbiddenByte
            }
        case .chunkSizeEnd(let size):
            guard byte == 0x0A else { return .bareCarriageReturn }
            state = size == 0 ? .trailers : .chunk(left: size)
        case .chunkEnd:
            guard byte == 0x0D else { return .chunkEnd }
            state = .chunkEndFeed
        case .chunkEndFeed:
            guard byte == 0x0A else { return .chunkEnd }
            state = .chunkSize(digits: 0, size: 0)
        default: break
        }
        return nil
    }

    private mutating func readTrailers(_ input: Span<UInt8>, from start: Int) -> Event {
        var lineStart = start
        while true {
            let feed = input.firstPlace(of: 0x0A, in: lineStart..<input.count)
            guard feed < input.count else {
                // What is there may be the empty line's CR.
                guard trailerBytes + input.count - lineStart <= limits.trailers + 2 else {
                    return .failed(.trailersTooLong)
                }
                return .needsMore(from: lineStart)
            }
            guard feed > lineStart, input[feed - 1] == 0x0D else { return .failed(.bareLineFeed) }
            let line = lineStart..<feed - 1
            lineStart = feed + 1
            if line.isEmpty {
                state = .done
                return .end(at: lineStart)
            }
            trailerBytes += line.count + 2
            trailerLines += 1
            guard trailerBytes <= limits.trailers, trailerLines <= limits.fields else {
                return .failed(.trailersTooLong)
            }
            switch FieldLine.read(line, input) {
            case .failure(let fault): return .failed(fault)
            case .success(let field):
                guard field.id != .contentLength, field.id != .transferEncoding, field.id != .host else {
                    return .failed(.trailer)
                }
                guard !field.id.isForbiddenInTrailers else { continue }
                trailers.append(bytes: input.extracting(field.name))
                trailers.append(contentsOf: ": ".utf8)
                trailers.append(bytes: input.extracting(field.value))
                trailers.append(contentsOf: "\r\n".utf8)
            }
        }
    }
}
