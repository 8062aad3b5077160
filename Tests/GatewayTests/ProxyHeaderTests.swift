import Testing

@testable import Gateway

@Suite struct ProxyHeaderTests {
    static func header(_ addresses: [UInt8]) -> [UInt8] { header(0x21, 0x11, addresses) }

    static func header(_ command: UInt8, _ family: UInt8, _ addresses: [UInt8]) -> [UInt8] {
        [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, command, family]
            + [UInt8(addresses.count >> 8), UInt8(addresses.count & 255)] + addresses
    }

    private static let four: [UInt8] = [9, 8, 7, 6, 127, 0, 0, 1, 1, 2, 3, 4]

    @Test func addressesAreReadHoweverTheyCome() {
        let bytes = Self.header(Self.four) + Array("GET".utf8)
        for count in 0..<28 { #expect(ProxyHeader.read(bytes.span.extracting(0..<count)) == .needsMore) }
        #expect(ProxyHeader.read(bytes.span) == .done(length: 28, address: "9.8.7.6"))
        let six = Self.header(0x21, 0x21, [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 32))
        #expect(ProxyHeader.read(six.span) == .done(length: 52, address: "2001:db8:0:0:0:0:0:0"))
        #expect(ProxyHeader.read(Self.header(0x20, 0, []).span) == .done(length: 16, address: nil))
    }

    @Test func whatIsNoHeaderIsRefused() {
        for bytes in [
            Array("GET / HTTP/1.1\r\n".utf8), Self.header(0x11, 0x11, Self.four), Self.header(0x22, 0x11, Self.four),
            Self.header(0x21, 0x11, [1, 2, 3]), Self.header(0x21, 0x21, Self.four),
            Self.header(0x21, 0x11, [UInt8](repeating: 0, count: 3000)),
        ] { #expect(ProxyHeader.read(bytes.span) == .failed) }
    }

    @Test func theServiceHearsOfTheClientAndNotOfTheProxy() throws {
        let origin = try TestOrigin { _, responder in responder.answer() }
        let gateway = try TestGateway(to: [origin.port]) { $0.expectsProxyHeader = true }
        let client = try RawHTTP(port: gateway.port)
        client.send(Self.header(Self.four) + Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        #expect(try client.answer().status == 200)
        #expect(origin.requests.first?["x-forwarded-for"] == "9.8.7.6")
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.answer().status == 200)
        #expect(throws: RawHTTP.Failure.self) { try RawHTTP.get("/", port: gateway.port) }
    }
}
