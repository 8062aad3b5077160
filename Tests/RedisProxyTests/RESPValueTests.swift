import RedisProxy
import RedisTesting
import TestTools
import Testing

@Suite struct RESPValueTests {
    @Test func everyKindIsRead() throws {
        #expect(try value("+OK|") == .status("OK"))
        #expect(try value("-ERR no|") == .error("ERR no"))
        #expect(try value("!6|ERR no|") == .error("ERR no"))
        #expect(try value(":-12|") == .integer(-12))
        #expect(try value(",1.5|") == .double(1.5))
        #expect(try value(",-inf|") == .double(-.infinity))
        #expect(try value("#t|") == .boolean(true))
        #expect(try value("(123456789012345678901234567890|") == .bigNumber("123456789012345678901234567890"))
        #expect(try value("$3|a\0b|") == .text([97, 0, 98]))
        #expect(try value("=7|txt:abc|") == .text(Array("txt:abc".utf8)))
        for null in ["$-1|", "*-1|", "_|"] { #expect(try value(null) == .null) }
        #expect(try value("*2|:1|*0|") == .array([.integer(1), .array([])]))
        #expect(try value("~1|:1|") == .array([.integer(1)]))
        #expect(try value(">1|+x|") == .push([.status("x")]))
        #expect(try value("%1|+a|:1|") == .map([.status("a"), .integer(1)]))
    }

    @Test func attributesAreLeftOut() throws {
        let bytes = Array("|1\r\n+ttl\r\n:3\r\n*1\r\n|1\r\n+a\r\n+b\r\n:7\r\n".utf8)
        #expect(try RESPValue(bytes.span) == .array([.integer(7)]))
    }

    @Test func whatStandsUnderANameIsFoundInBothProtocols() throws {
        let two = try value("*4|$4|port|:7000|$2|ip|$9|127.0.0.1|")
        let three = try value("%2|$4|port|:7000|$2|ip|$9|127.0.0.1|")
        for reply in [two, three] {
            #expect(reply["ip"]?.text == "127.0.0.1")
            #expect(reply["port"]?.integer == 7000)
            #expect(reply["127.0.0.1"] == nil)
        }
        #expect(try value("*1|$2|ip|")["ip"] == nil)
        #expect(try value(":1|")["ip"] == nil)
    }

    @Test func whatIsNoReplyIsRefused() {
        var limits = RESPValue.Limits()
        limits.depth = 3
        limits.values = 4
        limits.bytes = 100
        func fault(_ text: String) -> RESPValue.Fault? {
            do throws(RESPValue.Fault) {
                _ = try value(text, limits: limits)
                return nil
            } catch { return error }
        }
        #expect(fault("") == .incomplete)
        #expect(fault("$5|ab") == .incomplete)
        #expect(fault("+a|+b|") == .trailing(bytes: 4))
        #expect(fault("?|") == .reply(.unknownType(63)))
        #expect(fault(":1x|") == .badNumber)
        #expect(fault(",one|") == .badNumber)
        #expect(fault("#maybe|") == .badNumber)
        #expect(fault("*1|*1|*0|") == nil)
        #expect(fault("*1|*1|*1|*0|") == .tooDeep(limit: 3))
        #expect(fault("*3|:1|:1|:1|") == nil)
        #expect(fault("*4|:1|:1|:1|:1|") == .tooManyValues(limit: 4))
        #expect(fault("$101|") == .reply(.badLength))
    }

    @Test(arguments: [41, 42, 43] as [UInt64]) func rubbishNeverTraps(_ seed: UInt64) {
        var random = Seeded(seed)
        let example = wire("%2|$5|slots|*4|:0|:5|~1|#t|,1.5||+x|$-1|") + Array("|1\r\n+a\r\n_\r\n:1\r\n".utf8)
        for _ in 0..<20_000 {
            var bytes = example
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = random.protocolByte()
            }
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random) / 4)
            _ = try? RESPValue(bytes.span)
        }
    }
}
