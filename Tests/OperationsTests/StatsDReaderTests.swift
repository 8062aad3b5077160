import Metrics
import TestTools
import Testing

@testable import Operations

/// What a packet says, with ranges turned into text.
private func read(_ packet: String) -> [String] { read(Array(packet.utf8)) }

private func read(_ packet: [UInt8]) -> [String] {
    func text(_ range: Range<Int>) -> String { String(decoding: packet[range], as: UTF8.self) }
    var reader = StatsDReader()
    var items: [String] = []
    while let item = reader.next(in: packet.span) {
        switch item {
        case .sample(let sample):
            let value = sample.kind == .set ? text(sample.member) : "\(sample.hasSign ? "±" : "")\(sample.value)"
            let weight = sample.weight == 1 ? "" : " ×\(sample.weight)"
            let tags = sample.tags.isEmpty ? "" : " #\(text(sample.tags))"
            items.append("\(sample.kind) \(text(sample.name)) \(value)\(weight)\(tags)")
        case .event(let kind): items.append("event \(kind)")
        case .serviceCheck(let name, let status, let tags):
            items.append("check \(text(name)) \(status) #\(text(tags))")
        case .malformed(let fault, let line): items.append("malformed \(fault): \(text(line))")
        }
    }
    return items
}

@Suite struct StatsDReaderTests {
    @Test func everyTypeIsRead() {
        #expect(
            read("a:1|c\nb:2.5|g\nc:320|ms\nd:4|h\ne:5|d\nf:user-7|s") == [
                "counter a 1.0", "gauge b 2.5", "timer c 320.0", "histogram d 4.0", "distribution e 5.0",
                "set f user-7",
            ])
    }

    @Test func ratesTagsAndFieldsThatSayNothingOfTheValueAreRead() {
        #expect(
            read("page.views:1|c|@0.1|#env:prod,canary|c:ci-12|T1656581400|e:x|card:low") == [
                "counter page.views 1.0 ×10.0 #env:prod,canary"
            ])
        #expect(read("a:1|c|#x:y|@0.5") == ["counter a 1.0 ×2.0 #x:y"])
    }

    @Test func aSignMovesAGauge() {
        #expect(read("a:+3|g\na:-4|g\na:4|g") == ["gauge a ±3.0", "gauge a ±-4.0", "gauge a 4.0"])
    }

    @Test func severalValuesShareTypeRateAndTags() {
        #expect(read("t:1:2.5:3|ms|@0.5|#a:b") == ["1.0", "2.5", "3.0"].map { "timer t \($0) ×2.0 #a:b" })
    }

    @Test func theOlderFormRepeatsValueAndType() {
        #expect(read("a:1|c:2|ms|@0.5:3|g") == ["counter a 1.0", "timer a 2.0 ×2.0", "gauge a 3.0"])
    }

    @Test func aSetsMemberMayHoldColons() { #expect(read("ips:fe80::1|s") == ["set ips fe80::1"]) }

    @Test func emptyLinesAndCarriageReturnsAreNothing() {
        #expect(read("\n\r\na:1|c\r\n\n b:1|c \n") == ["counter a 1.0", "counter  b 1.0"])
        #expect(read("") == [])
    }

    @Test(arguments: [
        ("a", "name"), (":1|c", "name"), ("a|c", "name"), ("a:1", "type"), ("a:1|", "type"), ("a:1|x", "type"),
        ("a:1|m", "type"), ("a:1|msx", "type"), ("a:|c", "value"), ("a:x|c", "value"), ("a:1e|c", "value"),
        ("a:0x10|c", "value"), ("a:nan|g", "value"), ("a:inf|g", "value"), ("a:1e999|g", "value"), ("a:--1|g", "value"),
        ("a:|s", "value"), ("a:1|c|@0", "rate"), ("a:1|c|@2", "rate"), ("a:1|c|@", "rate"), ("a:1|c|@x", "rate"),
        ("a:1|c|", "section"), ("a:1|c||#a:b", "section"), ("a:1|c|?", "section"), ("_e{1}:a", "event"),
        ("_e{5,1}:a|b", "event"), ("_sc|a", "event"), ("_sc|a|9", "event"), ("_sc||0", "event"),
    ])
    func aFaultCostsItsLineAndNotItsNeighbours(_ line: String, _ reason: String) {
        #expect(read("x:1|c\n\(line)\ny:2|c") == ["counter x 1.0", "malformed \(reason): \(line)", "counter y 2.0"])
    }

    @Test func oneBadValueCostsOnlyItself() {
        #expect(read("t:1:x:3|ms") == ["timer t 1.0", "malformed value: t:1:x:3|ms", "timer t 3.0"])
    }

    @Test func namesAndTagsHaveALimit() {
        let name = String(repeating: "n", count: StatsDReader.nameLimitBytes + 1)
        #expect(read("\(name):1|c").first?.hasPrefix("malformed length") == true)
        let tags = String(repeating: "t", count: StatsDReader.tagsLimitBytes + 1)
        #expect(read("a:1|c|#\(tags)").first?.hasPrefix("malformed length") == true)
    }

    @Test func eventsAndServiceChecksAreKnown() {
        #expect(read("_e{5,11}:title|some|te\nxt|t:error|#a:b").first == "malformed event: _e{5,11}:title|some|te")
        #expect(read("_e{5,4}:title|text|p:low|t:warning|#a:b") == ["event warning"])
        #expect(read("_e{3,5}:a|b|t:err|h:x") == ["event info"])
        #expect(read("_sc|redis.up|2|d:1|h:x|#env:prod|m:no answer") == ["check redis.up 2 #env:prod"])
        #expect(read("_sc|redis.up|0") == ["check redis.up 0 #"])
    }

    @Test func aPacketCutAnywhereYieldsItsWholeLinesAndAtMostOneFault() {
        let packet = "a:1|c|@0.5|#x:y,z\nbb:2:3|ms\n_e{1,1}:a|b|t:info\n_sc|n|1|#a:b\nc:+1|g|T12\nd:m:n|s"
        let whole = read(packet)
        #expect(whole.count == 7)
        for cut in 0...packet.utf8.count {
            let items = read(Array(packet.utf8.prefix(cut)))
            let complete = packet.utf8.prefix(cut).count { $0 == UInt8(ascii: "\n") }
            #expect(items.count >= complete)
            for item in items.dropLast(2) { #expect(whole.contains(item), "cut at \(cut)") }
        }
    }

    /// Every sample that is reported lies inside the packet, whatever the bytes.
    @Test func noiseIsReadToItsEnd() {
        var random = Seeded(11)
        let letters = Array("a:1|c\n|@#,_e{}scmgh.d+-9 e\r".utf8)
        for _ in 0..<20_000 {
            let length = Int(random.next() % 60)
            let packet = (0..<length).map { _ in
                random.next() % 8 == 0
                    ? UInt8(truncatingIfNeeded: random.next()) : letters[Int(random.next() % UInt64(letters.count))]
            }
            var reader = StatsDReader()
            var items = 0
            while let item = reader.next(in: packet.span) {
                items += 1
                if case .sample(let sample) = item {
                    #expect(!sample.name.isEmpty && sample.name.upperBound < packet.count)
                    #expect(sample.value.isFinite && sample.weight >= 1 && sample.weight.isFinite)
                }
            }
            #expect(items <= length)
        }
    }

    @Test func numbersEqualWhatSwiftReads() {
        var random = Seeded(5)
        for _ in 0..<20_000 {
            let digits = String(random.next() % 10_000_000_000)
            let point = Int(random.next() % UInt64(digits.count + 1))
            let text = (random.next() % 2 == 0 ? "-" : "") + digits.prefix(point) + "." + digits.dropFirst(point)
            let bytes = Array(text.utf8)
            let expected = Double(
                text.hasPrefix("-.")
                    ? "-0" + text.dropFirst()
                    : text.hasPrefix(".") ? "0" + text : text.hasSuffix(".") ? text + "0" : text)
            #expect(DecimalReader.read(bytes.span, 0..<bytes.count) == expected, "\(text)")
        }
        for text in ["1e3", "1.5E-4", "123456789012345678901234567890", "0.1234567890123456789"] {
            let bytes = Array(text.utf8)
            #expect(DecimalReader.read(bytes.span, 0..<bytes.count) == Double(text))
        }
    }
}
