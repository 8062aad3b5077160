import Testing

@testable import Gateway

/// The reader alone: every example is also fed split at every byte.
@Suite struct MessageReaderTests {
    struct Reading: Equatable, CustomStringConvertible {
        var heads: [String] = []
        var bodies: [String] = []
        var trailers = ""
        var fault: HTTPFault?

        var description: String { "\(heads) \(bodies) \(trailers) \(fault.map { "\($0)" } ?? "")" }
    }

    /// Reads requests from bytes that come in the given pieces, as a session does.
    static func read(_ pieces: [[UInt8]], limits: MessageLimits = MessageLimits()) -> Reading {
        var reading = Reading()
        var input: [UInt8] = []
        var reader = HeadReader(limits, isRequest: true)
        var body: BodyReader?
        for piece in pieces {
            input += piece
            var isGoing = true
            while isGoing, reading.fault == nil {
                isGoing = false
                let bytes = input
                let span = bytes.span
                if body != nil {
                    var place = 0
                    loop: while true {
                        switch body?.next(span, from: place) {
                        case .data(let range, let next):
                            reading.bodies[reading.bodies.count - 1] += latin1(span.extracting(range))
                            place = next
                        case .needsMore(let from):
                            place = from
                            break loop
                        case .end(let at):
                            place = at
                            reading.trailers += String(decoding: body?.trailers ?? [], as: UTF8.self)
                            body = nil
                            isGoing = true
                            break loop
                        case .failed(let fault):
                            reading.fault = fault
                            break loop
                        case nil: break loop
                        }
                    }
                    input.removeFirst(place)
                } else {
                    switch reader.read(span) {
                    case .needsMore: break
                    case .failed(let fault): reading.fault = fault
                    case .done(let length):
                        switch RequestHead.understand(span, length: length, reader) {
                        case .failure(let fault): reading.fault = fault
                        case .success(let head):
                            reading.heads.append(
                                String(decoding: head.head.bytes[head.methodName], as: UTF8.self) + " "
                                    + String(decoding: head.head.bytes[head.target], as: UTF8.self))
                            reading.bodies.append("")
                            body = BodyReader(head.framing, limits)
                            input.removeFirst(length)
                            reader.reset()
                            isGoing = true
                        }
                    }
                }
            }
        }
        return reading
    }

    /// A character for each byte, whatever a piece is cut off from.
    private static func latin1(_ bytes: Span<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for index in 0..<bytes.count { text.append(Unicode.Scalar(bytes[index])) }
        return String(text)
    }

    /// The same whole, byte by byte, and cut in two anywhere.
    static func everySplit(_ text: String, limits: MessageLimits = MessageLimits()) -> Reading {
        let bytes = Array(text.utf8)
        let whole = read([bytes], limits: limits)
        #expect(read(bytes.map { [$0] }, limits: limits) == whole, "byte by byte: \(text.debugDescription)")
        for cut in 1..<max(2, bytes.count) {
            #expect(
                read([Array(bytes[..<cut]), Array(bytes[cut...])], limits: limits) == whole,
                "cut at \(cut): \(text.debugDescription)")
        }
        return whole
    }

    @Test func aRequestIsReadTheSameHoweverItComes() {
        let reading = Self.everySplit("GET /a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
        #expect(reading == Reading(heads: ["GET /a?b=c"], bodies: [""]))
    }

    @Test func requestsInARowAreToldApart() {
        let reading = Self.everySplit(
            "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nde\r\n1\r\nf\r\n0\r\nX-Sum: 9\r\n\r\n"
                + "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(reading.heads == ["POST /1", "GET /2", "POST /3", "GET /4"])
        #expect(reading.bodies == ["abc", "", "def", ""])
        #expect(reading.trailers == "X-Sum: 9\r\n")
        #expect(reading.fault == nil)
    }

    @Test func aWholeURLOfTheSameHostIsAPath() {
        let reading = Self.everySplit("GET http://Example.com:80/a?b HTTP/1.1\r\nHost: example.com:80\r\n\r\n")
        #expect(reading.heads == ["GET /a?b"])
    }

    @Test func oneEmptyLineAheadOfARequestIsNoPartOfIt() {
        #expect(Self.everySplit("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").heads == ["GET /"])
        #expect(Self.everySplit("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").fault == .requestLine)
    }

    @Test(arguments: Corpus.refused) func whatIsNotClearIsRefused(_ example: Corpus.Example) {
        let reading = Self.everySplit(example.text)
        #expect(reading.fault != nil, "\(example.text.debugDescription)")
    }

    @Test(arguments: Corpus.accepted) func whatIsClearIsRead(_ example: Corpus.Example) {
        let reading = Self.everySplit(example.text)
        #expect(reading.fault == nil, "\(example.text.debugDescription)")
        #expect(reading.heads.count == example.requests)
    }

    @Test func limitsHoldAtTheByte() {
        var limits = MessageLimits()
        (limits.requestLine, limits.field, limits.head, limits.fields) = (20, 12, 50, 3)
        (limits.chunkExtensions, limits.trailers) = (3, 8)
        func fault(_ text: String) -> HTTPFault? { Self.everySplit(text, limits: limits).fault }
        #expect(fault("GET /678901 HTTP/1.1\r\nHost: x\r\n\r\n") == nil)
        #expect(fault("GET /6789012 HTTP/1.1\r\nHost: x\r\n\r\n") == .requestLineTooLong)
        #expect(fault("GET /67890123456789012345678901234567890") == .requestLineTooLong)
        #expect(fault("GET / HTTP/1.1\r\nHost: x\r\nA: 23456789\r\n\r\n") == nil)
        #expect(fault("GET / HTTP/1.1\r\nHost: x\r\nA: 2345678901\r\n\r\n") == .fieldTooLong)
        #expect(fault("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 1\r\n\r\n") == nil)
        #expect(fault("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n") == .tooManyFields)
        #expect(fault("GET / HTTP/1.1\r\nHost: 345678\r\nA: 345678901\r\nB: 345678901\r\n\r\n") == .headTooLong)
        let coded = "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        limits.field = 40
        limits.head = 100
        #expect(fault(coded + "0;ab\r\n\r\n") == nil)
        #expect(fault(coded + "1;abcd\r\nx\r\n0\r\n\r\n") == .chunkExtensionTooLong)
        #expect(fault(coded + "0\r\nA: 456\r\n\r\n") == nil)
        #expect(fault(coded + "0\r\nA: 4567\r\n\r\n") == .trailersTooLong)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true), ("HTTP/1.1 204 \r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\n\r\n", true), ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        ("HTTP/1.1 200\r\n\r\n", false), ("HTTP/1.1 20 OK\r\n\r\n", false), ("HTTP/2 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n", false), ("HTTP/1.1 999 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n", false), ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", false), ("HTTP/1.1 200 \u{1}\r\n\r\n", false),
    ])
    func answersAreReadAsStrictly(_ text: String, _ isClear: Bool) {
        let bytes = Array(text.utf8)
        var reader = HeadReader(.ofAnswers, isRequest: false)
        switch reader.read(bytes.span) {
        case .done(let length):
            switch ResponseHead.understand(bytes.span, length: length, reader, to: .get) {
            case .success: #expect(isClear)
            case .failure: #expect(!isClear)
            }
        case .failed: #expect(!isClear)
        case .needsMore: Issue.record("not whole: \(text.debugDescription)")
        }
    }
}
